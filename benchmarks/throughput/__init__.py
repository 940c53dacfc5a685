"""Arrays through three segments, beside what else passes arrays between processes."""

from benchmarks.throughput.suite import rows

__all__ = ["rows"]
