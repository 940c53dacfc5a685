"""Workers that are to be killed for one call of theirs, and for no other: what a host does."""

from __future__ import annotations

import time
from typing import Protocol

from minipipe.protocol.run.timeouts import Sentences, Step
from minipipe.protocol.run.vital_signs import Call, StartStage
from minipipe.supervisor.hosts.base import Last
from minipipe.supervisor.shared_page import SharedPage


class Signals(Protocol):
    """What can be done to a worker by who has started it."""

    def ask_for_stack(self, worker: int) -> None:
        """Has it write down where it is."""

    def halt(self, worker: int) -> None:
        """Stops it (SIGSTOP)."""

    def resume(self, worker: int) -> None:
        """Lets it go on (SIGCONT)."""

    def kill(self, worker: int, *, hard: bool = False) -> None:
        """Kills it (SIGKILL); hard: what has started it, too."""


class Condemned:
    """The workers of one host, their status pages, and those of them that are to be killed.

    Between the verdict and the end a call may return, and the next item is innocent.  So here,
    near the worker, it is looked once more what it is at.

    Args:
        signals: reaches the workers.
    """

    def __init__(self, signals: Signals) -> None:
        self._signals = signals
        self._sentences = Sentences()
        self._pages: dict[int, SharedPage] = {}
        self._carried_out: dict[int, str] = {}  # those that were killed for it, with their stacks

    def watch(self, worker: int, page: SharedPage) -> None:
        """A worker is to be started, with this page."""
        self._pages[worker] = page
        self._carried_out.pop(worker, None)

    def runs(self, worker: int, pid: int) -> None:
        """A worker's process exists."""
        self._pages[worker].pid = pid

    def condemn(self, worker: int, call: Call) -> None:
        """This worker is to be killed, if it is still at this call when it has said where it is."""
        if worker in self._sentences.workers or worker in self._carried_out:
            return
        self._sentences.condemn(worker, call, time.monotonic())
        page = self._pages[worker]
        if page.start() > StartStage.NO_PROCESS:  # else the signal for it would end it
            page.expect_stack()
            self._signals.ask_for_stack(worker)

    @property
    def due_in_s(self) -> float | None:
        """How soon the next step is due; None: never."""
        return self._sentences.due_in_s(time.monotonic())

    def look(self) -> None:
        """Takes the next step towards the end of each, if it is at that call still."""
        for worker in self._sentences.workers:
            page = self._pages[worker]
            stands = page.is_stopped()  # first: what a stopped worker is at does not change
            match self._sentences.step(worker, page.call(), time.monotonic(), stands=stands):
                case Step.HALT:
                    self._signals.halt(worker)
                case Step.RESUME:
                    self._signals.resume(worker)
                case Step.KILL:
                    self._carried_out[worker] = page.stack()
                    # One that has no process yet is waited for in vain: its host is what hangs.
                    self._signals.kill(worker, hard=not page.pid)
                case Step.WAIT | Step.SPARE:
                    pass

    def call_off(self) -> None:
        """Nobody is killed for a call any more."""
        for worker in self._sentences.halted:
            self._signals.resume(worker)
        for worker in self._sentences.workers:
            self._sentences.forget(worker)

    def last_of(self, worker: int) -> Last:
        """What is known of a worker whose process is gone; it is forgotten here."""
        self._sentences.forget(worker)
        stack = self._carried_out.pop(worker, None)
        return Last(self._pages.pop(worker).signs(), stack is not None, stack or "")
