"""What a user declares: segments, their functors, streams and options."""
