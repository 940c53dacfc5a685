"""What the supervisor has said to one worker."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from minipipe.protocol.delivery.paths import Leaf
from minipipe.protocol.run.told import CrashSuspect
from minipipe.stream.page import Page
from minipipe.stream.time_use import TimeUse


class StopRun(BaseException):
    """Raised in the main thread, in the functor if need be, when the run is to end now."""


class PassLeft(BaseException):
    """Raised in the main thread, never in the functor, when a pass is to end early."""


def _nothing() -> None:
    """Does nothing."""


@dataclass
class Orders:
    """Orders of the supervisor to a worker of this segment, as far as they have come.

    Attributes:
        started: it may work, all are connected.
        pass_: the pass that this worker is in; if stateless, an item says which it is of.
        begun: the last pass that Sources were told to begin.
        left: the pass before was left early, and the main thread has not seen it yet.
        draining: a Source is to yield no more.
        leaving: nothing more comes, in a loop or to a stateless worker; what waits is worked off.
        exiting: the process may end.
        stopped: the outcome of the run, once told to stop.
        on_stop: called when that is told, by whatever thread serves.
        crash_suspects: items that workers of this segment have died of, and how many.
        letters: how many of this worker's letters and suspects the supervisor has written.
    """

    segment: int
    page: Page
    time_use: TimeUse
    started: bool = False
    pass_: int = 0
    begun: int = -1
    left: bool = False
    draining: bool = False
    leaving: bool = False
    exiting: bool = False
    stopped: str | None = None
    on_stop: Callable[[], None] = _nothing
    crash_suspects: dict[Leaf, int] = field(default_factory=dict)
    letters: int = 0

    def start(self, pass_: int) -> None:
        """All are connected, and work begins: from the first pass on time counts."""
        if not self.started:
            self.time_use.begin()
        self.started = True
        if self.begun >= 0:  # a DRAIN was for the pass before: one for good is followed by none
            self.draining = False
        self.begun = pass_

    def check(self) -> None:
        """Raises StopRun if the run is to end now, PassLeft if the pass is."""
        if self.stopped is not None:
            raise StopRun
        if self.left:
            raise PassLeft

    def stop(self, outcome: str) -> None:
        """The run is to end now; what is said first counts."""
        if self.stopped is None:
            self.stopped = outcome
            self.on_stop()

    def note_crash_suspects(self, crash_suspects: Sequence[CrashSuspect]) -> None:
        """These items have killed workers, and no others that are still open: so many of each."""
        self.crash_suspects.clear()  # the very dict: the loop that works has it
        for segment, origin, number, outputs, deaths in crash_suspects:
            if segment == self.segment:
                self.crash_suspects[origin, number, outputs] = deaths
        if not self.crash_suspects:
            self.page.deaths = 0
