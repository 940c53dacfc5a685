"""Items on their way between hosts: from the workers here to links, from links to the workers here.

    from a worker: [route, head, frame, ...]      on a link: [b"D" + route, head, frame, ...]

A route (`stream.routes`) names a host, and all receivers there: what is broadcast crosses once.
Arrays in slots of one host become frames here, and those slots of the other host there.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from minipipe.agent.joined import AT_MOST, JOINED, joined, parted
from minipipe.agent.way import Way
from minipipe.agent.words import DATA
from minipipe.errors import TransportError, WireFormatError
from minipipe.protocol.delivery.membership import LOCAL_HOST, SUPERVISOR
from minipipe.stream import wire
from minipipe.stream.lifting import Lifting
from minipipe.stream.lowering import Lowering
from minipipe.stream.memory import TEND_S
from minipipe.stream.outbox import inbox_name
from minipipe.stream.routes import read_route
from minipipe.transport import Buffer, Outlet, Transport
from minipipe.transport.hosts.local_inbox import LocalInbox

logger = logging.getLogger("minipipe")

TURN = 64  # so many messages, then others have theirs


class Parcel(NamedTuple):
    """A message of items, as it has come by a link.

    Attributes:
        host: that it is for.
        workers: there.
        message: head and frames, as workers get them.
        frames: as it came.
    """

    host: str
    workers: tuple[int, ...]
    message: Sequence[Buffer]
    frames: Sequence[Buffer]


def opened(frames: Sequence[Buffer]) -> Parcel:
    """What has come by a link, and begins with `DATA`.

    Raises:
        WireFormatError: it is no message of items.
    """
    route, message = bytes(frames[0])[len(DATA) :], frames[1:]
    if route.startswith(JOINED):
        route, message = route[len(JOINED) :], parted(message)
    if not message:
        raise WireFormatError("a message of items without a head")
    return Parcel(*read_route(route), message, frames)


class Relay:
    """Hands on what is for workers here, and sends on what is for workers elsewhere.

    Attributes:
        host: the name of this one.
        ways: to other hosts, by their names.
        direct: takes what goes to a host by a link with that, and says whether it has.
        lifting: what is done with arrays that come; its memory is what links receive them into.
        before_report: is called with the worker before what it says to the supervisor is sent on.

    Args:
        host: that name.
        directory: of the run, here.
        transport: makes connections to the workers here.
        supervisor: the address of the supervisor's inbox, if it is here.
        lifting: if it is there already.
    """

    def __init__(
        self,
        host: str,
        directory: str,
        transport: Transport,
        supervisor: str | None = None,
        lifting: Lifting | None = None,
    ) -> None:
        self.ways: dict[str, Way] = {}
        self.direct: Callable[[str, Sequence[Buffer]], bool] = lambda host, frames: False
        self.lifting, self._lowering = lifting or Lifting(), Lowering()
        self._tended_s = 0.0
        self.before_report: Callable[[int], object] | None = None
        self.host, self._directory = host, directory
        self._transport = transport
        self._inbox = LocalInbox(directory)
        self._outlets: dict[int, Outlet] = {}
        self._over: set[int] = set()
        if supervisor is not None:
            self._outlets[0] = transport.connect(supervisor)

    @property
    def socket(self) -> object:
        """To wait for input."""
        return self._inbox.socket

    def serve(self) -> bool:
        """Takes in some of what workers here have sent; whether there may be more."""
        now_s = time.monotonic()
        if now_s - self._tended_s >= TEND_S:
            self._tended_s = now_s
            self._lowering.tend()
            self.lifting.tend()
        for _ in range(TURN):
            message = self._inbox.receive()
            if message is None:
                return False
            if len(message) > 1 and not len(message[0]):
                self.lifting.landed(message[1])
                continue
            try:
                host, workers = read_route(message[0])
            except (WireFormatError, IndexError) as error:
                logger.warning("the gateway of host %r dropped a message: %s", self.host, error)
                continue
            if host == self.host:
                self._hand_over(workers, message[1:])
            else:
                if SUPERVISOR in workers and self.before_report is not None:
                    self._announce(message[1:])
                self._send(host, bytes(message[0]), self._lowering.lower(message[1:]))
        return True

    def _announce(self, report: Sequence[Buffer]) -> None:
        assert self.before_report is not None
        try:
            self.before_report(wire.read(report, self._inbox).sender)
        except WireFormatError:
            pass  # who gets it says so

    def arrived(self, parcel: Parcel) -> None:
        """A message of items has come by a link.

        Raises:
            WireFormatError: it should have gone elsewhere.
        """
        host, workers, message, frames = parcel
        if host == self.host:
            reached = [worker for worker in workers if self._outlet(worker) is not None]
            self._hand_over(reached, self.lifting.lift(message, reached))
        elif self.host != LOCAL_HOST:
            raise WireFormatError(f"host {self.host!r} was sent what is for host {host!r}")
        elif (way := self.ways.get(host)) is not None:  # two agents, without a link of their own
            way.send(frames)

    def _send(self, host: str, route: bytes, frames: Sequence[Buffer]) -> None:
        if len(frames) > AT_MOST:
            route, frames = JOINED + route, joined(frames)
        frames = [DATA + route, *frames]
        if self.direct(host, frames):
            return
        way = self.ways.get(host if self.host == LOCAL_HOST else LOCAL_HOST)
        if way is not None:  # else that host is lost: who was there is known to be dead, or will be
            way.send(frames)

    def _hand_over(self, workers: Iterable[int], frames: Sequence[Buffer]) -> None:
        for worker in workers:
            outlet = self._outlet(worker)
            if outlet is not None:
                outlet.send(frames)

    def _outlet(self, worker: int) -> Outlet | None:
        known = self._outlets.get(worker)
        if known is None and worker and worker not in self._over:
            path = os.path.join(self._directory, inbox_name(worker))
            if not os.path.exists(path):
                return None  # nobody is told of a worker before that is there: it is over, or none
            try:
                known = self._outlets[worker] = self._transport.connect(f"ipc://{path}")
            except TransportError as error:
                logger.warning("host %r reaches a worker no more: %s", self.host, error)
                self._over.add(worker)
        return known

    def forget(self, workers: Iterable[int]) -> None:
        """These are over: nothing is sent to them any more."""
        for worker in workers:
            self._over.add(worker)
            self.lifting.forget([worker])
            outlet = self._outlets.pop(worker, None)
            if outlet is not None:
                outlet.close()

    def close(self) -> None:
        """Ends it, with what was not handed over."""
        for way in self.ways.values():
            way.drop()
        self._inbox.close()
        self._transport.close()
        self._lowering.close()
        self.lifting.close()
