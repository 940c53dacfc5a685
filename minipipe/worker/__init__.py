"""The body of a worker process: set-up, loops, the attendant, and how failures are told."""
