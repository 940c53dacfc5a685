"""Whether anything piles up while a run goes on: with deaths, pass after pass, hour after hour."""
