"""Hosts without encryption: who knows the token comes in, and nobody else is heard."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from minipipe.errors import JoinError
from minipipe.protocol.admission import KEY_BYTES, Stranger
from minipipe.protocol.hosts.endpoints import Endpoint
from minipipe.protocol.hosts.joining import Answer, JoinRequest, Welcome
from minipipe.protocol.hosts.token import Token
from minipipe.transport.curve import NO_KEY, CurveKeys
from minipipe.transport.hosts.host_sockets import HostSockets
from minipipe.transport.hosts.invitation import guest_keys, invite, server_key, z85_key
from minipipe.transport.hosts.join import join
from minipipe.transport.hosts.link_end import LinkEnd
from minipipe.transport.hosts.plain import Hellos, belong_together, hello
from tests.conftest import DEADLOCK_S


class Run:
    """A run that agents come to, without encryption."""

    def __init__(self) -> None:
        keys = CurveKeys.new()
        draft = invite([Endpoint("127.0.0.1", 1)], keys)
        self.sockets = HostSockets("run", keys, is_plain=True)
        port = self.sockets.listen("tcp://127.0.0.1:0", guest_keys(draft).public, self._on_join)
        self.token = Token((Endpoint("127.0.0.1", port),), bytes(KEY_BYTES), draft.secret)
        self.ends: list[LinkEnd] = []
        self.came: list[bytes] = []

    def _on_join(self, request: JoinRequest) -> Answer:
        self.ends.append(self.sockets.admit(z85_key(request.key), "guest"))
        return Welcome(b"come in")

    def serve(self) -> None:
        self.sockets.serve(0.02)
        for end in self.ends:
            while (arrived := end.receive()) is not None:
                self.came.append(bytes(arrived.frames[0]))
                end.handed_over(arrived.number)


@contextmanager
def serving(run: Run) -> Iterator[None]:
    is_over = threading.Event()

    def serve() -> None:
        while not is_over.is_set():
            run.serve()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()
        run.sockets.close()


def test_who_has_the_token_joins_and_is_heard() -> None:
    run = Run()
    with serving(run):
        keys = CurveKeys.new()
        joined = join(run.token, keys)
        assert joined.about == b"come in"
        sockets = HostSockets("agent", keys)
        end = sockets.connect("run", joined.endpoints, joined.server_key)
        end.send([b"hello"])
        until_s = time.monotonic() + DEADLOCK_S
        while run.came != [b"hello"] and time.monotonic() < until_s:
            sockets.serve(0.02)
        sockets.close()
    assert run.came == [b"hello"]


def test_another_secret_is_not_heard(caplog: pytest.LogCaptureFixture) -> None:
    run = Run()
    with serving(run):
        stranger = replace(run.token, secret=bytes(range(KEY_BYTES)))
        with pytest.raises(JoinError):
            join(stranger, CurveKeys.new(), timeout_s=1.0)
    assert run.ends == []
    said = [one for one in caplog.messages if Stranger.NO_HELLO.value in one]
    assert 0 < len(said) < 3, "the first one, and how many came after it"


def test_a_connection_is_nobodys_before_its_hello() -> None:
    hellos, keys = Hellos(), CurveKeys.new()
    _, public, secret = hello(keys)
    hellos.admit(public, "b")
    assert hellos.user_of(b"1", [b"anything"]) == ""
    assert hellos.user_of(b"1", [b"MPH1", public, bytes(KEY_BYTES)]) == ""  # not its secret
    assert hellos.user_of(b"1", [b"anything"]) == ""
    assert hellos.user_of(b"1", hello(keys)) is None
    assert hellos.user_of(b"1", [b"anything"]) == "b"
    hellos.dismiss(public)
    assert hellos.user_of(b"2", hello(keys)) == ""
    assert hellos.user_of(b"2", [b"anything"]) == ""
    assert belong_together(public, secret)
    assert not belong_together(public, b"short")
    assert server_key(Token((Endpoint("127.0.0.1", 1),), bytes(KEY_BYTES), secret)) == NO_KEY
