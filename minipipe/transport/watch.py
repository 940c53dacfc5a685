"""A thread beside one socket: admits keys, sees peers come and go, and says who was refused.

    watch = SocketWatch(context, socket, "ZmqSource 'feed' (tcp://*:5555)", curve)
    socket.bind(...)                      # not before: libzmq lets in everybody without a handler
    ...
    socket.close(); watch.close()         # before the context is terminated

ZeroMQ asks for each CURVE client whether it is to be let in (ZAP, RFC 27), by a socket that one
thread of the context answers; and it tells of handshakes by a monitor, which has to be read, as its
I/O thread waits if nobody does.  The owner of the socket may be in a functor for minutes.
"""

from __future__ import annotations

import logging
import os
import struct
import threading
import time
from typing import Any

import zmq

from minipipe.protocol.admission import Admission, Stranger, StrangerLog
from minipipe.transport.curve import CurveClient, CurveServer, raw_key

logger = logging.getLogger("minipipe")

Curve = CurveServer | CurveClient | None

ZAP_ENDPOINT = "inproc://zeromq.zap.01"
LONELY_S = 10.0  # without any peer, so long is said nothing
TURN = 64  # so many requests and events, then it looks at all else
_EVENT = struct.Struct("=HI")

_CAME = int(zmq.Event.CONNECTED | zmq.Event.ACCEPTED)
_LEFT = int(zmq.Event.DISCONNECTED)
_READY = int(zmq.Event.HANDSHAKE_SUCCEEDED)
_FAILED = int(zmq.Event.HANDSHAKE_FAILED_NO_DETAIL | zmq.Event.HANDSHAKE_FAILED_PROTOCOL)
_DENIED = int(zmq.Event.HANDSHAKE_FAILED_AUTH)


class SocketWatch:
    """The thread; it has begun, and answers, when this is made.

    Attributes:
        peers: descriptors of the connections that there are now, those still in their handshake
            included.
        ready: set once a peer has come to the end of its handshake.

    Args:
        context: of the socket, and of no other one with a list of clients.
        where: the socket, for what is logged.
        curve: how it is secured.
        admission: whom a server lets in, if that changes; None: the clients of `curve`.
        lonely_s: so long without any peer, and that is said; None: it never is.
    """

    def __init__(
        self,
        context: zmq.Context[Any],
        socket: zmq.Socket[Any],
        where: str,
        curve: Curve,
        *,
        admission: Admission | None = None,
        lonely_s: float | None = LONELY_S,
    ) -> None:
        self.peers: frozenset[int] = frozenset()
        self.ready = threading.Event()
        self._where = where
        self._is_client = isinstance(curve, CurveClient)
        self._log = StrangerLog(where)
        self._admission = admission
        self._zap: zmq.Socket[bytes] | None = None
        self._began_s = time.monotonic()
        self._lonely_s = lonely_s or 0.0
        self._is_said = lonely_s is None  # that nobody is there
        # All are made here, and handed over to the thread before it starts.
        self._monitor = socket.get_monitor_socket(_CAME | _LEFT | _READY | _FAILED | _DENIED)
        if admission is None and isinstance(curve, CurveServer):
            keys = [raw_key(key, "a client's key") for key in curve.clients]
            self._admission = Admission(keys)
        try:
            if self._admission is not None:
                self._zap = context.socket(zmq.ROUTER)
                self._zap.setsockopt(zmq.LINGER, 0)
                self._zap.bind(ZAP_ENDPOINT)
            self._wake, self._waker = os.pipe()
        except BaseException:  # (open, they would keep the end of the context waiting for ever)
            self._close_sockets()
            raise
        self._thread = threading.Thread(target=self._run, name="minipipe watch", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Ends the thread, once the socket is closed; says who was not said yet."""
        os.close(self._waker)
        self._thread.join()
        for line in self._log.last():
            logger.warning("%s", line)

    def _run(self) -> None:
        poller = zmq.Poller()
        for watched in (self._wake, self._monitor, self._zap):
            if watched is not None:
                poller.register(watched, zmq.POLLIN)
        try:
            while True:
                ready = dict(poller.poll(self._timeout_ms()))
                if self._wake in ready:
                    return
                for _ in range(TURN):
                    if not self._serve():
                        break
                self._say()
        finally:
            self._close_sockets()
            os.close(self._wake)

    def _close_sockets(self) -> None:
        self._monitor.close(linger=0)
        if self._zap is not None:
            self._zap.close(linger=0)

    def _serve(self) -> bool:
        """Takes a request and an event; False if there was neither."""
        request = None if self._zap is None else _received(self._zap)
        if request is not None:
            self._answer(request)
        event = _received(self._monitor)
        if event is not None:
            self._note(*_EVENT.unpack(event[0]))
        return request is not None or event is not None

    def _answer(self, request: list[bytes]) -> None:
        assert self._zap is not None and self._admission is not None
        at = request.index(b"") + 1 if b"" in request else len(request)
        reply, stranger = self._admission.answer(request[at:])
        self._zap.send_multipart([*request[:at], *reply])
        if stranger is not None:
            self._refused(stranger)

    def _note(self, event: int, value: int) -> None:
        if event & _CAME:
            self.peers |= {value}
        elif event & _LEFT:
            self.peers -= {value}
        elif event & _READY:
            self.ready.set()
        elif event & _FAILED or (event & _DENIED and self._is_client):
            self._refused(Stranger.REFUSED if self._is_client else Stranger.NO_HANDSHAKE)

    def _refused(self, stranger: Stranger) -> None:
        line = self._log.note(stranger, time.monotonic())
        if line:
            logger.warning("%s", line)

    def _timeout_ms(self) -> int | None:
        due = [] if (due_s := self._log.due_at_s()) is None else [due_s]
        if not self._is_said:
            due.append(self._began_s + self._lonely_s)
        left_s = min(due, default=None)
        return None if left_s is None else max(0, int((left_s - time.monotonic()) * 1000) + 1)

    def _say(self) -> None:
        now_s = time.monotonic()
        for line in self._log.due(now_s):
            logger.warning("%s", line)
        if not self._is_said and (self.ready.is_set() or now_s - self._began_s >= self._lonely_s):
            self._is_said = True
            if not self.ready.is_set():
                logger.warning(
                    "%s: nobody is there yet, after %.0f s (one end binds, the other connects)",
                    *(self._where, self._lonely_s),
                )


def _received(socket: zmq.Socket[bytes]) -> list[bytes] | None:
    try:
        return socket.recv_multipart(zmq.NOBLOCK)
    except zmq.Again:
        return None
