"""What happens to a run, and what can be done about it: the words that the lifecycle speaks."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, IntEnum

from minipipe.protocol.delivery.intervals import Interval
from minipipe.protocol.delivery.membership import Peer
from minipipe.protocol.delivery.paths import Leaf, Outputs


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


# A segment, the identity of an item that its workers have died of, and how many of them.
CrashSuspect = tuple[int, int, int, Outputs, int]


# ------------------------------------------------------------------ events
@dataclass(frozen=True)
class Bound:
    """A worker's process runs and its inbox has an address."""

    worker: int
    address: str


@dataclass(frozen=True)
class Unloadable:
    """A worker cannot load its functor; it has not bound its inbox yet, and nobody knows it."""

    worker: int
    cause: BaseException


@dataclass(frozen=True)
class Wired:
    """A worker knows its peers, and its `local_init` has returned."""

    worker: int


@dataclass(frozen=True)
class Done:
    """A worker has done all its work, and its `local_term` has returned."""

    worker: int


@dataclass(frozen=True)
class Failed:
    """A worker's functor raised; the worker waits to be told to exit."""

    worker: int
    cause: BaseException
    at_the_end: bool = False  # in its local_term or the like: something was not saved


@dataclass(frozen=True)
class Leaving:
    """A stop has reached a worker: it is on its way out of its functor."""

    worker: int


@dataclass(frozen=True)
class Died:
    """A worker's process is gone; `cause` says how, if nobody had told it to go."""

    worker: int
    cause: BaseException
    item: Leaf | None = None  # what its functor was at
    known: int = 0  # deaths at this item that the worker had heard of when it began it
    counts: bool = True  # for max_restarts: it is not the same event as another one's death


@dataclass(frozen=True)
class Resent:
    """A sender knows how many items it sends again after a death."""

    worker: int
    region: int
    epoch: int
    items: int
    settled: tuple[tuple[int, int, Outputs], ...] = ()  # of what is charged (segment, ...)


Counts = tuple[tuple[int, int, int], ...]  # stream, the other worker, items so far


@dataclass(frozen=True)
class Rested:
    """A worker in a loop has nothing to do, until something comes round to it."""

    worker: int
    ended: bool  # it takes no more items
    sent: Counts
    received: Counts


@dataclass(frozen=True)
class SegmentEnded:
    """A worker's functor, or its term flag, has ended its segment."""

    worker: int


@dataclass(frozen=True)
class StopAsked:
    """The user wants the run to end: drain it, end it now, or (twice Ctrl-C) kill it."""

    drain: bool = False
    outcome: Outcome = Outcome.STOPPED
    cause: BaseException | None = None
    kill: bool = False


@dataclass(frozen=True)
class Broke:
    """Something in the supervisor itself has failed: no worker is to blame."""

    cause: BaseException


@dataclass(frozen=True)
class Tick:
    """Time has passed."""


Event = (
    Bound
    | Unloadable
    | Wired
    | Leaving
    | Done
    | Failed
    | Died
    | Resent
    | Rested
    | SegmentEnded
    | StopAsked
    | Broke
    | Tick
)


# ----------------------------------------------------------------- actions
@dataclass(frozen=True)
class SendInit:
    """Tells a new worker who is there (and the others that it is)."""

    worker: int
    peers: tuple[Peer, ...]
    epochs: tuple[tuple[int, int], ...] = ()  # region, epoch
    dead: tuple[Interval, ...] = ()
    crash_suspects: tuple[CrashSuspect, ...] = ()


@dataclass(frozen=True)
class SendFence:
    """Tells a worker of deaths in a region: what is under way there does not count any more."""

    worker: int
    region: int
    epoch: int
    dead: tuple[Interval, ...]
    receivers: tuple[int, ...]
    crash_suspects: tuple[CrashSuspect, ...] = ()  # items that workers have died of


@dataclass(frozen=True)
class Spawn:
    """Starts the process of a new worker, in the place of one that has died."""

    member: Member
    instead_of: int


@dataclass(frozen=True)
class Inherit:
    """Starts a worker again by fork, as it could not load its functor; its process is gone."""

    worker: int
    cause: BaseException


@dataclass(frozen=True)
class LogDeath:
    """Says in the log that a worker has died and was replaced, and what that costs."""

    worker: int
    items: int  # that are done again


@dataclass(frozen=True)
class LogLaterFailure:
    """Says in the log what has failed after the run had been stopped, or had failed already."""

    cause: BaseException


@dataclass(frozen=True)
class LogCutShort:
    """Says in the log that a worker is cut off in what it does last, as its grace has run out."""

    worker: int


@dataclass(frozen=True)
class TellSlowExit:
    """Says in the log what the end of a worker's process waits for."""

    worker: int


@dataclass(frozen=True)
class SetAside:
    """Names an item that two workers of a segment have died of, and keeps it, if it is to be."""

    item: Leaf
    segment: int


@dataclass(frozen=True)
class Acquit:
    """An item that one worker has died of is settled: what was kept of it is not needed."""

    item: Leaf
    segment: int


@dataclass(frozen=True)
class SendJoin:
    """Tells a worker of one that came after it."""

    worker: int
    peer: Peer


@dataclass(frozen=True)
class SendStart:
    """The sources may begin."""

    worker: int


@dataclass(frozen=True)
class SendDrain:
    """A source yields no more, as if it had ended."""

    worker: int


@dataclass(frozen=True)
class SendLeave:
    """A stateless worker, or one in a loop, has nothing more to expect."""

    worker: int


@dataclass(frozen=True)
class SendStop:
    """Leave the functor, run `local_term`, report."""

    worker: int
    outcome: Outcome


@dataclass(frozen=True)
class SendExit:
    """Nothing more is wanted of it."""

    worker: int


@dataclass(frozen=True)
class Kill:
    """SIGKILL; `hard`, when that did not help: to the process that started the worker, too."""

    worker: int
    hard: bool = False


@dataclass(frozen=True)
class Finish:
    """Everybody is gone: the run is over."""

    outcome: Outcome


Action = (
    SendInit
    | SendFence
    | Spawn
    | Inherit
    | LogDeath
    | LogLaterFailure
    | LogCutShort
    | TellSlowExit
    | SetAside
    | Acquit
    | SendJoin
    | SendStart
    | SendDrain
    | SendLeave
    | SendStop
    | SendExit
    | Kill
    | Finish
)


@dataclass(frozen=True)
class Member:
    """What the lifecycle has to know of a worker beforehand."""

    id: int
    segment: int
    is_source: bool = False
    is_stateless: bool = False
    receives_from: frozenset[int] = frozenset()  # regions in which it is a receiver
    works_in: frozenset[int] = frozenset()  # regions in which it is a stateless worker
    sends_to: frozenset[int] = frozenset()  # regions in which it is a sender
    loop: int | None = None  # the loop that it is in
    joins: bool = False  # it takes one item from each of several streams
    saves: bool = False  # it has a local_term worth waiting for
    is_caller: bool = False  # lives in the supervisor's own process
    restarts: bool = False  # it is replaced if it dies
    max_restarts: int = 3
    skips_poison: bool = False  # an item that has killed two workers is left out

    @property
    def regions(self) -> frozenset[int]:
        """All that it has a part in."""
        return self.works_in | self.receives_from | self.sends_to
