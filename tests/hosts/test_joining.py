"""Joining a run: by any of its addresses, or with a clear answer why not."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace

import pytest

from minipipe.errors import JoinError, OptionError, TransportError
from minipipe.protocol.hosts.endpoints import Endpoint
from minipipe.protocol.hosts.joining import Answer, JoinRequest, Refused, Welcome
from minipipe.protocol.hosts.token import Token
from minipipe.transport.curve import CurveKeys
from minipipe.transport.hosts.host_sockets import HostSockets
from minipipe.transport.hosts.invitation import guest_keys, invite, z85_key
from minipipe.transport.hosts.join import join
from tests.programs.conftest import free_port

KEYS = CurveKeys.new()


class Run:
    """A run that can be joined, served by a thread."""

    def __init__(self, address: str, answer: Callable[[JoinRequest], Answer]) -> None:
        self.asked: list[JoinRequest] = []
        self._answer = answer
        self._stop, self._began = threading.Event(), threading.Event()
        self.draft = invite([Endpoint("127.0.0.1", 1)], KEYS)
        self._address, self.port = address, 0
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()
        assert self._began.wait(20)

    def token(self, *hosts: str) -> Token:
        endpoints = tuple(Endpoint(host, self.port) for host in hosts or ("127.0.0.1",))
        return replace(self.draft, endpoints=endpoints)

    def _serve(self) -> None:
        sockets = HostSockets("the run", KEYS)
        try:
            self.port = sockets.listen(self._address, guest_keys(self.draft).public, self._on_join)
            self._began.set()
            while not self._stop.is_set():
                sockets.serve(0.05)
        finally:
            sockets.close()

    def _on_join(self, request: JoinRequest) -> Answer:
        self.asked.append(request)
        return self._answer(request)

    def close(self) -> None:
        self._stop.set()
        self._thread.join()


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def run(stack: ExitStack) -> Run:
    run = Run("tcp://127.0.0.1:0", lambda request: Welcome(b"hello " + request.about))
    stack.callback(run.close)
    return run


def test_a_host_is_welcomed_by_the_address_that_answers(run: Run) -> None:
    keys = CurveKeys.new()
    dead = Endpoint("127.0.0.1", free_port())
    token = replace(run.draft, endpoints=(dead, *run.token("localhost").endpoints))
    joined = join(token, keys, b"b")
    assert joined.about == b"hello b"
    assert joined.endpoints[0] == Endpoint("127.0.0.1", run.port)
    assert dead in joined.endpoints and joined.server_key == KEYS.public
    assert [z85_key(request.key) for request in run.asked] == [keys.public]


def test_a_host_is_welcomed_over_ipv6(stack: ExitStack) -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError as error:
        pytest.skip(f"this machine has no IPv6: {error}")
    run = Run("tcp://[::]:0", lambda request: Welcome())
    stack.callback(run.close)
    assert join(run.token("::1"), CurveKeys.new()).endpoints == (Endpoint("::1", run.port),)
    assert join(run.token("127.0.0.1"), CurveKeys.new()).about == b""


def refused(token: Token) -> str:
    with pytest.raises(JoinError) as caught:
        join(token, CurveKeys.new(), timeout_s=0.6)
    secret = guest_keys(token).secret
    assert secret not in str(caught.value) and secret not in repr(caught.value)
    assert f"could not join the run at {token.endpoints[0].address}" in str(caught.value)
    return caught.value.why


def test_who_has_another_secret_is_told_so(run: Run) -> None:
    other = invite(run.token().endpoints, KEYS)
    assert "the run does not accept this key or token" in refused(other)
    assert run.asked == []


def test_who_meets_another_run_says_nothing_to_it(run: Run) -> None:
    other = replace(
        run.token(), server_key=invite(run.token().endpoints, CurveKeys.new()).server_key
    )
    assert "who answers does not have the key of this run" in refused(other)
    assert run.asked == []


def test_where_nobody_is_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    token = invite([Endpoint("127.0.0.1", free_port())], KEYS)
    assert "nobody listens on that port" in refused(token)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        token = invite([Endpoint("127.0.0.1", silent.getsockname()[1])], KEYS)
        assert "somebody is there, and says nothing" in refused(token)

    def unknown(*place: object, **options: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    token = invite([Endpoint("nowhere.example", 7711)], KEYS)
    assert "tcp://nowhere.example:7711: Name or service not known" in refused(token)


def test_what_the_run_says_reaches_who_is_refused(stack: ExitStack) -> None:
    run = Run("tcp://127.0.0.1:0", lambda request: Refused("Python 3.11 there, 3.14 here"))
    stack.callback(run.close)
    assert refused(run.token()) == "it has refused: Python 3.11 there, 3.14 here"


def test_an_address_that_cannot_be_bound_is_named(run: Run) -> None:
    for address, error, says in (
        (f"tcp://127.0.0.1:{run.port}", TransportError, "the port is in use"),
        ("tcp://192.0.2.1:0", TransportError, "this is no address of this machine"),
        ("ipc:///tmp/x", OptionError, "is bound to 'tcp://HOST:PORT', got 'ipc:///tmp/x'"),
        ("tcp://127.0.0.1", OptionError, "is 'tcp://HOST:PORT'"),
    ):
        sockets = HostSockets("host 'a'", KEYS)
        try:
            with pytest.raises(error, match="host 'a'") as caught:
                sockets.listen(address)
            assert says in str(caught.value)
        finally:
            sockets.close()


def test_a_welcome_that_was_lost_is_given_again(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    keys = CurveKeys.new()
    with caplog.at_level(logging.INFO, logger="minipipe"):
        assert [join(run.token(), keys, b"x").about for _ in range(2)] == [b"hello x"] * 2
    assert len(run.asked) == 2 and run.asked[0] == run.asked[1]
    assert keys.secret not in caplog.text and guest_keys(run.draft).secret not in caplog.text
