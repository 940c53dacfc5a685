"""The state of a process: logs, seeds, imports, and words about values."""
