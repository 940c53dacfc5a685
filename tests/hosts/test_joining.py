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
from minipipe.transport.hosts.dialing import Dial
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


def refused(token: Token, says: str) -> None:
    for timeout_s in (0.6, 5.0):  # on a slow machine the first attempt may take longer
        with pytest.raises(JoinError) as caught:
            join(token, CurveKeys.new(), timeout_s=timeout_s)
        if says in caught.value.why:
            break
    assert says in caught.value.why
    secret = guest_keys(token).secret
    assert secret not in str(caught.value) and secret not in repr(caught.value)
    assert f"could not join the run at {token.endpoints[0].address}" in str(caught.value)


def test_who_has_another_secret_is_told_so(run: Run) -> None:
    other = invite(run.token().endpoints, KEYS)
    refused(other, "the run does not accept this key or token")
    assert run.asked == []


def test_who_meets_another_run_says_nothing_to_it(run: Run) -> None:
    other = replace(
        run.token(), server_key=invite(run.token().endpoints, CurveKeys.new()).server_key
    )
    refused(other, "who answers does not have the key of this run")
    assert run.asked == []


def test_what_was_met_before_the_run_ended_is_said_too(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    another = invite(run.token().endpoints, CurveKeys.new())
    other = replace(run.token(), server_key=another.server_key)
    tries = Dial.why

    def ends(dial: Dial) -> str:
        run.close()  # once it was met
        return tries(dial)

    monkeypatch.setattr(Dial, "why", ends)
    with pytest.raises(JoinError) as told:
        join(other, CurveKeys.new(), timeout_s=2.0)
    here = "nobody listens on that port, or there is no way to that host; before that, tcp://"
    assert here in str(told.value)
    assert str(told.value).endswith("take the one that this run has printed")


def test_where_nobody_is_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    token = invite([Endpoint("127.0.0.1", free_port())], KEYS)
    refused(token, "nobody listens on that port")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        token = invite([Endpoint("127.0.0.1", silent.getsockname()[1])], KEYS)
        refused(token, "somebody is there, and says nothing")

    refused(invite([Endpoint("a..b", 7711)], KEYS), "tcp://a..b:7711: ")

    def unknown(*place: object, **options: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    token = invite([Endpoint("nowhere.example", 7711)], KEYS)
    refused(token, "tcp://nowhere.example:7711: Name or service not known")


def test_what_the_run_says_reaches_who_is_refused(stack: ExitStack) -> None:
    run = Run("tcp://127.0.0.1:0", lambda request: Refused("Python 3.11 there, 3.14 here"))
    stack.callback(run.close)
    refused(run.token(), "it has refused: Python 3.11 there, 3.14 here")


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
    with pytest.raises(JoinError, match="a host has joined by this key, and it was another"):
        join(run.token(), keys, b"y")
    assert [request.about for request in run.asked] == [b"x"]
    assert keys.secret not in caplog.text and guest_keys(run.draft).secret not in caplog.text


def test_a_guest_does_not_lock_out_the_others_by_their_key(run: Run) -> None:
    with pytest.raises(JoinError, match="this is the key that all guests have"):
        join(run.token(), guest_keys(run.draft), b"x")
    assert run.asked == []
    assert join(run.token(), CurveKeys.new(), b"x").about == b"hello x"


def test_an_attempt_that_the_time_cuts_off_hides_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[bool] = []

    class Attempt:
        """The first one ends, no other does."""

        sockets: tuple[object, ...] = ()
        endpoint = is_ready = has_met_somebody = None

        def __init__(self, *_: object) -> None:
            self.has_ended = not made
            made.append(True)

        def why(self) -> str:
            return "what is the matter" if self.has_ended else "nobody has answered there yet"

        def look(self) -> None: ...
        def receive(self) -> None: ...
        def close(self) -> None: ...

    for name, instead in (("Dial", Attempt), ("RETRY_S", 0.0), ("_LOOK_MS", 1)):
        monkeypatch.setattr(f"minipipe.transport.hosts.join.{name}", instead)
    with pytest.raises(JoinError) as caught:
        join(invite([Endpoint("127.0.0.1", 1)], KEYS), CurveKeys.new(), timeout_s=0.3)
    assert caught.value.why == "what is the matter" and len(made) == 2


def test_a_port_that_cannot_be_watched_leaves_nothing_open() -> None:
    sockets = HostSockets("host 'a'", KEYS)
    try:
        sockets.listen("tcp://127.0.0.1:0")
        with pytest.raises(TransportError):
            sockets.listen("tcp://127.0.0.1:0")  # one thread of a context answers who comes in
    finally:
        sockets.close()  # and waits for ever for a socket that is open


def test_who_listens_may_have_all_descriptors_that_the_system_allows() -> None:
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    sockets = HostSockets("host 'a'", KEYS)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, hard - 1), hard))
        sockets.listen("tcp://127.0.0.1:0")
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard)
    finally:
        sockets.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_host_that_was_dismissed_and_comes_again_has_another_link() -> None:
    sockets, key = HostSockets("host 'a'", KEYS), CurveKeys.new().public
    try:
        sockets.listen("tcp://127.0.0.1:0")
        first = sockets.admit(key, "b")
        assert sockets.admit(key, "b") is first
        sockets.dismiss(key)
        assert sockets.admit(key, "b")._link._incarnation != first._link._incarnation
    finally:
        sockets.close()


def test_it_goes_out_by_the_address_that_was_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        token = invite([Endpoint("127.0.0.1", port, "127.0.0.2")], KEYS)
        with pytest.raises(JoinError, match=f"tcp://127.0.0.1:{port}: "):
            join(token, CurveKeys.new(), timeout_s=0.5)  # nobody says anything there
        accepted, (source, _) = listening.accept()
        accepted.close()
        assert source == "127.0.0.2"
        token = replace(token, endpoints=(Endpoint("127.0.0.1", port, "::1"),))
        with pytest.raises(JoinError, match="::1 is of another version of IP"):
            join(token, CurveKeys.new(), timeout_s=0.5)
