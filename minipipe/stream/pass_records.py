"""Records about passes (`stream.records` has them all)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from minipipe.protocol.delivery.intervals import Interval
from minipipe.protocol.run.told import CrashSuspect
from minipipe.stream.registry import record


@record(32)
class Abandon(NamedTuple):
    """From the supervisor: a pass is left early, and what is under way anywhere is dropped."""

    pass_: int  # that begins by this
    regions: Sequence[tuple[int, int, Sequence[int]]]  # region, epoch, receivers
    dead: Sequence[Interval]
    crash_suspects: Sequence[CrashSuspect]


@record(50)
class PassDone(NamedTuple):
    """To the supervisor: this worker has come to the end of a pass, and is in the next one."""

    pass_: int
