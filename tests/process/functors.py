"""Functors that many tests share.

They are not in the tests' own modules, which would be imported in every worker, with pytest.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any

import minipipe as mp


def same(x: Any) -> Any:
    return x


def both(x: Any) -> tuple[Any, Any]:
    return x, x


def uneven(x: int) -> int:
    """Takes longer for some items, so that workers that share them overtake each other."""
    time.sleep(0.003 if x % 7 == 0 else 0.0)
    return x


def endless() -> Iterator[int]:
    i = 0
    while True:
        yield i
        i += 1


class Collect:
    """A sink that returns what it got: an item, or a tuple of one from each upstream."""

    def local_init(self) -> None:
        self.items: list[Any] = []

    def run(self, *parts: Any) -> None:
        self.items.append(parts[0] if len(parts) == 1 else parts)

    def local_term(self) -> list[Any]:
        return self.items


class Slow(Collect):
    """A sink that takes its time for each item."""

    def __init__(self, pause_s: float) -> None:
        self.pause_s = pause_s

    def run(self, *parts: Any) -> None:
        time.sleep(self.pause_s)
        super().run(*parts)


def streams(count: int, **options: Any) -> list[mp.Stream]:
    """So many streams, called s0, s1, ..."""
    return [mp.Stream(f"s{i}", **options) for i in range(count)]


def run(segments: Sequence[mp.Segment], timeout_s: float = 30.0) -> tuple[mp.PipeSystem, Any]:
    """Runs these to their end; gives the system, and what the segment `keep` returned."""
    psys = mp.PipeSystem(segments).run()
    try:
        results = psys.close(timeout_s)
    except mp.RunTimeoutError:
        psys.stop()
        raise
    return psys, results.get("keep")
