"""Events of a run: what happens to its workers, and what the lifecycle has to know of them."""

from __future__ import annotations

from enum import Enum, IntEnum
from functools import cached_property

from minipipe.protocol.delivery.membership import LOCAL_HOST
from minipipe.protocol.delivery.paths import Leaf, Outputs
from minipipe.protocol.frozen import frozen
from minipipe.protocol.run.told import Counts


class Phase(IntEnum):
    """How far a worker is."""

    STARTING = 0
    BOUND = 1
    WIRED = 2
    DONE = 3
    GONE = 4


class Outcome(Enum):
    """How a run ended; `local_term` can ask for it."""

    FINISHED = "finished"
    STOPPED = "stopped"
    INTERRUPTED = "interrupted"
    FAILED = "failed"


@frozen
class Member:
    """What the lifecycle has to know of a worker beforehand."""

    id: int
    segment: int
    is_source: bool = False
    is_stateless: bool = False
    receives_from: frozenset[int] = frozenset()  # regions in which it is a receiver
    works_in: frozenset[int] = frozenset()  # regions in which it is a stateless worker
    sends_to: frozenset[int] = frozenset()  # regions in which it is a sender
    fed_by: frozenset[int] = frozenset()  # segments that put to a stream that it takes from
    speaks_to: frozenset[int] | None = None  # segments that it may say something to; None: all
    loop: int | None = None  # the loop that it is in
    joins: bool = False  # it takes one item from each of several streams
    saves: bool = False  # it has a local_term worth waiting for
    is_caller: bool = False  # lives in the supervisor's own process
    restarts: bool = False  # it is replaced if it dies
    max_restarts: int = 3
    skips_poison: bool = False  # an item that has killed two workers is left out

    @cached_property
    def regions(self) -> frozenset[int]:
        """All that it has a part in."""
        return self.works_in | self.receives_from | self.sends_to

    def must_know(self, other: Member) -> bool:
        """Whether it has to be told of a worker that joins, or that one of it.

        Those of a segment say nothing to each other, and with a hundred of them that would be most
        of what is said at the start.
        """
        if not self.regions & other.regions:
            return False
        if self.speaks_to is None or other.speaks_to is None:
            return True
        if self.loop is not None and self.loop == other.loop:
            return True  # all in it are counted until nothing goes round any more
        return other.segment in self.speaks_to or self.segment in other.speaks_to


# ------------------------------------------------------------------ events
@frozen
class Began:
    """There is all that workers need: their processes can be started."""


@frozen
class ProcessStarted:
    """A worker's process, which was asked for, exists."""

    worker: int


@frozen
class Waits:
    """A worker's process was asked for, and no machine has room for it now.

    Attributes:
        is_over: one has, and it is being started there.
    """

    worker: int
    is_over: bool = False


@frozen
class LaunchFailed:
    """A worker's process could not be asked for, at the start of the run."""

    worker: int
    cause: BaseException


@frozen
class Bound:
    """A worker's process runs, on this host, and its inbox has an address there."""

    worker: int
    address: str
    host: str = LOCAL_HOST


@frozen
class Unloadable:
    """A worker cannot load its functor; it has not bound its inbox yet, and nobody knows it."""

    worker: int
    cause: BaseException


@frozen
class Wired:
    """A worker knows its peers, and its `local_init` has returned."""

    worker: int


@frozen
class Done:
    """A worker has done all its work, and its `local_term` has returned."""

    worker: int


@frozen
class PassDone:
    """A worker that keeps state has come to the end of a pass."""

    worker: int
    pass_: int


@frozen
class PassAsked:
    """The user wants one more pass, of a pipeline whose workers stay."""


@frozen
class PassLeft:
    """The user does not want the rest of this pass."""

    pass_: int


@frozen
class CloseAsked:
    """The user wants no more passes: the run is to end with the one that is on."""


@frozen
class Failed:
    """A worker's functor raised; the worker waits to be told to exit."""

    worker: int
    cause: BaseException
    at_the_end: bool = False  # in its local_term or the like: something was not saved


@frozen
class Leaving:
    """A stop has reached a worker: it is on its way out of its functor."""

    worker: int


@frozen
class Died:
    """A worker's process is gone; `cause` says how, if nobody had told it to go."""

    worker: int
    cause: BaseException
    item: Leaf | None = None  # what its functor was at
    known: int = 0  # deaths at this item that the worker had heard of when it began it
    counts: bool = True  # for max_restarts: it is not the same event as another one's death
    beside: tuple[Leaf, ...] = ()  # what it was at at the same time, in other threads


@frozen
class Resent:
    """A sender knows how many items it sends again after a death."""

    worker: int
    region: int
    epoch: int
    items: int
    settled: tuple[tuple[int, int, Outputs], ...] = ()  # of the crash suspects (segment, ...)


@frozen
class Rested:
    """A worker in a loop has nothing to do, until something comes round to it."""

    worker: int
    ended: bool  # it takes no more items
    sent: Counts
    received: Counts


@frozen
class SegmentEnded:
    """A worker's functor, or its term flag, has ended its segment."""

    worker: int


@frozen
class StopAsked:
    """The user wants the run to end: drain it, end it now, or (twice Ctrl-C) kill it."""

    drain: bool = False
    outcome: Outcome = Outcome.STOPPED
    cause: BaseException | None = None
    kill: bool = False


@frozen
class ScaleAsked:
    """A segment of stateless workers is to have so many of them, one at least."""

    segment: int
    workers: int


@frozen
class MoveAsked:
    """The machine of these workers wants to go: others are to take their places elsewhere.

    Each is of a segment that `ScaleAsked` could name.
    """

    workers: tuple[int, ...]


@frozen
class Broke:
    """Something in the supervisor itself has failed: no worker is to blame."""

    cause: BaseException


@frozen
class Tick:
    """Time has passed."""


Event = (
    Began
    | ProcessStarted
    | Waits
    | LaunchFailed
    | Bound
    | Unloadable
    | Wired
    | Leaving
    | Done
    | PassDone
    | PassAsked
    | PassLeft
    | CloseAsked
    | Failed
    | Died
    | Resent
    | Rested
    | SegmentEnded
    | StopAsked
    | ScaleAsked
    | MoveAsked
    | Broke
    | Tick
)
