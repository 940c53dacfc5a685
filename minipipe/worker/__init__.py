"""The body of a worker process: set-up, loops, the service thread, and how failures are told."""
