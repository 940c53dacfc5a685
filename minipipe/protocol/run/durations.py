"""How long calls took: a histogram of fixed size, and the quantiles that it tells.

Buckets are as wide as a fourth of a power of two, so a quantile is right to about a tenth, from a
microsecond to an hour, whatever came; and many such histograms add up to one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Final

BUCKETS: Final = 128
_PARTS: Final = 4  # of each power of two
_FIRST_BITS: Final = 10  # below 2 ** 10 ns all is one bucket


def bucket_of(duration_ns: int) -> int:
    """Which bucket a duration counts in.

    >>> bucket_of(0), bucket_of(1023), bucket_of(1024), bucket_of(1300), bucket_of(10**18)
    (0, 0, 1, 2, 127)
    """
    bits = duration_ns.bit_length()
    if bits <= _FIRST_BITS:
        return 0
    part = duration_ns >> (bits - 3) & 3
    return min(BUCKETS - 1, _PARTS * (bits - 1 - _FIRST_BITS) + part + 1)


def begin_ns(bucket: int) -> int:
    """The shortest duration that counts in a bucket.

    >>> [begin_ns(bucket) for bucket in range(6)]
    [0, 1024, 1280, 1536, 1792, 2048]
    """
    if not bucket:
        return 0
    octave, part = divmod(bucket - 1, _PARTS)
    return (_PARTS + part) << (_FIRST_BITS + octave) >> 2


def quantile_s(counts: Sequence[int], share: float) -> float | None:
    """How long the longest call took of this share of all, the shortest ones; in seconds.

    Args:
        counts: by bucket; empty, if nothing was counted.

    Returns:
        None where there was no call.
    """
    total = sum(counts)
    if not total:
        return None
    rank = max(1, math.ceil(share * total))
    bucket = next(i for i, below in enumerate(accumulate(counts)) if below >= rank)
    return _middle_ns(bucket) / 1e9


def _middle_ns(bucket: int) -> float:
    begin = begin_ns(bucket)
    end = begin_ns(bucket + 1) if bucket + 1 < BUCKETS else begin
    return (begin + end) / 2


def sum_s(counts: Sequence[int]) -> float:
    """How long all calls took together, about."""
    return sum(count * _middle_ns(bucket) for bucket, count in enumerate(counts)) / 1e9


def plus(some: Sequence[int], others: Sequence[int]) -> tuple[int, ...]:
    """Both together."""
    if not some or not others:
        return tuple(some or others)
    return tuple(a + b for a, b in zip(some, others, strict=True))


def by_powers_of_four(counts: Sequence[int]) -> Iterator[tuple[float, int]]:
    """How many calls took less than so many seconds: a few bounds, each four times the last."""
    below = list(accumulate(counts)) or [0] * BUCKETS
    for bucket in range(1, BUCKETS, 2 * _PARTS):
        yield begin_ns(bucket) / 1e9, below[bucket - 1]
