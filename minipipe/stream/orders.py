"""What the supervisor has said to one worker."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from minipipe.protocol.delivery.paths import Leaf
from minipipe.protocol.run.events import CrashSuspect
from minipipe.stream.page import Page


def _nothing() -> None:
    """Does nothing."""


@dataclass(slots=True)
class Orders:
    """Orders of the supervisor to a worker of this segment, as far as they have come.

    Attributes:
        started: it may work, all are connected.
        draining: a Source is to yield no more.
        leaving: nothing more comes, in a loop or to a stateless worker; what waits is worked off.
        exiting: the process may end.
        stopped: the outcome of the run, once told to stop.
        on_stop: called when that is told, by whatever thread serves.
        crash_suspects: items that workers of this segment have died of, and how many.
    """

    segment: int
    page: Page
    started: bool = False
    draining: bool = False
    leaving: bool = False
    exiting: bool = False
    stopped: str | None = None
    on_stop: Callable[[], None] = _nothing
    crash_suspects: dict[Leaf, int] = field(default_factory=dict)

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
