"""`ZmqSink`: items become messages to other programs."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from minipipe.errors import ItemTypeError, OptionError
from minipipe.process.worker_info import get_worker_info
from minipipe.programs.codecs import Packs, packed, packing
from minipipe.programs.options import MAX_BYTES, check_topics, plan_socket
from minipipe.segments.kinds import Sink
from minipipe.segments.options import check_seconds
from minipipe.transport.curve import CurveClient, CurveServer
from minipipe.transport.program_socket import ProgramSocket, SocketPlan

logger = logging.getLogger("minipipe")

STOPPED_LINGER_S = 0.5  # of a run that was cut short
_OPTIONS = ("address", "pattern", "bind", "codec", "topic", "curve", "security", "hwm", "linger_s")
NO_END = object()


class ZmqSink(Sink):
    """Sends each item to other programs, as a message: anything that speaks ZeroMQ and msgpack.

        pline.add(mp.ZmqSink("ipc:///tmp/results", bind=True, end=None))

        # the other program, in which there is no MiniPipe
        socket = zmq.Context().socket(zmq.PULL)
        socket.connect("ipc:///tmp/results")
        while (message := socket.recv()) != msgpack.packb(None):
            item = msgpack.unpackb(message, object_hook=msgpack_numpy.decode)

    A "push" waits for a peer that has room, so a slow reader makes the pipeline wait.  Nothing is
    acknowledged: what a reader had received and not worked off when it died is lost, and so is what
    this Sink's worker had handed over to ZeroMQ and not sent when that dies (`hwm` messages for
    each peer, and what is in the kernel); the items that it had not finished are sent by its
    replacement, some of them perhaps twice.  A "pub" never waits: who is not there yet, or reads
    too slowly, misses messages.

    Args:
        address: "tcp://HOST:PORT", "ipc://PATH".
        pattern: "push" (each message goes to one of those who pull) or "pub" (to all who
            subscribe).
        bind: whether it waits for others to connect, in one process; else it connects, and several
            may (n_processes).
        codec: "msgpack-numpy", "minipipe" (for a ZmqSource with that codec), or a function that
            makes bytes of an item.
        end: is sent as a last message when the stream has come to its end (by each worker; with
            "push", to one peer).  Without it (default) nothing says so.
        topic: of a "pub": a message then has two frames, topic and item.
        curve, security, hwm: as for `mp.ZmqSource`.
        max_bytes: a larger item is not sent: it fails, as if a functor had raised at it.
        linger_s: at the end it stays so long for peers that have not read everything yet.
        name, **options: those of a Sink.

    Raises:
        OptionError: an option that does not exist, or with an impossible value.
        TransportError: in the run: the address is in use, or none of this machine.
        ItemTypeError: in the run: an item that the codec has no form for, or that is too large.
    """

    options = (*Sink.options, *_OPTIONS, "end", "max_bytes")
    read_only_functor = True

    def __init__(
        self,
        address: str,
        name: str = "ZmqSink",
        *,
        pattern: str = "push",
        bind: bool = False,
        codec: str | Callable[[Any], bytes] = "msgpack-numpy",
        end: Any = NO_END,
        topic: str | bytes | None = None,
        curve: CurveServer | CurveClient | None = None,
        security: str | None = None,
        hwm: int | None = None,
        max_bytes: int = MAX_BYTES,
        linger_s: float = 5.0,
        **options: Any,
    ) -> None:
        where = f"{type(self).__name__} {name!r}"
        if topic is not None and not isinstance(topic, str | bytes):
            raise OptionError(f"topic of {where} is a text or bytes, got {topic!r}")
        plan = plan_socket(
            where,
            address,
            pattern,
            ("push", "pub"),
            bind=bind,
            curve=curve,
            security=security,
            hwm=hwm,
            max_bytes=max_bytes,
            topics=check_topics(topic, pattern, "pub", where),
        )
        packs = packing(codec, where)
        linger = check_seconds(linger_s, "linger_s", where) or 0.0
        try:
            last = None if end is NO_END else packed(packs, end, where)
        except Exception as error:  # a codec of the user's may raise anything
            raise OptionError(f"end of {where} cannot be sent: {error}") from error
        if plan.bind:
            self.never_several = (
                f"one process can be bound to {plan.address.text!r}; several can connect "
                "(bind=False)"
            )
        if options.get("restart") is None:  # its `local_term` ends the socket, and gathers nothing
            options["restart"] = True
        super().__init__(MessageWriter(plan, packs, last, linger), name, **options)


@dataclass
class MessageWriter:
    """The functor: a function, as each item stands alone for it."""

    plan: SocketPlan
    packs: Packs
    last: bytes | None
    linger_s: float
    _socket: ProgramSocket | None = field(default=None, repr=False, compare=False)

    def local_init(self) -> None:
        self._socket = ProgramSocket(self.plan)

    def __call__(self, item: Any) -> None:
        message = packed(self.packs, item, self.plan.where)
        if len(message) > self.plan.max_bytes:
            why = f"its message has {len(message)} bytes, max_bytes={self.plan.max_bytes}"
            raise ItemTypeError("an item", type(item).__name__, why)
        self._send(message, lambda: True)

    def _send(self, message: bytes, goes_on: Callable[[], bool]) -> bool:
        assert self._socket is not None
        return self._socket.send([*self.plan.topics, message], goes_on)

    def minipipe_release(self) -> None:
        if self._socket is not None:
            self._socket.close(STOPPED_LINGER_S)
            self._socket = None

    def local_term(self) -> None:
        socket = self._socket
        if socket is None:
            return
        info = get_worker_info()
        finished = info is None or info.outcome == "finished"
        linger_s = self.linger_s if finished else min(self.linger_s, STOPPED_LINGER_S)
        try:
            if self.last is not None and finished:
                tries = iter(range(int(linger_s / 0.25)))
                if not self._send(self.last, lambda: next(tries, None) is not None):
                    logger.warning("%s: nobody had room for its end", self.plan)
        finally:
            self._socket = None
            unread = socket.close(linger_s)
        if unread:
            logger.warning(
                "%s: after %.1f s its peers had not read %d bytes, which may be lost",
                *(self.plan, linger_s, unread),
            )
