"""The conductor: waits for whatever happens in a run, and does what is decided about it."""

from __future__ import annotations

import logging
import os
import time
from collections import deque
from collections.abc import Sequence

from minipipe.errors import WireFormatError
from minipipe.process.describe import in_a_line
from minipipe.protocol.run import lifecycle as life
from minipipe.stream import wire
from minipipe.supervisor.effects import Effects
from minipipe.supervisor.enquiries import Enquiries
from minipipe.supervisor.hosts.base import Report
from minipipe.supervisor.observers import Observer, Observers
from minipipe.supervisor.processes import WorkerProcesses
from minipipe.supervisor.rundir import DirectoryWatch
from minipipe.supervisor.watchdog import Watchdog
from minipipe.supervisor.worker_messages import WorkerMessages
from minipipe.transport import Buffer, Inbox

logger = logging.getLogger("minipipe")

MESSAGES_A_TURN = 64  # then it looks again for wishes, deaths and what is due
PAUSE_S = 0.02  # between turns that fail


class Conductor:
    """Asks the lifecycle what to do about messages, deaths and wishes, until all is over.

    Attributes:
        posted: what has happened in other threads: wishes of the user's, failures of ours.

    Args:
        enquiries: where others ask how the run is doing.
        wake: a descriptor that is readable when something was posted.
    """

    def __init__(
        self,
        lifecycle: life.Lifecycle,
        processes: WorkerProcesses,
        effects: Effects,
        messages: WorkerMessages,
        watchdog: Watchdog,
        observers: Sequence[Observer],
        *,
        enquiries: Enquiries,
        wake: int,
    ) -> None:
        self.posted: deque[life.Event] = deque()
        self._lifecycle = lifecycle
        self._processes = processes
        self._effects = effects
        self._messages = messages
        self._watchdog = watchdog
        self._observers = Observers(observers, effects.failed)
        self._enquiries = enquiries
        self._wake_read = wake
        self._place: DirectoryWatch | None = None
        self._more = False  # messages may be left in the inbox, and do not end a wait any more

    @property
    def stopping(self) -> bool:
        """Whether the run is cut short, or a wish for that was posted."""
        posted = list(self.posted)
        return self._lifecycle.stopping or any(isinstance(e, life.StopAsked) for e in posted)

    def loop(self, inbox: Inbox, place: DirectoryWatch) -> None:
        """Does what the lifecycle decides, to the end.

        An error in it is a failure of the run, which then ends like any other: workers that are
        well leave their functors and run their `local_term`.
        """
        effects, self._place = self._effects, place
        self._handle(life.Began())
        while not self._lifecycle.finished:
            broken = self._lifecycle.broken
            readable = self._wait(inbox)
            if self._wake_read in readable:
                effects.attempt("waking up", os.read, self._wake_read, 4096)
            # Wishes and deaths first, and only so many messages at a time: workers may write them
            # faster than they are read here, and then this would never come to anything else.
            while self.posted:
                self._handle(self.posted.popleft())
            effects.attempt("looking for processes that ended", self._reap, readable)
            effects.attempt("receiving from workers", self._receive_some, inbox)
            for _ in range(len(effects.events)):  # what follows from these, in the next turn
                self._handle(effects.events.popleft())
            effects.retry()
            self._enquiries.look(readable)
            if self._lifecycle.stopping:
                for event in self._messages.of_pages():
                    self._handle(event)
            self._handle(life.Tick())
            effects.attempt("looking at what workers do", self._look)
            if self._lifecycle.broken is not broken:
                time.sleep(PAUSE_S)  # it may well fail again

    def note_if_given_up(self) -> None:
        """Says so in what the run has failed with, if a stop did not come to its end."""
        last, failure = self._lifecycle.broken, self._lifecycle.cause
        if self._lifecycle.gave_up and failure is not None:
            then = "" if last is None or last is failure else f": {in_a_line(last)}"
            failure.add_note(
                "minipipe: the stop did not come to its end, as the supervisor failed while it "
                f"stopped the run, so its workers were killed{then}"
            )

    def _timeout_s(self) -> float | None:
        """How long nothing needs to be done, if nothing happens."""
        if self._effects.events or self.posted or self._more:
            return 0.0
        now_s, lifecycle = time.monotonic(), self._lifecycle
        deadline_s = lifecycle.deadline_s
        times = [None if deadline_s is None else max(0.0, deadline_s - now_s)]
        times.append(self._processes.look_every_s)
        if self._place is not None:
            times.append(self._place.due_in_s(now_s))
        if not lifecycle.stopping:
            times.append(self._watchdog.due_in_s(now_s))
        times.append(self._observers.due_in_s(now_s))
        return min((t for t in times if t is not None), default=None)

    def _wait(self, inbox: Inbox) -> list[int]:
        """Waits until something may have happened; the descriptors that say so."""
        try:
            also = [self._wake_read, *self._processes.filenos(), *self._enquiries.filenos()]
            return inbox.wait(self._timeout_s(), also)
        except Exception as error:  # of any kind, as in `Effects.attempt`
            self._effects.failed(error, "waiting for workers")
            return []

    def _receive_some(self, inbox: Inbox) -> None:
        self._more = True
        for _ in range(MESSAGES_A_TURN):
            buffers = inbox.receive()
            if buffers is None:
                self._more = False
                return
            self._effects.attempt("reading what a worker says", self._take_in, buffers, inbox)

    def _take_in(self, buffers: list[Buffer], inbox: Inbox) -> None:
        try:
            message = wire.read(buffers, inbox)
        except WireFormatError as error:
            logger.warning("the supervisor dropped a message: %s", error)
            return
        for event in self._messages.of_message(message):
            self._handle(event)

    def _reap(self, readable: list[int]) -> None:
        for report in self._processes.reports(readable):
            # Before a death is judged: it may be that of a worker that could bind no socket.
            self._look_at_place(at_once=True)
            self._note(report)

    def _note(self, report: Report) -> None:
        """Takes up what has happened to a process."""
        try:
            events = list(self._messages.of_process(report))
        except Exception as error:  # of any kind; who is dead is dead all the same
            self._effects.failed(error, "finding out how a worker has died")
            events = [life.Died(worker, error) for worker in report.dead]
        for event in events:
            self._handle(event)

    def _look_at_place(self, *, at_once: bool = False) -> None:
        lost = None if self._place is None else self._place.look(time.monotonic(), at_once)
        if lost is not None:
            self._handle(life.StopAsked(outcome=life.Outcome.FAILED, cause=lost))

    def _look(self) -> None:
        self._look_at_place()
        if self._lifecycle.stopping:
            self._watchdog.end()
            return
        self._watchdog.look(time.monotonic(), at_work=self._lifecycle.is_at_work)

    def _handle(self, event: life.Event) -> None:
        now_s = time.monotonic()
        self._observers.event(event, now_s)
        for action in self._lifecycle.handle(event, now_s):
            if self._effects.carry_out(action):
                self._observers.action(action, now_s)
