"""Whether a stream is empty because another one is full: found by following who waits for whom.

A join in step that has nothing on one stream, while another is full, asks the producers of the
empty one.  Who waits for input passes the question on to its own producers; who waits for room, to
those who have none for it; who is at work does not, since something may come of that.  If the
question comes back to the join by its full stream, they wait for each other (an artificial
deadlock: Parks 1995), and more room on that stream is the way out.  (Edge chasing: Chandy, Misra
and Haas 1983.)  Of several producers, or consumers, it takes but one way that comes back: another
one of them may still be at work, and then room is given a little early.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple


class Question(NamedTuple):
    """One step on the way: to this worker, about this stream."""

    worker: int
    join: int  # who wants to know
    number: int  # the join's own count of its questions
    stream: int
    down: bool  # to a consumer of the stream, which is full; else to a producer: it is empty


class Chase:
    """One worker's part in it."""

    def __init__(self, worker: int) -> None:
        self._worker = worker
        self._number = 0
        self._passed_on: dict[int, int] = {}  # by join: the last of its questions

    def ask(self, empty: Mapping[int, Iterable[int]]) -> list[Question]:
        """Begins anew, at a join: whom to ask.

        Args:
            empty: for each stream that is waited for, its producers.
        """
        self._number += 1
        return self._questions(self._worker, self._number, empty, down=False)

    def is_answer(self, join: int, number: int, *, down: bool) -> bool:
        """Whether this join's latest question has come back by a full stream; counts once."""
        if join != self._worker or not down or number != self._number:
            return False
        self._number += 1
        return True

    def passed_on(
        self,
        join: int,
        number: int,
        *,
        empty: Mapping[int, Iterable[int]],
        full: Mapping[int, Iterable[int]],
    ) -> list[Question]:
        """Whom to ask further.

        Args:
            empty: the streams that this worker waits for input on, with their producers.
            full: those that it waits for room on, with the consumers that have none.
        """
        if join == self._worker or number <= self._passed_on.get(join, 0) or not (empty or full):
            return []
        self._passed_on[join] = number
        if full:
            return self._questions(join, number, full, down=True)
        return self._questions(join, number, empty, down=False)

    @staticmethod
    def _questions(
        join: int, number: int, asked: Mapping[int, Iterable[int]], *, down: bool
    ) -> list[Question]:
        return [
            Question(worker, join, number, stream, down)
            for stream, workers in asked.items()
            for worker in workers
        ]
