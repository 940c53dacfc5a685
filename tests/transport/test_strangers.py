"""A socket with a list of clients: friends come in, strangers do not, and stall nobody."""

from __future__ import annotations

import logging
import os
import random
import socket as tcp
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from typing import Any

import pytest
import zmq

import minipipe as mp
from minipipe.protocol.admission import Stranger
from minipipe.transport.addresses import parse_address
from minipipe.transport.program_socket import ProgramSocket, SocketPlan
from tests.conftest import wait_until
from tests.programs.conftest import free_port

SERVER, FRIEND, STRANGER = (mp.CurveKeys.new() for _ in range(3))
HALF_OPEN = 300


class Place:
    """One bound socket of ours, and the sockets of others that go there."""

    def __init__(self, pattern: str, stack: ExitStack) -> None:
        self.port = free_port()
        self.address = f"tcp://127.0.0.1:{self.port}"
        plan = SocketPlan(
            where="the socket",
            address=parse_address(self.address, "the socket", bind=True),
            pattern=pattern,
            bind=True,
            hwm=4,
            max_bytes=100_000,
            curve=mp.CurveServer(SERVER, [FRIEND.public]),
        )
        self._stack = stack
        self.ours = ProgramSocket(plan)
        stack.callback(self.ours.close, 0.0)

    def other(
        self, kind: int, keys: mp.CurveKeys | None = None, server: mp.CurveKeys = SERVER
    ) -> zmq.Socket[bytes]:
        """A socket of another program, with these keys."""
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._stack.callback(context.destroy, linger=0)
        socket = context.socket(kind)
        self._stack.callback(socket.close, 0)
        socket.linger = 0
        socket.setsockopt(zmq.SNDHWM, 10)
        socket.setsockopt(zmq.RCVHWM, 1)
        if keys is not None:
            socket.curve_serverkey = server.public.encode()
            socket.curve_publickey = keys.public.encode()
            socket.curve_secretkey = keys.secret.encode()
        socket.connect(self.address)
        return socket

    def raw(self, content: bytes) -> tcp.socket:
        """A connection of somebody who does not speak ZeroMQ, or not to the end."""
        connection = self._stack.enter_context(tcp.create_connection(("127.0.0.1", self.port)))
        connection.sendall(content)
        return connection

    def next(self) -> bytes:
        got: list[Any] = []

        def came() -> bool:
            message = self.ours.receive(0.05)
            got.extend([] if message is None else [message])
            return bool(got)

        wait_until(came, "a message")
        (frame,) = got[0]
        return bytes(frame)


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def pull(stack: ExitStack) -> Place:
    return Place("pull", stack)


def lines(caplog: pytest.LogCaptureFixture, kind: Stranger) -> list[str]:
    return [record.message for record in caplog.records if kind.value in record.message]


def test_a_friend_is_let_in(pull: Place, caplog: pytest.LogCaptureFixture) -> None:
    pull.other(zmq.PUSH, FRIEND).send(b"hello")
    assert pull.next() == b"hello"
    assert caplog.records == []


@pytest.mark.parametrize(
    ("keys", "server", "kind"),
    [
        (None, SERVER, Stranger.NO_HANDSHAKE),
        (STRANGER, SERVER, Stranger.WRONG_KEY),
        (FRIEND, STRANGER, Stranger.NO_HANDSHAKE),
    ],
    ids=["no key", "wrong key", "wrong server key"],
)
def test_a_stranger_is_not_and_is_logged_once(
    pull: Place,
    keys: mp.CurveKeys | None,
    server: mp.CurveKeys,
    kind: Stranger,
    caplog: pytest.LogCaptureFixture,
) -> None:
    strangers = [pull.other(zmq.PUSH, keys, server) for _ in range(5)]
    for stranger in strangers:
        with suppress(zmq.Again):  # it has heard already that it is not let in
            stranger.send(b"stranger", zmq.NOBLOCK)
    wait_until(lambda: lines(caplog, kind), "a line")
    pull.other(zmq.PUSH, FRIEND).send(b"friend")
    assert pull.next() == b"friend"
    assert pull.ours.receive(0.5) is None
    assert len(lines(caplog, kind)) == 1
    for keys_ in (SERVER, FRIEND, STRANGER):
        assert keys_.secret not in caplog.text and keys_.public not in caplog.text


