"""Strangers at the port of a run: they get nothing, stall nothing, and are logged once."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import zmq

from minipipe.protocol.admission import Stranger
from minipipe.protocol.hosts.token import Token, parse_token
from minipipe.transport.curve import CurveClient, CurveKeys
from minipipe.transport.hosts.accepting import GUEST, Accepting
from minipipe.transport.hosts.invitation import guest_keys, server_key
from tests.conftest import DEADLOCK_S, wait_until
from tests.hosts.conftest import Hosts, Peer, exchanged, through
from tests.hosts.proxy import Proxy

KEYS = CurveKeys.new()
HALF_OPEN = 300
# The beginning of each connection of ZMTP 3.1, by its mechanism (ZeroMQ RFC 37).
GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x01" + b"CURVE".ljust(20, b"\0") + bytes(32)
HUGE_FRAME = b"\x06" + (1 << 40).to_bytes(8, "big")  # a command of a tebibyte
LARGE_FRAME = b"\x06" + (1 << 22).to_bytes(8, "big") + bytes(1 << 20)


class Crowd:
    """Those who were not invited, and what they have got."""

    def __init__(self, port: int, stack: ExitStack) -> None:
        self._port, self._stack = port, stack
        self.sockets: list[Any] = []
        self.raw: list[socket.socket] = []

    def with_keys(self, curve: CurveClient | None) -> None:
        """A socket of ZeroMQ that asks to join, and goes on doing so."""
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._stack.callback(context.term)
        other = context.socket(zmq.DEALER)
        self._stack.callback(other.close, 0)
        if curve is not None:
            curve.apply(other)
        other.connect(f"tcp://127.0.0.1:{self._port}")
        other.send_multipart([b"MPJ\1", b"k" * 32, b"a host of a test"])
        self.sockets.append(other)

    def says(self, content: bytes) -> None:
        """A connection of somebody who never reads."""
        one = self._stack.enter_context(socket.create_connection(("127.0.0.1", self._port)))
        self.raw.append(one)
        try:
            one.sendall(content)
        except OSError:
            pass  # it was cut already

    def has_got(self) -> int:
        """The most that anybody was sent, beyond the greeting of ZMTP."""
        assert not any(one.poll(0) for one in self.sockets)
        most = 0
        for one in self.raw:
            one.setblocking(False)
            content = b""
            try:
                content = one.recv(10_000)
            except OSError:
                pass  # nothing, or it was cut
            most = max(most, len(content))
        return max(0, most - len(GREETING))


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def answered_to(port: int, content: bytes) -> int:
    """Says this, and waits until it is cut off; how many bytes it got before."""
    got = 0
    with socket.create_connection(("127.0.0.1", port), DEADLOCK_S) as one:
        try:
            one.sendall(content)
            while more := one.recv(10_000):
                got += len(more)
        except ConnectionError:
            pass
    return got


def memory_bytes(peer: Peer) -> int:
    with open(f"/proc/{peer.process.pid}/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def lines(peer: Peer, kind: Stranger) -> list[str]:
    return [line for line in peer.log if kind.value in line]


def test_strangers_get_nothing_and_stall_nobody(hosts: Hosts, stack: ExitStack) -> None:
    counts = (300, 300)
    run = hosts.start("listen", count=counts[0], seed=1)
    said = run.until("token")
    token: Token = parse_token(said["token"])
    recording = Proxy(said["port"])
    hosts.stack.callback(recording.close)
    recording.keeps = True
    crowd = Crowd(said["port"], stack)
    before = memory_bytes(run)
    kinds: list[Callable[[], None]] = [
        lambda: crowd.with_keys(None),
        lambda: crowd.with_keys(CurveClient(server_key(token), CurveKeys.new())),
        lambda: crowd.with_keys(CurveClient(CurveKeys.new().public, guest_keys(token))),
        lambda: crowd.says(b""),
        lambda: crowd.says(os.urandom(5000)),
        lambda: crowd.says(b"GET / HTTP/1.1\r\n\r\n"),
        lambda: crowd.says(GREETING),
        lambda: crowd.says(GREETING + HUGE_FRAME),
        lambda: crowd.says(GREETING + LARGE_FRAME),
    ]
    for kind in kinds:
        kind()
        kind()
    for _ in range(HALF_OPEN):
        crowd.says(GREETING[:20])
    # A friend comes and works beside them.
    guest = hosts.start("join", token=through(recording, said["token"]), count=300, seed=2)
    exchanged(run, guest, counts, (1, 2))
    replayed = answered_to(said["port"], bytes(recording.kept))
    assert replayed < 300, "a greeting and a welcome of CURVE at most"
    wait_until(lambda: lines(run, Stranger.WRONG_KEY), "a line about a wrong key")
    wait_until(lambda: lines(run, Stranger.NO_HANDSHAKE), "a line about no handshake")
    assert crowd.has_got() == 0
    for kind in (Stranger.WRONG_KEY, Stranger.NO_HANDSHAKE):
        assert len(lines(run, kind)) < 4, "one, and on a slow machine one more for each minute"
    assert memory_bytes(run) - before < 60 << 20
    for secret in (guest_keys(token).secret, said["token"][60:]):
        assert not any(secret in line for line in [*run.log, *guest.log])


def test_who_was_invited_and_speaks_nonsense_is_lost_and_nothing_else(hosts: Hosts) -> None:
    run = hosts.start("listen", refuses="not you")
    token = parse_token(run.until("token")["token"])
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    guest = context.socket(zmq.DEALER)
    try:
        CurveClient(server_key(token), guest_keys(token)).apply(guest)
        guest.connect(token.endpoints[0].address)
        for content in ([b""], [b"MPJ"], [b"MPJ\1", b"k", b""], [b"\1" * 34], [b"x"] * 100):
            guest.send_multipart(content)
            assert guest.poll(20_000) and guest.recv_multipart()[0] == b"MPR"
        guest.send_multipart([b"MPJ\1", b"k" * 32, b""])
        assert guest.poll(20_000) and guest.recv_multipart() == [b"MPR", b"not you"]
    finally:
        guest.close(0)
        context.term()


@pytest.fixture
def accepting(stack: ExitStack) -> Accepting:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    stack.callback(context.term)
    accepting = Accepting(context, KEYS, "tcp://127.0.0.1:0", "the host")
    stack.callback(accepting.close)
    return accepting


def gets_in(port: int, keys: CurveKeys) -> bool:
    """Whether a handshake with these keys comes to its end, the first time."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    other: Any = context.socket(zmq.DEALER)
    succeeded, disconnected = zmq.Event.HANDSHAKE_SUCCEEDED, zmq.Event.DISCONNECTED
    failed = zmq.Event.HANDSHAKE_FAILED_NO_DETAIL | zmq.Event.HANDSHAKE_FAILED_AUTH
    monitor = other.get_monitor_socket(int(succeeded | disconnected | failed))
    try:
        CurveClient(KEYS.public, keys).apply(other)
        other.connect(f"tcp://127.0.0.1:{port}")
        assert monitor.poll(DEADLOCK_S * 1000)
        return int.from_bytes(monitor.recv_multipart()[0][:2], sys.byteorder) == int(succeeded)
    finally:
        other.disable_monitor()
        monitor.close(0)
        other.close(0)
        context.term()


def test_when_nobody_rules_any_more_who_comes_in_nobody_does(accepting: Accepting) -> None:
    friend = CurveKeys.new()
    accepting.admit(friend.public, "a friend")
    assert gets_in(accepting.port, friend) and not gets_in(accepting.port, CurveKeys.new())
    watch, accepting._watch = accepting._watch, None
    assert watch is not None
    accepting.socket.disable_monitor()  # or libzmq waits for somebody to read it
    watch.close()
    assert not gets_in(accepting.port, CurveKeys.new()) and not gets_in(accepting.port, friend)


def test_what_comes_without_a_name_is_nobodys(
    accepting: Accepting, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Unnamed:
        def recv_multipart(self, *_: object, **__: object) -> list[zmq.Frame]:
            return [zmq.Frame(b"connection"), zmq.Frame(b"MPJ")]

    with monkeypatch.context() as patched:
        patched.setattr(accepting, "socket", Unnamed())
        came = accepting.receive()
    assert came is not None and came.user == "" != GUEST
