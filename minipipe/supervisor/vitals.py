"""The interface to the vital signs of one worker, whatever brings them here."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Protocol

from minipipe.protocol.run.vital_signs import Call, EndStage, StartStage, Usage, VitalSigns


class Vitals(Protocol):
    """What can be seen of a worker from outside, also while it hangs or is stopped.

    Any thread may ask.  After `close` there is nothing but the last signs.
    """

    def signs(self) -> VitalSigns:
        """All of them now; the last ones, if it is gone."""

    def progress(self) -> Hashable | None:
        """Changes with progress; None if it is gone."""

    def call(self) -> Call | None:
        """The call that it is at now: of its functor, with an item, or STARTING; None: at none."""

    def call_began_s(self) -> float | None:
        """When that call began, by the monotonic clock, if the worker says so."""

    def fullness(self, inlet: int) -> tuple[int, int]:
        """How many items wait at one of its inlets, and how many may."""

    def occupancy(self, outlet: int) -> tuple[int, int]:
        """How many items of one of its outlets wait at their consumers, and how many may."""

    def start(self) -> StartStage:
        """What it does on the way to its functor."""

    def end(self) -> EndStage:
        """How far it is on its way out."""

    def is_stopped(self) -> bool:
        """Whether somebody has stopped its process (SIGSTOP)."""

    def cpu_time(self) -> Hashable | None:
        """Stays the same while its main thread does nothing; None if that cannot be seen."""

    def usage(self) -> Usage:
        """What its process takes of the machine; of one that is gone, what was seen last."""

    def end_waits_for(self) -> str:
        """What the end of its process waits for."""

    def expect_stack(self) -> None:
        """The next stack that it writes down is the one to give."""

    def stack(self) -> str:
        """Where it was when it wrote that down; empty if it has not."""

    def close(self) -> None:
        """Keeps the last signs, gives back the rest."""
