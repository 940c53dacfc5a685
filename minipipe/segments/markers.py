"""Two classes that are passed around in place of an item: the ends of streams."""

from __future__ import annotations


class Sentinel:
    """Yielded by a Source (the class itself, not an instance), ends the stream.

    Returned by the functor of a segment in a loop, ends that segment.
    """


class EndOfStream(BaseException):
    """Thrown into a Regulator's coroutine when its input has ended: what it yields then counts.

    A BaseException, so that `except Exception` around the work does not swallow it.
    """
