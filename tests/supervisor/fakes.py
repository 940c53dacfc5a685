"""Workers that no process stands behind: their vital signs are what a test says."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field, replace

from minipipe.protocol.run.vital_signs import (
    STARTING,
    Call,
    EndStage,
    StartStage,
    Usage,
    VitalSigns,
)


@dataclass
class FakeVitals:
    """The vital signs of a worker somewhere else (a `Vitals`)."""

    now: VitalSigns = field(default_factory=VitalSigns)
    at: Call | None = None
    written: str = ""
    stopped: bool = False
    closed: bool = False
    waiting: tuple[int, int] = (0, 0)

    def show(self, call: Call | None = None, **signs: object) -> None:
        """From now on it shows this."""
        self.at, self.now = call, replace(self.now, start=StartStage.PAST, **signs)

    def signs(self) -> VitalSigns:
        return self.now

    def progress(self) -> Hashable | None:
        return None if self.closed else (self.at, self.now)

    def call(self) -> Call | None:
        if self.closed:
            return None
        return self.at if self.now.start is StartStage.PAST else STARTING

    def call_began_s(self) -> float | None:
        return None

    def occupancy(self, outlet: int) -> tuple[int, int]:
        return self.waiting

    def fullness(self, inlet: int) -> tuple[int, int]:
        return self.waiting

    def usage(self) -> Usage:
        return Usage()

    def start(self) -> StartStage:
        return self.now.start

    def end(self) -> EndStage:
        return self.now.end

    def is_stopped(self) -> bool:
        return self.stopped

    def cpu_time(self) -> Hashable | None:
        return None

    def end_waits_for(self) -> str:
        return "a fake"

    def expect_stack(self) -> None:
        self.written = ""

    def stack(self) -> str:
        return self.written

    def close(self) -> None:
        self.closed = True
