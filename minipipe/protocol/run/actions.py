"""Actions of a run: what the lifecycle decides is to be done, for the supervisor to carry out."""

from __future__ import annotations

from minipipe.protocol.delivery.intervals import Interval
from minipipe.protocol.delivery.membership import Peer
from minipipe.protocol.delivery.paths import Leaf
from minipipe.protocol.frozen import frozen
from minipipe.protocol.run.events import Member, Outcome
from minipipe.protocol.run.told import CrashSuspect


@frozen
class SendInit:
    """Tells a new worker who is there (and the others that it is)."""

    worker: int
    peers: tuple[Peer, ...]
    epochs: tuple[tuple[int, int], ...] = ()  # region, epoch
    dead: tuple[Interval, ...] = ()
    crash_suspects: tuple[CrashSuspect, ...] = ()
    workers: tuple[tuple[int, int], ...] = ()  # how many each segment around it has
    pass_: int = 0  # that the run is in


@frozen
class SendFence:
    """Tells a worker of deaths in a region: what is under way there does not count any more."""

    worker: int
    region: int
    epoch: int
    dead: tuple[Interval, ...]
    receivers: tuple[int, ...]
    crash_suspects: tuple[CrashSuspect, ...] = ()  # items that workers have died of


@frozen
class Launch:
    """Asks for the process of a worker, at the start of the run."""

    worker: int


@frozen
class Launched:
    """All processes that are wanted were asked for."""


@frozen
class Spawn:
    """Starts the process of a new worker, in the place of one that has died.

    Attributes:
        instead_of: The one that has died; of an additional worker, one like it, which stays.
    """

    member: Member
    instead_of: int
    is_additional: bool = False


@frozen
class Dismiss:
    """A worker is gone, and nobody takes its place: what it had is given back."""

    worker: int


@frozen
class Inherit:
    """Starts a worker again by fork, as it could not load its functor; its process is gone."""

    worker: int
    cause: BaseException


@frozen
class LogDeath:
    """Says in the log that a worker has died and was replaced, and what that costs."""

    worker: int
    items: int  # that are done again
    is_replaced: bool = True  # else it was to leave
    waits: bool = False  # the one in its place, for a machine that has room for it


@frozen
class LogLaterFailure:
    """Says in the log what has failed after the run had been stopped, or had failed already."""

    cause: BaseException


@frozen
class LogCutShort:
    """Says in the log that a worker is cut off in what it does last, as its grace has run out."""

    worker: int


@frozen
class LogSlowExit:
    """Says in the log what the end of a worker's process waits for."""

    worker: int


@frozen
class SetAside:
    """Names an item that two workers of a segment have died of, and keeps it, if it is to be."""

    item: Leaf
    segment: int


@frozen
class Acquit:
    """An item that one worker has died of is settled: what was kept of it is not needed."""

    item: Leaf
    segment: int


@frozen
class SendJoin:
    """Tells a worker of one that came after it."""

    worker: int
    peer: Peer


@frozen
class SendCount:
    """Tells a worker how many of a segment there are to be from now on."""

    worker: int
    segment: int
    workers: int


@frozen
class SendRetire:
    """A worker is to leave in mid-run, when it has worked off what these still send it."""

    worker: int
    producers: tuple[int, ...]


@frozen
class SendRetiring:
    """Tells a producer that one of its consumers is to leave: it is to be sent nothing more."""

    worker: int
    consumer: int


@frozen
class SendGone:
    """Tells a worker that another one has left, without a death."""

    worker: int
    gone: int


@frozen
class SendStart:
    """The sources may begin this pass."""

    worker: int
    pass_: int = 0


@frozen
class SendAbandon:
    """A pass is left early, and this one begins: nothing of what is under way counts."""

    worker: int
    pass_: int
    regions: tuple[tuple[int, int, tuple[int, ...]], ...]  # region, epoch, receivers
    dead: tuple[Interval, ...]
    crash_suspects: tuple[CrashSuspect, ...]


@frozen
class PassEnded:
    """A pass has come to its end, or was left early; the workers stay."""

    pass_: int
    left: bool


@frozen
class SendDrain:
    """A source yields no more, as if it had ended."""

    worker: int


@frozen
class SendLeave:
    """A stateless worker, or one in a loop, has nothing more to expect."""

    worker: int


@frozen
class SendStop:
    """Leave the functor, run `local_term`, report."""

    worker: int
    outcome: Outcome


@frozen
class SendExit:
    """Nothing more is wanted of it."""

    worker: int


@frozen
class Kill:
    """SIGKILL; `hard`, when that did not help: to the process that started the worker, too."""

    worker: int
    hard: bool = False


@frozen
class Finish:
    """Everybody is gone: the run is over."""

    outcome: Outcome


Action = (
    SendInit
    | SendFence
    | Launch
    | Launched
    | Spawn
    | Dismiss
    | Inherit
    | LogDeath
    | LogLaterFailure
    | LogCutShort
    | LogSlowExit
    | SetAside
    | Acquit
    | SendJoin
    | SendCount
    | SendRetire
    | SendRetiring
    | SendGone
    | SendStart
    | SendAbandon
    | PassEnded
    | SendDrain
    | SendLeave
    | SendStop
    | SendExit
    | Kill
    | Finish
)
