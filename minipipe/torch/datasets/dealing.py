"""Which worker makes which batch, and which batch is next: the rules of DataLoader.

Batches are numbered in the order of the sampler. They are dealt round robin among the workers whose
part of the dataset has not ended (only an iterable dataset's can), at most `prefetch` for each
worker ahead of the loop. No process, socket or clock is known here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto
from itertools import cycle
from typing import Any


class Next(Enum):
    """What the loop has to do."""

    WAIT = auto()  # for what a worker answers
    TAKE = auto()  # the batch that is ready
    END = auto()  # there is nothing more


@dataclass(slots=True)
class _Task:
    worker: int
    is_ready: bool = False
    batch: Any = None


class Dealer:
    """The books of one pass.

    Args:
        workers: How many there are.
        prefetch: How many batches each may have ahead of the loop.
        in_order: Whether batches come in the order of their numbers.
        first: The number of the first batch; those before it were delivered by another loader.
    """

    def __init__(
        self, workers: int, prefetch: int, *, in_order: bool = True, first: int = 0
    ) -> None:
        self._prefetch = prefetch
        self._in_order = in_order
        self._dealt = self._next = first
        self._tasks: dict[int, _Task] = {}
        self._is_active = [True] * workers
        self._held = [0] * workers  # how many batches each has that the loop has not taken
        self._turns = cycle(range(workers))
        for _ in range(first % workers):
            next(self._turns)
        self._early: int | None = None  # ready out of order

    @property
    def ahead(self) -> int:
        """How many batches are asked for at the beginning."""
        return self._prefetch * len(self._held)

    def deal(self) -> tuple[int, int] | None:
        """Returns the number of a further batch, and its worker; None if nobody can make any."""
        for _ in self._held:
            worker = next(self._turns)
            if self._is_active[worker] and (self._in_order or self._has_room(worker)):
                break
        else:
            return None
        number = self._dealt
        self._tasks[number] = _Task(worker)
        self._held[worker] += 1
        self._dealt += 1
        return number, worker

    def _has_room(self, worker: int) -> bool:
        return self._held[worker] < self.ahead // sum(self._is_active)

    def arrived(self, number: int, batch: Any) -> None:
        """A worker has made a batch."""
        task = self._tasks[number]
        task.is_ready, task.batch = True, batch
        if not self._in_order:
            self._early = number

    def ended(self, worker: int, number: int) -> None:
        """A worker's part of the dataset ended before this batch: it makes no more."""
        self._is_active[worker] = False
        self._tasks.pop(number, None)

    def next(self) -> Next:
        """What is to be done now."""
        if self._early is not None:
            return Next.TAKE
        while self._next < self._dealt:
            task = self._tasks.get(self._next)
            if task is not None:
                if task.is_ready:
                    return Next.TAKE
                if self._is_active[task.worker]:
                    return Next.WAIT
                del self._tasks[self._next]
            self._next += 1
        return Next.END

    def take(self) -> tuple[int, Any]:
        """Returns the batch that is ready, with its number; only after `Next.TAKE`."""
        number = self._next if self._early is None else self._early
        self._early = None
        task = self._tasks.pop(number)
        self._held[task.worker] -= 1
        return number, task.batch

    @property
    def awaited(self) -> tuple[int, int]:
        """The number of the batch that the loop waits for, and its worker; after `Next.WAIT`."""
        return self._next, self._tasks[self._next].worker

    def open(self) -> Iterator[tuple[int, int]]:
        """Yields what was asked for and has not come: numbers in order, and workers."""
        for number, task in sorted(self._tasks.items()):
            if not task.is_ready and self._is_active[task.worker]:
                yield number, task.worker
