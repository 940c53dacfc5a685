"""Records: all that processes say to each other, a class for each, with its fields.

This is the one place where they stand (those to the supervisor are in `stream.reports`, those about
tickets in `stream.ticket_records`, about passes in `stream.pass_records`, about workers that leave
in `stream.departure_records`, about slots between hosts in `stream.freight_records`, about what
workers on other hosts write in `stream.letter_records`).
Whoever says something makes one; `stream.wire` writes it, and reads it on the other side, where it
is found by its class.
A field may be added at the end; with a default, who has no use for it need not know of it.  All
processes of a run have the same version of the wire (`wire.WIRE_VERSION`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from minipipe.protocol.delivery.intervals import Interval
from minipipe.protocol.delivery.membership import LOCAL_HOST
from minipipe.protocol.delivery.paths import Path
from minipipe.protocol.run.told import CrashSuspect
from minipipe.stream.departure_records import Bye, Gone, Last, Retire, Retiring, Taken
from minipipe.stream.fields import Definitions, Keys, Runs, SlotRefs
from minipipe.stream.freight_records import Freight, Landed
from minipipe.stream.letter_records import Kept, Letter, Spans, Suspect
from minipipe.stream.pass_records import Abandon, PassDone
from minipipe.stream.registry import FORMS, OPS, name_of, record
from minipipe.stream.reports import (
    Bound,
    Done,
    Ended,
    Failed,
    Log,
    Resent,
    Rest,
    Skipped,
    Unloadable,
    Wired,
)
from minipipe.stream.ticket_records import Offer, Recall, Returned

__all__ = [
    "FORMS",
    "OPS",
    "Abandon",
    "At",
    "Bound",
    "Bye",
    "Close",
    "Confirm",
    "Count",
    "Done",
    "Drain",
    "Dropped",
    "Ended",
    "Exit",
    "Failed",
    "Fence",
    "Fenced",
    "Freight",
    "Gone",
    "Grant",
    "Hello",
    "Init",
    "Items",
    "Join",
    "Kept",
    "Landed",
    "Last",
    "Leave",
    "Letter",
    "Log",
    "Mark",
    "Offer",
    "PassDone",
    "Probe",
    "Recall",
    "Resent",
    "Rest",
    "Retire",
    "Retiring",
    "Returned",
    "Skipped",
    "Spans",
    "Start",
    "Stop",
    "Suspect",
    "Taken",
    "Unloadable",
    "Wired",
    "name_of",
]


@record(1)
class Hello(NamedTuple):
    """I put to this stream, and you take from it."""

    stream: int
    segment: int
    address: str
    publisher: str  # where to subscribe; nothing: it is no broadcast
    with_everybody: bool  # whether also to what goes to everybody
    host: str = LOCAL_HOST  # that I run on, where these addresses are


@record(2)
class Grant(NamedTuple):
    """What a consumer has taken up, and how much may be under way to it."""

    stream: int
    consumed: int
    finished: int
    window: int
    service_time_us: int
    window_scale: int
    is_ticket: bool = False  # the window is what this producer has of the consumer's tickets


@record(3)
class Items(NamedTuple):
    """A parcel; the last record of its message, whose frames belong to it."""

    stream: int
    epoch: int
    origin: int
    runs: Runs
    path: Path
    done: Sequence[Path]
    select: Runs  # of one sent again: which positions of the body are meant; nothing: all
    keys: Sequence[tuple[int, Keys]]
    slots: SlotRefs  # all that the body refers to: mapped at once, before it is confirmed
    classes: Definitions
    # What the codec wrote; or numbers as msgpack has them: one packing less for each small item.
    body: bytes | tuple[Any, ...]
    # Of bundles, which `runs` are then: the numbers of the items that are in them.
    members: Runs = ()


@record(4)
class Confirm(NamedTuple):
    """These items have been received, or a function Sink has returned from them."""

    region: int
    epoch: int
    runs: Runs
    path: Path


@record(5)
class Dropped(NamedTuple):
    """Nothing came of these items, at this path."""

    region: int
    epoch: int
    runs: Runs
    path: Path


@record(6)
class Mark(NamedTuple):
    """A sender's settled watermark: all below this number is settled."""

    region: int
    number: int


@record(7)
class Close(NamedTuple):
    """This sender sends no more in this pass, and all it sent is settled."""

    region: int
    pass_: int = 0


@record(9)
class At(NamedTuple):
    """A receiver's low watermark: the lowest number that it still holds."""

    region: int
    number: int


@record(10)
class Fenced(NamedTuple):
    """What a receiver has taken of this sender's and not confirmed."""

    region: int
    epoch: int
    held: Sequence[tuple[Runs, Path]]


@record(11)
class Probe(NamedTuple):
    """Is that join's stream empty as its other one is full? (`protocol.flow.chasing`)"""

    join: int
    number: int
    stream: int
    down: bool


# ---------------------------------------------------------------- from the supervisor
@record(20)
class Init(NamedTuple):
    """Who is there: from now on this worker takes part."""

    epochs: Sequence[tuple[int, int]]  # region, epoch
    dead: Sequence[Interval]
    peers: Sequence[tuple[int, int, str, str]]  # as in JOIN
    crash_suspects: Sequence[CrashSuspect]
    workers: Sequence[tuple[int, int]]  # how many each segment around has (segment, workers)
    pass_: int = 0  # that the run is in


@record(21)
class Join(NamedTuple):
    """A worker that came later; as `Peer`."""

    id: int
    segment: int
    address: str
    host: str


@record(22)
class Start(NamedTuple):
    """The sources may begin this pass."""

    pass_: int = 0


@record(23)
class Drain(NamedTuple):
    """Take nothing new, and let what is under way come to its end."""


@record(24)
class Leave(NamedTuple):
    """Nothing more comes to this worker: it is stateless, in a loop, or of an ended segment."""


@record(25)
class Stop(NamedTuple):
    """The run ends now."""

    outcome: str


@record(26)
class Exit(NamedTuple):
    """Everybody is done: the process may end."""


@record(27)
class Fence(NamedTuple):
    """A death: what is under way in the region is dropped."""

    region: int
    epoch: int
    dead: Sequence[Interval]
    receivers: Sequence[int]
    # Items that workers have died of: kept in a file before they are tried again; at two, dropped.
    crash_suspects: Sequence[CrashSuspect]


@record(28)
class Count(NamedTuple):
    """So many workers a segment is to have from now on."""

    segment: int
    workers: int
