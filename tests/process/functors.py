"""Functors that many tests share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import minipipe as mp


class Collect:
    """A sink that returns what it got: an item, or a tuple of one from each upstream."""

    def local_init(self) -> None:
        self.items: list[Any] = []

    def run(self, *parts: Any) -> None:
        self.items.append(parts[0] if len(parts) == 1 else parts)

    def local_term(self) -> list[Any]:
        return self.items


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
