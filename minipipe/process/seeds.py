"""The seed that random choices in this process start from when the user gave none.

It stands apart from the worker, which sets it, so that segments can ask for it without knowing
what a worker is.
"""

from __future__ import annotations

_default: int | None = None


def default_seed() -> int | None:
    """The worker's seed; None outside of a worker: the operating system's entropy is to serve."""
    return _default


def set_default(seed: int | None) -> None:
    """What `default_seed` gives from now on in this process."""
    global _default
    _default = seed
