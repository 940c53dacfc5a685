"""Records: what workers say to the supervisor (`stream.records` has them all)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from minipipe.protocol.delivery.paths import Outputs
from minipipe.protocol.run.told import Counts
from minipipe.stream.fields import Report, Runs
from minipipe.stream.registry import record


@record(40)
class Bound(NamedTuple):
    """This worker's inbox has an address."""

    address: str


@record(41)
class Wired(NamedTuple):
    """This worker knows its peers, and its `local_init` has returned."""


@record(42)
class Done(NamedTuple):
    """This worker has done its work, and its `local_term` has returned."""

    result: Report = b""  # what that was; nothing: None


@record(43)
class Failed(NamedTuple):
    """This worker's functor has raised."""

    failure: Report


@record(44)
class Log(NamedTuple):
    """A line for the log."""

    level: int
    text: str
    once: bool = False  # whoever else says the same


@record(45)
class Rest(NamedTuple):
    """A worker in a loop has nothing to do."""

    ended: bool
    sent: Counts
    arrived: Counts


@record(46)
class Ended(NamedTuple):
    """A segment has ended itself: its other workers are to leave."""


@record(47)
class Resent(NamedTuple):
    """This sender sends so many items again."""

    region: int
    epoch: int
    items: int
    # What it knows to be done of the crash suspects (segment, number, outputs), so that nobody need
    # hear of these any more.
    settled: tuple[tuple[int, int, Outputs], ...]


@record(48)
class Skipped(NamedTuple):
    """The items that were skipped since the last such record."""

    ignored: int  # how many, whose exception was ignored
    text: str  # what the last of them said, or nothing
    unnumbered: int  # how many without a number failed, out of the segment's budget
    failed: Sequence[tuple[int, Outputs, Runs]]  # and those with one, by origin and outputs
    failure: Report  # the last of them


@record(49)
class Unloadable(NamedTuple):
    """This worker cannot load its functor, and binds no inbox."""

    failure: Report
