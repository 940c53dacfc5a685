"""Functors that take too long, and runs in which nothing moves: seen from the status pages."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from enum import Enum

FIRST_STALL_S = 60.0
START_S = (
    300.0  # with `timeout_s`, and without `start_timeout_s`: so long a start may take at least
)
STACK_S = 0.25  # a worker that hangs gets this long to write down its stack
HALT_S = 0.5  # and this long to come to a halt


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

    def due_in_s(self, now_s: float) -> float | None:
        """How soon the next one may be over its limit, or has to be looked at; None: never."""
        if not self._limits_s:
            return None
        ends = [
            max(0.0, since_s + self._limits_s[worker] - now_s) + 0.001
            for worker, (_, since_s) in self._seen.items()
            if worker in self._limits_s
        ]
        every_s = self.every_s
        return min(ends, default=every_s) if every_s is None else min([every_s, *ends])

    def look(
        self,
        now_s: float,
        at: Mapping[int, Hashable],
        since: Mapping[int, float] | None = None,
    ) -> list[tuple[int, float]]:
        """Those over their limit, each with how long it has been at its item.

        Args:
            at: what each worker's functor is at, another value for each item; those that are in
                no functor, or at no item, are left out.
            since: when that began, of those of whom it is known.
        """
        over = []
        for worker, limit_s in self._limits_s.items():
            what = at.get(worker)
            before = self._seen.get(worker)
            if what is None:
                self._seen.pop(worker, None)
                continue
            if before is None or before[0] != what:
                began_s = now_s if since is None else min(now_s, since.get(worker, now_s))
                before = self._seen[worker] = (what, began_s)
            if now_s - before[1] > limit_s:
                over.append((worker, now_s - before[1]))
        return over


class Step(Enum):
    """What is to be done next about a worker whose call takes too long."""

    WAIT = "wait"
    HALT = "stop it, so that it cannot come to the end of that call any more"
    KILL = "kill it: it is at that call"
    SPARE = "leave it alone: it has come to the end of that call"
    RESUME = "the same, and let it go on, as it was halted"


@dataclass
class _Sentence:
    call: Hashable
    at_s: float
    halted_at_s: float | None = None


class Sentences:
    """Workers that are to be killed for one call of theirs, and for no other.

    Between the verdict and the end a call may return, and the next item is innocent.  So a worker
    is halted first (SIGSTOP); then it is looked whether it is at that call still.
    """

    def __init__(self) -> None:
        self._of: dict[int, _Sentence] = {}

    @property
    def workers(self) -> tuple[int, ...]:
        """Those that are to be killed."""
        return tuple(self._of)

    @property
    def halted(self) -> tuple[int, ...]:
        """Those of them that were halted."""
        return tuple(w for w, sentence in self._of.items() if sentence.halted_at_s is not None)

    def due_in_s(self, now_s: float) -> float | None:
        """How soon the next step is due; None: never."""
        times = [
            s.at_s + STACK_S - now_s if s.halted_at_s is None else 0.002 for s in self._of.values()
        ]
        return max(0.0, min(times)) if times else None

    def condemn(self, worker: int, call: Hashable, now_s: float) -> None:
        """This worker is to be killed, if it is still at this call when it has said where it is."""
        if worker not in self._of:
            self._of[worker] = _Sentence(call, now_s)

    def forget(self, worker: int) -> None:
        """This one is gone."""
        self._of.pop(worker, None)

    def step(self, worker: int, call: Hashable, now_s: float, *, stands: bool) -> Step:
        """What to do now.

        Args:
            call: what the worker is at now; looked up after `stands`.
            stands: its process was seen stopped.
        """
        sentence = self._of[worker]
        halted = sentence.halted_at_s
        if call != sentence.call:
            self.forget(worker)
            return Step.SPARE if halted is None else Step.RESUME
        if now_s < sentence.at_s + STACK_S:
            return Step.WAIT
        if stands or (halted is not None and now_s >= halted + HALT_S):
            self.forget(worker)
            return Step.KILL
        if halted is None:
            sentence.halted_at_s = now_s
            return Step.HALT
        return Step.WAIT


class Since:
    """What is the same for how long, for each of several; said once, or ever more rarely.

    Args:
        first_s: when it is said first; then after twice that, and so on.
        once: it is said once.
    """

    def __init__(self, first_s: float, *, once: bool = False) -> None:
        self._first_s = first_s
        self._once = once
        self._seen: dict[int, tuple[Hashable, float, float]] = {}  # what, since when, said next

    def look(self, now_s: float, at: Mapping[int, Hashable]) -> list[tuple[int, float]]:
        """Those of which it is to be said now that they are at the same, and for how long.

        Args:
            at: what each is at; those that are at nothing are left out.
        """
        due = []
        for gone in self._seen.keys() - at.keys():
            del self._seen[gone]
        for worker, what in at.items():
            before = self._seen.get(worker)
            if before is None or before[0] != what:
                self._seen[worker] = (what, now_s, self._first_s)
                continue
            _, since_s, next_s = before
            if now_s - since_s >= next_s:
                due.append((worker, now_s - since_s))
                self._seen[worker] = (what, since_s, float("inf") if self._once else 2 * next_s)
        return due


class Stall:
    """Whether anything moves in a run at all; says so after a minute, two, four, ..."""

    def __init__(self, first_s: float = FIRST_STALL_S) -> None:
        self._first_s = first_s
        self._next_s = first_s
        self._signs: Hashable = None
        self._since_s: float | None = None

    def rest(self) -> None:
        """Nothing is to move now."""
        self._since_s = None

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
