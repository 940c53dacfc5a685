"""A proxy between two hosts of a test: it delays, is narrow, stalls, and resets connections."""

from __future__ import annotations

import math
import selectors
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable

READ_BYTES = 65_536
MOST_WAITING = 64
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: closing sends RST, and drops what is on its way


class _Way:
    """One direction of one connection."""

    def __init__(self, source: socket.socket, target: socket.socket, is_first: bool) -> None:
        self.source, self.target, self.is_first = source, target, is_first
        self.waiting: deque[tuple[float, bytes]] = (
            deque()
        )  # when it goes on, and what; b"": its end
        self.ended = self.is_read = False


class Proxy:
    """Takes connections to a port of its own, and makes one to the target for each.

    Attributes:
        port: its own.
        delay_s: between what comes and what goes on.
        stalls: nothing goes on, as if a cable were pulled; new connections are not taken.
        bytes: that went through.
        cuts: after so many of them, all connections are reset.
        resets: how often they were.
        bytes_per_s: both ways together; what comes faster waits.
        kept: what came by the first connection, if it `keeps` that.
        connections: that were taken.

    Args:
        target: its port, or what gives that for each connection.
    """

    def __init__(self, target: int | Callable[[], int]) -> None:
        self._target = target if callable(target) else lambda: target
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._listening.setblocking(False)
        self.port: int = self._listening.getsockname()[1]
        self.delay_s = 0.0
        self.stalls = False
        self.bytes = self.connections = self.resets = 0
        self.cuts: deque[int] = deque()
        self.bytes_per_s = math.inf
        self._may_write, self._since_s = math.inf, time.monotonic()
        self._asked: deque[int] = deque()
        self.keeps, self.kept = False, bytearray()
        self._ways: list[_Way] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        self._thread.join()
        for way in self._ways:
            self._close(way)
        self._listening.close()

    def cut(self, after_bytes: int) -> None:
        """Resets all connections when so many more bytes have gone through (from any thread)."""
        self._asked.append(after_bytes)

    def _reset(self) -> None:
        self.resets += 1
        for way in self._ways:
            self._close(way)

    def _close(self, way: _Way, *, resets: bool = True) -> None:
        """Ends a connection: both of its ways."""
        for one in (way.source, way.target):
            if one.fileno() >= 0:
                if resets:
                    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                one.close()
        for other in self._ways:
            other.ended |= other.source in (way.source, way.target)

    def _run(self) -> None:
        while not self._stop.is_set():
            self._step()

    def _step(self) -> None:
        now_s = time.monotonic()
        while self._asked and not self.cuts:
            self.cuts.append(self.bytes + self._asked.popleft())
        if self.bytes_per_s < math.inf:
            more = self.bytes_per_s * (now_s - self._since_s)
            self._may_write = min(self._may_write + more, self.bytes_per_s / 20)
        self._since_s = now_s
        with selectors.DefaultSelector() as selector:
            if not self.stalls:
                selector.register(self._listening, selectors.EVENT_READ, None)
                for way in self._ways:
                    if len(way.waiting) < MOST_WAITING and not way.is_read:
                        selector.register(way.source, selectors.EVENT_READ, way)
            due = [way.waiting[0][0] for way in self._ways if way.waiting]
            left_s = min([0.01, *(due_s - now_s for due_s in due)]) if not self.stalls else 0.01
            for key, _ in selector.select(max(0.001, left_s)):
                if key.data is None:
                    self._accept()
                else:
                    self._read(key.data)
        now_s = time.monotonic()
        for way in self._ways if not self.stalls else []:
            while not way.ended and way.waiting and way.waiting[0][0] <= now_s:
                self._write(way)
        self._ways = [way for way in self._ways if not way.ended]

    def _accept(self) -> None:
        try:
            client, _ = self._listening.accept()
        except OSError:
            return  # it has gone already
        try:
            server = socket.create_connection(("127.0.0.1", self._target()), 1)
        except OSError:
            client.close()
            return
        self.connections += 1
        for one in (client, server):
            one.setblocking(False)
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._ways += [_Way(client, server, self.connections == 1), _Way(server, client, False)]

    def _read(self, way: _Way) -> None:
        if way.ended:
            return
        try:
            content = way.source.recv(READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            content = b""
        if self.keeps and way.is_first and len(self.kept) < READ_BYTES:
            self.kept += content
        way.is_read = not content
        way.waiting.append((time.monotonic() + self.delay_s, content))

    def _write(self, way: _Way) -> None:
        _, content = way.waiting.popleft()
        if not content:
            self._close(way, resets=False)
            return
        until_cut = self.cuts[0] - self.bytes if self.cuts else len(content)
        room = int(min(len(content), self._may_write))
        try:
            sent = way.target.send(content[: min(until_cut, room)]) if room else 0
        except BlockingIOError:
            sent = 0
        except OSError:
            self._close(way)
            return
        self.bytes += sent
        self._may_write -= sent
        if sent == until_cut and self.cuts:
            self.cuts.popleft()
            self._reset()
            return
        if sent < len(content):
            way.waiting.appendleft((time.monotonic() + 0.001, content[sent:]))
