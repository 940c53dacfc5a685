"""What is made of the counters of a run: a verdict, a view of its progress, metrics."""
