"""Decisions: events and time in, decisions out.  No socket, clock, process or thread in here."""
