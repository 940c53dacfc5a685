"""Which arrays of an item are copied together, and where each of them lies then."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

# A copy costs some 10 us of the host and the GPU, whatever its size: up to here that is more than
# to put an array beside others first. And who keeps one of them on the GPU keeps all of them.
SMALL_BYTES = 64 * 1024
_ALIGNED_TO = 256  # as all that torch allocates there


class Packing(NamedTuple):
    """A plan for the arrays of an item, by their places in it.

    Attributes:
        together: The place of each small array, and the byte where it begins among them.
        together_bytes: What they come to.
        alone: The places of the others.
    """

    together: tuple[tuple[int, int], ...]
    together_bytes: int
    alone: tuple[int, ...]


def packed(sizes: Sequence[int]) -> Packing:
    """Plans how arrays of these sizes, in bytes, are copied; empty ones are not copied at all."""
    together: list[tuple[int, int]] = []
    alone: list[int] = []
    end = 0
    for place, size in enumerate(sizes):
        if size > SMALL_BYTES:
            alone.append(place)
        elif size:
            begin = -(-end // _ALIGNED_TO) * _ALIGNED_TO
            together.append((place, begin))
            end = begin + size
    return Packing(tuple(together), end, tuple(alone))
