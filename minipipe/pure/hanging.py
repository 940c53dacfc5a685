"""Functors that take too long, and runs in which nothing moves: seen from the status pages."""

from __future__ import annotations

from collections.abc import Hashable, Mapping

FIRST_STALL_S = 60.0


class Timeouts:
    """Which workers have been at one item for too long.

    Args:
        limits_s: how long each may be at one item, by worker.
    """

    def __init__(self, limits_s: Mapping[int, float]) -> None:
        self._limits_s = dict(limits_s)
        self._seen: dict[int, tuple[Hashable, float]] = {}

    @property
    def every_s(self) -> float | None:
        """How often to look; None: nobody has a limit."""
        if not self._limits_s:
            return None
        return min(0.5, max(0.01, min(self._limits_s.values()) / 10))

    def limit_s(self, worker: int) -> float | None:
        """How long this worker may be at one item."""
        return self._limits_s.get(worker)

    def watch(self, worker: int, limit_s: float) -> None:
        """A new worker has this limit."""
        self._limits_s[worker] = limit_s

    def forget(self, worker: int) -> None:
        """This one is gone."""
        self._limits_s.pop(worker, None)
        self._seen.pop(worker, None)

    def look(self, now_s: float, at: Mapping[int, Hashable]) -> list[tuple[int, float]]:
        """Those over their limit, each with how long it has been at its item.

        Args:
            at: what each worker's functor is at, another value for each item; those that are in
                no functor, or at no item, are left out.
        """
        over = []
        for worker, limit_s in self._limits_s.items():
            what = at.get(worker)
            before = self._seen.get(worker)
            if what is None:
                self._seen.pop(worker, None)
            elif before is None or before[0] != what:
                self._seen[worker] = (what, now_s)
            elif now_s - before[1] > limit_s:
                over.append((worker, now_s - before[1]))
        return over


class Stall:
    """Whether anything moves in a run at all; says so after a minute, two, four, ..."""

    def __init__(self, first_s: float = FIRST_STALL_S) -> None:
        self._first_s = first_s
        self._next_s = first_s
        self._signs: Hashable = None
        self._since_s: float | None = None

    def look(self, now_s: float, signs: Hashable) -> float | None:
        """How long nothing has moved, if that is to be said now.

        Args:
            signs: whatever changes with progress.
        """
        if self._since_s is None or signs != self._signs:
            self._signs, self._since_s, self._next_s = signs, now_s, self._first_s
            return None
        stalled_s = now_s - self._since_s
        if stalled_s < self._next_s:
            return None
        self._next_s *= 2
        return stalled_s