def test_random_bytes_do_no_harm(pull: Place, caplog: pytest.LogCaptureFixture) -> None:
    drawn = random.Random(0)
    greeting = b"\xff" + b"\0" * 8 + b"\x7f\x03\x01" + b"CURVE".ljust(20, b"\0") + b"\0" * 32
    for size in (0, 1, 9, 10, 64, 1000, 100_000):
        pull.raw(drawn.randbytes(size))
        # A right greeting, then a command of random bytes; and a frame of 2^62 bytes.
        pull.raw(greeting + b"\x04" + bytes([min(size, 255)]) + drawn.randbytes(size))
        pull.raw(greeting + b"\x02" + (1 << 62).to_bytes(8, "big") + drawn.randbytes(size))
    pull.other(zmq.PUSH, FRIEND).send(b"friend")
    assert pull.next() == b"friend"
    wait_until(lambda: lines(caplog, Stranger.NO_HANDSHAKE), "a line")
    assert pull.ours.receive(0.2) is None


def test_half_open_handshakes_by_the_hundred_stall_nobody_and_are_cut_off(
    pull: Place, caplog: pytest.LogCaptureFixture
) -> None:
    before = len(os.listdir("/proc/self/fd"))
    silent = [
        pull.raw(b"" if number % 2 else b"\xff" + b"\0" * 8 + b"\x7f")
        for number in range(HALF_OPEN)
    ]
    pull.other(zmq.PUSH, FRIEND).send(b"friend")
    assert pull.next() == b"friend"

    def is_cut_off(connection: tcp.socket) -> bool:
        connection.setblocking(False)
        try:
            while connection.recv(4096):
                pass
            return True
        except BlockingIOError:
            return False
        except ConnectionError:
            return True

    wait_until(lambda: all(map(is_cut_off, silent)), "all to be cut off", 60.0)
    assert len(lines(caplog, Stranger.NO_HANDSHAKE)) == 1
    for connection in silent:
        connection.close()
    wait_until(lambda: len(os.listdir("/proc/self/fd")) < before + 50, "our ends to be closed")


def test_a_peer_that_never_reads_holds_up_no_other(stack: ExitStack) -> None:
    push = Place("push", stack)
    sleeper = push.other(zmq.PULL, FRIEND)
    reader = push.other(zmq.PULL, FRIEND)
    wait_until(lambda: len(push.ours.peers) == 2, "both to be there")
    got = 0
    for number in range(300):  # of 50 kB: far more than the sleeper's end and the kernel take
        message = b"%06d" % number + bytes(50_000)
        asked = 0

        def goes_on() -> bool:
            nonlocal asked, got
            while reader.poll(0):
                reader.recv()
                got += 1
            asked += 1
            return asked < 80

        while reader.poll(0):
            reader.recv()
            got += 1
        assert push.ours.send([message], goes_on)
    assert got > 100
    assert sleeper.poll(0)


def client_of(server: Place, keys: mp.CurveKeys, stack: ExitStack) -> ProgramSocket:
    plan = SocketPlan(
        where="the client",
        address=parse_address(server.address, "the client", bind=False),
        pattern="push",
        bind=False,
        hwm=4,
        max_bytes=1000,
        curve=mp.CurveClient(SERVER.public, keys),
    )
    client = ProgramSocket(plan)
    stack.callback(client.close, 0.0)
    return client


def test_what_a_handshake_at_the_clients_end_fails_of_is_logged_there(
    stack: ExitStack, caplog: pytest.LogCaptureFixture
) -> None:
    server = Place("pull", stack)
    client = client_of(server, STRANGER, stack)
    wait_until(lambda: lines(caplog, Stranger.REFUSED), "a line")
    assert not client.send([b"x"], lambda: False)
    (line,) = lines(caplog, Stranger.REFUSED)
    assert line.startswith("the client (tcp://127.0.0.1:") and "was not let in" in line


def test_between_two_of_ours_all_goes_encrypted(stack: ExitStack) -> None:
    server = Place("pull", stack)
    client = client_of(server, FRIEND, stack)
    for number in range(10):
        assert client.send([b"%d" % number], lambda: True)
    assert [server.next() for _ in range(10)] == [b"%d" % number for number in range(10)]


def test_that_nobody_comes_is_said_once(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("minipipe.transport.watch.LONELY_S", 0.2)
    with ExitStack() as stack, caplog.at_level(logging.WARNING, "minipipe"):
        place = Place("pull", stack)
        wait_until(lambda: "nobody is there yet" in caplog.text, "the line")
        assert place.ours.receive(0.5) is None
    assert caplog.text.count("nobody is there yet") == 1
