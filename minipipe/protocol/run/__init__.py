"""The life of a run: its start, deaths, restarts, limits and end."""
