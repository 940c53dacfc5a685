"""Workers on other machines, and those that have no machine yet."""

from __future__ import annotations

import logging
import math
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from minipipe.process.logs import SUMMARY
from minipipe.protocol.hosts.names import LOCAL
from minipipe.protocol.run.link_use import LinkUse
from minipipe.protocol.run.placement import NoPlace, Place, Placement
from minipipe.protocol.run.room import Wanted
from minipipe.protocol.run.vital_signs import Call
from minipipe.segments.gpus import VARIABLE
from minipipe.supervisor.capture import Captured
from minipipe.supervisor.hosts import notices
from minipipe.supervisor.hosts.base import (
    Descriptors,
    Exited,
    HostLeaves,
    Last,
    Refused,
    Report,
    Started,
    Traced,
    Waits,
    ZygoteLost,
)
from minipipe.supervisor.hosts.gateway_client import GatewayClient
from minipipe.supervisor.hosts.gateway_words import Ask, Package, Said, Tell
from minipipe.supervisor.shared_page import SharedPage
from minipipe.worker.plan import Plan
from minipipe.worker.spec import WorkerSpec

logger = logging.getLogger("minipipe")

_KILLED = signal.SIGKILL.value  # as a wait status
_GATEWAY_LOST = "the process that all other machines are connected to has ended"


@dataclass
class Pending:
    """A worker that waits for a machine, with what it will be given there."""

    spec: WorkerSpec
    captured: Captured
    index: int
    fds: Descriptors

    def close(self) -> None:
        """Gives back what it would have been given."""
        for fd in (self.fds.out, self.fds.err, self.fds.side, self.fds.control):
            os.close(fd)


# Starts a worker on this machine, with this CUDA_VISIBLE_DEVICES (None: as it is).
StartHere = Callable[[Pending, str | None], None]


