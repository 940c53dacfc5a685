"""Records: all that processes say to each other, a class for each, with its fields.

This is the one place where they stand.  Whoever says something makes one; `stream.wire` writes it,
and reads it on the other side, where it is found by its class.  A field may be added at the end;
with a default, who has no use for it need not know of it.  All processes of a run have the same
version of the wire (`wire.WIRE_VERSION`), so no process has to understand the records of another
one's version.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

from minipipe.protocol.delivery.intervals import Interval
from minipipe.protocol.delivery.paths import Outputs, Path
from minipipe.protocol.run.events import Counts, CrashSuspect
from minipipe.stream.fields import Definitions, Keys, Pickled, Runs, SlotRefs
from minipipe.stream.forms import Form

Record = TypeVar("Record", bound=NamedTuple)

FORMS: dict[int, Form] = {}  # by the number of the record, which stands for it on the wire
OPS: dict[type[NamedTuple], int] = {}


def record(op: int) -> Callable[[type[Record]], type[Record]]:
    """Makes a class a record that goes by this number, which no other one ever had."""

    def register(cls: type[Record]) -> type[Record]:
        assert op not in FORMS, (op, cls, FORMS[op].cls)
        FORMS[op], OPS[cls] = Form(cls), op
        return cls

    return register


def name_of(record: NamedTuple) -> str:
    """What a record is called in errors."""
    return FORMS[OPS[type(record)]].name


# ---------------------------------------------------------------- between workers
@record(1)
class Hello(NamedTuple):
    """I put to this stream, and you take from it."""

    stream: int
    segment: int
    address: str
    publisher: str  # where to subscribe; nothing: it is no broadcast
    with_everybody: bool  # whether also to what goes to everybody


@record(2)
class Grant(NamedTuple):
    """What a consumer has taken up, and how much may be under way to it."""

    stream: int
    taken: int
    finished: int
    window: int
    service_time_us: int
    window_scale: int


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
    # What the codec wrote; or, if it holds nothing but numbers that msgpack has itself, these: one
    # packing less for each small item.
    body: bytes | tuple[Any, ...]


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
    """This sender sends no more, and all it sent is settled."""

    region: int


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


@record(21)
class Join(NamedTuple):
    """A worker that came later; as `Peer`."""

    id: int
    segment: int
    address: str
    host: str


@record(22)
class Start(NamedTuple):
    """The sources may begin."""


@record(23)
class Drain(NamedTuple):
    """Take nothing new, and let what is under way come to its end."""


@record(24)
class Leave(NamedTuple):
    """All receivers are done: a stateless worker is, too."""


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
    # Items that workers have died of: one is kept in a file before it is tried again, and dropped
    # instead if it has killed two.
    crash_suspects: Sequence[CrashSuspect]


# ---------------------------------------------------------------- to the supervisor
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

    result: Pickled = b""  # what that was; nothing: None


@record(43)
class Failed(NamedTuple):
    """This worker's functor has raised."""

    failure: Pickled


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
    failure: Pickled  # the last of them


@record(49)
class Unloadable(NamedTuple):
    """This worker cannot load its functor, and binds no inbox."""

    failure: Pickled
