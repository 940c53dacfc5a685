"""Errors that end a run: workers that died, items that killed them, and too many failures."""

from __future__ import annotations

from typing import Any

from minipipe.errors.base import MiniPipeError


def worker_in_words(worker: str, pid: int, host: str = "") -> str:
    """A worker, and where its process is.

    Args:
        pid: 0: it has no process yet.
        host: the machine that it runs on; nothing: this one.
    """
    where = f" on host {host!r}" if host else ""
    return f"worker {worker}{where}, {f'pid {pid}' if pid else 'not started yet'}"


class WorkerDiedError(MiniPipeError, RuntimeError):
    """A worker process ended without having been asked to."""

    def __init__(
        self,
        segment: str,
        worker: str,
        pid: int,
        how: str,
        item: str,
        why: str,
        outcome: str = "; the run was stopped",
        stack: str = "",
        host: str = "",
    ) -> None:
        super().__init__(segment, worker, pid, how, item, why, outcome, stack, host)
        self.segment = segment
        self.worker = worker
        self.pid = pid
        self.how = how
        self.item = item
        self.why = why
        self.outcome = outcome
        self.stack = stack
        self.host = host  # that it ran on; nothing: this one

    @property
    def description(self) -> str:
        """What happened, and where, without what became of it."""
        item = f" while it had {self.item}" if self.item else ""
        return (
            f"segment {self.segment!r} ({worker_in_words(self.worker, self.pid, self.host)}) "
            f"{self.how}{item}{self.why}"
        )

    def then(self, outcome: str, stack: str | None = None) -> WorkerDiedError:
        """The same with another outcome, which begins with a comma or the like."""
        return self._but(outcome=outcome, stack=self.stack if stack is None else stack)

    def because(self, why: str) -> WorkerDiedError:
        """The same with more to say of why."""
        return self._but(why=self.why + why)

    def _but(self, **other: str) -> WorkerDiedError:
        """The same, but for these."""
        told: dict[str, Any] = {
            "segment": self.segment,
            "worker": self.worker,
            "pid": self.pid,
            "how": self.how,
            "item": self.item,
            "why": self.why,
            "outcome": self.outcome,
            "stack": self.stack,
            "host": self.host,
        }
        return WorkerDiedError(**{**told, **other})

    @property
    def stack_shown(self) -> str:
        """Where its functor was, if that is known, as further lines."""
        return f"\nits functor was at:\n{self.stack}" if self.stack else ""

    def __str__(self) -> str:
        return f"{self.description}{self.outcome}{self.stack_shown}"


class PoisonError(MiniPipeError, RuntimeError):
    """An item that was in a segment's functor at two deaths."""

    def __init__(self, segment: str, item: str, first: str, second: str) -> None:
        super().__init__(segment, item, first, second)
        self.segment = segment
        self.item = item
        self.first = first
        self.second = second

    def __str__(self) -> str:
        return (
            f"{self.item} has killed two workers of segment {self.segment!r}, so the run was "
            f"stopped (poison='skip' goes on without such items): first {self.first}; then "
            f"{self.second}"
        )


class TooManyFailuresError(MiniPipeError, RuntimeError):
    """More items of a segment have failed than `max_failures` allows.

    Its cause is the last of these failures.
    """

    def __init__(self, segment: str, failures: int, items: int, allowed: str, last: str) -> None:
        super().__init__(segment, failures, items, allowed, last)
        self.segment = segment
        self.failures = failures
        self.items = items
        self.allowed = allowed
        self.last = last

    def __str__(self) -> str:
        items = f" of {self.items} items" if self.items else " items"
        return (
            f"{self.failures}{items} have failed in segment {self.segment!r} ({self.allowed}), so "
            f"the run was stopped; the last of them:\n{self.last}"
        )