class Elsewhere:
    """All other machines as one host of workers (much as a `Host`).

    Attributes:
        links: what has gone over that of each machine.

    Args:
        gateway: of the run.
        placement: says which worker goes where.
        plan_of: what a zygote is to import for a functor.
        start_here: starts a worker whose turn it is on this machine.
        placed: is told of each worker that goes to another machine.
        lost_after_s: how long the machine of this worker may be silent.
    """

    def __init__(
        self,
        gateway: GatewayClient,
        placement: Placement,
        *,
        plan_of: Callable[[Captured], Plan],
        start_here: StartHere,
        placed: Callable[[int, str], object],
        lost_after_s: Callable[[int], float],
    ) -> None:
        self._gateway, self._placement = gateway, placement
        self._plan_of, self._start_here, self._placed = plan_of, start_here, placed
        self._lost_after_s = lost_after_s
        self._pending: dict[int, Pending] = {}
        self._pages: dict[int, SharedPage] = {}  # of those that were sent to another machine
        self._killed: list[int] = []  # while they waited for a machine
        self._waiting: set[int] = set()  # those of whom that was reported
        self._is_lost = False
        self.links: Mapping[str, LinkUse] = {}

    def start(
        self, wanted: Wanted, index: int, spec: WorkerSpec, captured: Captured, fds: Descriptors
    ) -> None:
        """Starts a worker where there is room, which may be here, or later.

        Args:
            wanted: what it asks for.
            index: of it, in its segment.
        """
        out, err, side = os.dup(fds.out), os.dup(fds.err), os.dup(fds.side)
        kept = Descriptors(out, err, side, fds.page, os.dup(fds.control))
        self._pending[wanted.worker] = Pending(spec, captured, index, kept)
        self._placement.wants(wanted)

    def took_here(self, wanted: Wanted) -> None:
        """A worker runs on this machine that could run on no other one."""
        self._placement.here(wanted)

    def settle(self) -> Iterator[Report]:
        """Starts those whose turn it is."""
        now_s = time.monotonic()
        for decision in self._placement.passed(now_s):
            pending = self._pending.pop(decision.worker, None)
            if pending is None:
                continue  # it runs already, or is dead
            try:
                if isinstance(decision, NoPlace):
                    why = f"{_GATEWAY_LOST}; {decision.why}" if self._is_lost else decision.why
                    yield Refused(decision.worker, 0, why)
                elif decision.host == LOCAL:
                    self._start_here(pending, decision.gpus)
                else:
                    self._send(decision, pending)
            finally:
                pending.close()
        waiting = self._pending.keys() & set(self._placement.waiting)
        yield from (Waits(worker) for worker in sorted(waiting - self._waiting))
        placed = (w for w in self._waiting - waiting if self._placement.host_of(w) is not None)
        yield from (Waits(worker, is_over=True) for worker in sorted(placed))
        self._waiting = waiting
        line = self._placement.line(now_s)
        if line is not None:
            logger.warning("%s", line)

    def _send(self, place: Place, pending: Pending) -> None:
        captured, spec = pending.captured, pending.spec
        assert captured.pickled is not None
        environment = {
            name: value
            for name, value in captured.environment.items()
            if os.environ.get(name) != value
        }
        if place.gpus is not None:
            environment[VARIABLE] = place.gpus
        memory = None if captured.memory is None else _content(captured.memory.fd)
        package = Package(
            spec,
            captured.pickled,
            self._lost_after_s(spec.ident),
            memory,
            self._plan_of(captured),
            environment,
        )
        page, fds = pending.fds.page, pending.fds
        self._pages[spec.ident] = page
        self._placed(spec.ident, place.host)
        given = [fds.out, fds.err, fds.side, page.fd, fds.control]
        self._gateway.ask(Ask.WORKER, spec.ident, fds=given)
        self._gateway.ask(Ask.PLACE, spec.ident, place.host, package)

    def has(self, worker: int) -> bool:
        return worker in self._pending or worker in self._pages

    def filenos(self) -> list[int]:
        return [] if self._is_lost else [self._gateway.fileno()]

    @property
    def look_every_s(self) -> float | None:
        due_s = -math.inf if self._killed else self._placement.due_s
        return None if due_s == math.inf else max(0.0, due_s - time.monotonic())

    def reports(self, readable: list[int]) -> Iterator[Report]:
        """What has happened to its workers since last asked."""
        killed, self._killed = self._killed, []
        for worker in killed:
            pending = self._pending.pop(worker, None)
            if pending is None:
                continue  # it was refused a machine meanwhile, which was reported
            last = Last(pending.fds.page.signs())
            pending.close()
            yield Exited(worker, _KILLED, last)
        if not self._is_lost and self._gateway.fileno() in readable:
            for said in self._gateway.told():
                yield from self._heard(said)
            if self._gateway.has_ended:
                self._is_lost = True
                self._placement.closes()
                logger.error("%s: no machine can join this run any more", _GATEWAY_LOST)
                yield from self._lost(tuple(self._pages), _GATEWAY_LOST, host="(all others)")
        yield from self.settle()

    def _heard(self, said: Said) -> Iterator[Report]:
        word, fields = said
        match word:
            case Tell.JOINED:
                self._placement.joined(fields[1])
                logger.log(SUMMARY, "%s", notices.joined(fields[1]))
            case Tell.LOST:
                host, why, workers = fields
                self._placement.lost(host)
                line = notices.lost(host, len(workers), why)
                logger.log(logging.WARNING if workers else SUMMARY, "%s", line)
                yield from self._lost(workers, why, host=host)
            case Tell.LEAVING:
                host, why = fields
                workers = self._placement.drains(host)
                self._gateway.ask(Ask.MAY_LEAVE, host)  # nobody is placed there behind this
                yield HostLeaves(host, why, tuple(w for w in workers if w in self._pages))
            case Tell.LINK:
                self.links = {**self.links, fields[0].host: fields[0]}
            case Tell.NOTE:
                logger.log(fields[0], "%s", fields[1])
            case Tell.STARTED:
                yield Started(*fields)
            case Tell.SPANS:
                yield Traced(*fields)
            case Tell.REFUSED:
                if self._over(fields[0]) is not None:
                    yield Refused(*fields)
            case Tell.EXITED:
                worker, status, condemned, stack = fields
                last = self._over(worker)
                if last is not None:
                    yield Exited(worker, status, Last(last.signs, condemned, stack))
            case Tell.ZYGOTE_LOST:
                _, workers, never_ready, code, why = fields
                yield from self._lost(workers, why, never_ready=never_ready, code=code)

    def _lost(
        self,
        workers: tuple[int, ...],
        why: str,
        *,
        never_ready: bool = False,
        code: int | None = None,
        host: str = "",
    ) -> Iterator[Report]:
        lasts = {worker: last for worker in workers if (last := self._over(worker)) is not None}
        if lasts:
            yield ZygoteLost(lasts, never_ready, code, why, host)

    def _over(self, worker: int) -> Last | None:
        """A worker's process is gone: what is known of it; None: that was said before."""
        page = self._pages.pop(worker, None)
        if page is None:
            return None
        self._placement.ended(worker)
        return Last(page.signs())

    def ended_here(self, worker: int) -> None:
        """A worker of this machine is gone: there is room for another one."""
        self._placement.ended(worker)

    def forget(self, worker: int) -> None:
        """A worker is over: nobody sends anything to it any more."""
        self._gateway.ask(Ask.FORGET, (worker,))

    def kill(self, worker: int, *, call: Call | None = None, hard: bool = False) -> None:
        """Kills a worker, as `Host.kill` says."""
        if worker in self._pending:
            if worker not in self._killed:
                self._placement.ended(worker)
                self._killed.append(worker)
        elif worker in self._pages:
            self._gateway.ask(Ask.KILL, worker, call, hard)

    def call_off(self) -> None:
        """Nobody is killed for a call any more."""
        self._gateway.ask(Ask.CALL_OFF)

    def ask_for_stack(self, worker: int) -> None:
        """Has a worker write down where it is."""
        if worker in self._pages:
            self._gateway.ask(Ask.STACK, worker)

    def close(self) -> None:
        """Ends the gateway, and with it the run on all other machines."""
        for pending in self._pending.values():
            pending.close()
        self._pending.clear()
        self._gateway.close()


def _content(fd: int) -> bytes:
    size_bytes, pieces, at = os.fstat(fd).st_size, list[bytes](), 0
    while at < size_bytes:  # (Linux gives at most 2 GiB at a time)
        pieces.append(os.pread(fd, size_bytes - at, at))
        at += len(pieces[-1])
    return b"".join(pieces)
