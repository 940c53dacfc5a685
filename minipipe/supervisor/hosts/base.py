"""A host of worker processes: what starts them, kills them and reports their ends."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol

from minipipe.protocol.frozen import frozen
from minipipe.protocol.run.vital_signs import Call, VitalSigns
from minipipe.stream.records import Spans
from minipipe.supervisor.capture import Captured
from minipipe.supervisor.shared_page import SharedPage
from minipipe.worker.spec import WorkerSpec


@frozen
class Started:
    """A worker's process exists."""

    worker: int
    pid: int
    beside: tuple[str, ...] = ()  # other threads that ran here when it was forked from here
    dead: tuple[int, ...] = ()


@frozen
class Waits:
    """No machine has room for a worker now: it starts when one has.

    Attributes:
        is_over: one has, and it is being started there.
    """

    worker: int
    is_over: bool = False
    dead: tuple[int, ...] = ()


@frozen
class Last:
    """What was known of a worker near it when its process was gone."""

    signs: VitalSigns
    condemned: bool = False  # it was killed at the call that it had been condemned for
    stack: str = ""  # where it was then


@frozen
class Exited:
    """A worker's process is gone, with this wait status."""

    worker: int
    status: int
    last: Last

    @property
    def dead(self) -> tuple[int, ...]:
        return (self.worker,)


@frozen
class Refused:
    """A worker's process could not be made, for this reason (an errno, or in words)."""

    worker: int
    reason: int
    why: str = ""

    @property
    def dead(self) -> tuple[int, ...]:
        return (self.worker,)


@frozen
class ZygoteLost:
    """A zygote is gone, and with it the workers that it had started."""

    workers: Mapping[int, Last]
    never_ready: bool = False  # it had not even begun
    code: int | None = None  # what it ended with, then
    why: str = ""  # and what it has said about that
    host: str = ""  # it was a machine that is lost, with this name and for that reason

    @property
    def dead(self) -> tuple[int, ...]:
        return tuple(self.workers)


@frozen
class HostLeaves:
    """A machine wants to go, with these workers on it; no more are placed there."""

    host: str
    why: str
    workers: tuple[int, ...]
    dead: tuple[int, ...] = ()


@frozen
class Traced:
    """What a worker that was killed on another machine had written down of what it did.

    It comes before its `Exited`.
    """

    worker: int
    spans: Spans
    dead: tuple[int, ...] = ()


Report = Started | Waits | Refused | Exited | ZygoteLost | HostLeaves | Traced


@frozen
class Descriptors:
    """What a worker is given; its own ends, to be closed here once it has them."""

    out: int
    err: int
    side: int
    page: SharedPage
    control: int


class Host(Protocol):
    """A kind of place where worker processes run: a zygote's children, forks of this process."""

    def start(self, spec: WorkerSpec, captured: Captured, fds: Descriptors) -> Started | None:
        """Starts a worker; None: it was only asked for, `reports` will have its `Started`.

        Raises:
            StartError: that is not possible.
        """

    def has(self, worker: int) -> bool:
        """Whether it has this worker, as far as is known."""

    def kill(self, worker: int, *, call: Call | None = None, hard: bool = False) -> None:
        """Kills a worker (SIGKILL); `Exited` follows.

        Args:
            call: kills it only if it is still at this call, and not at once: it has the time to
                write down its stack, is halted (SIGSTOP), looked at once more, and goes on if that
                call has ended.  The host decides, as it is near the worker.
            hard: that was in vain: kills what stands between it and this process, too.
        """

    def call_off(self) -> None:
        """Nobody is killed for a call any more; who was halted for that goes on."""

    def ask_for_stack(self, worker: int) -> None:
        """Has a worker write down where it is, whatever it does."""

    def filenos(self) -> list[int]:
        """What is readable when `reports` has news."""

    @property
    def look_every_s(self) -> float | None:
        """How often to ask for `reports`, whatever is readable; None: `filenos` are enough."""

    def reports(self, readable: list[int]) -> Iterator[Report]:
        """What has happened to its workers since last asked."""

    def close(self) -> None:
        """Ends it, and whatever it may still have."""
