"""Joining a run by its token, and what is said of it when that fails."""

from __future__ import annotations

import socket
import time
from collections.abc import Sequence
from typing import NamedTuple

import zmq

from minipipe.errors import JoinError, WireFormatError
from minipipe.protocol.hosts.endpoints import Endpoint, check_endpoint
from minipipe.protocol.hosts.joining import (
    Answer,
    JoinRequest,
    Refused,
    read_answer,
    write_request,
)
from minipipe.protocol.hosts.token import Token
from minipipe.transport.curve import CurveClient, CurveKeys, raw_key
from minipipe.transport.hosts.dialing import Dial
from minipipe.transport.hosts.invitation import guest_keys, server_key

JOIN_S = 10.0
RETRY_S = 0.3
_LOOK_MS = 200


class Joined(NamedTuple):
    """A run that this host may connect to now.

    Attributes:
        about: what it has said of itself.
        endpoints: of it, the one that has answered first.
        server_key: its public key.
    """

    about: bytes
    endpoints: tuple[Endpoint, ...]
    server_key: str


def join(token: Token, keys: CurveKeys, about: bytes = b"", timeout_s: float = JOIN_S) -> Joined:
    """Proves that it has the secret of the token, and has its own key put on the list of the run.

    Args:
        keys: of this host, made for this run.
        about: what is said of it to who decides.
        timeout_s: so long it is tried, once the names of the token are looked up.

    Raises:
        JoinError: nobody was there, it was somebody else, or the run has refused; says which.
    """
    places = _Places(token.endpoints)
    until_s = time.monotonic() + timeout_s
    curve = CurveClient(server_key(token), guest_keys(token))
    request = write_request(JoinRequest(raw_key(keys.public, "the key of this host"), about))
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context(io_threads=1)
    why = met = ""
    try:
        while True:
            dial = Dial(context, places.found, curve)
            try:
                answer = _ask(dial, request, until_s)
                first = dial.endpoint
                if dial.has_ended or not why:  # one that the time limit cut off has found out less
                    why = dial.why()
                if dial.has_ended and dial.has_met_somebody:
                    met = why
            finally:
                dial.close()
            if isinstance(answer, Refused):
                raise JoinError(places.names, f"it has refused: {answer.why}", True)
            if answer is not None:
                others = [one for one in places.found if one != first]
                endpoints = tuple(others if first is None else [first, *others])
                return Joined(answer.about, endpoints, curve.server)
            if time.monotonic() + RETRY_S >= until_s:
                if met not in ("", why):  # the run may have ended while this was tried
                    why += f"; before that, {met}"
                raise JoinError(places.names, "; ".join([why, *places.unknown]))
            time.sleep(RETRY_S)
    finally:
        context.term()


def _ask(dial: Dial, request: Sequence[bytes], until_s: float) -> Answer | None:
    """The answer; None if the attempt has come to nothing, or the time is up."""
    poller, is_asked = zmq.Poller(), False
    for watched in dial.sockets:
        poller.register(watched, zmq.POLLIN)
    while (left_s := until_s - time.monotonic()) > 0:
        poller.poll(min(_LOOK_MS, int(left_s * 1000) + 1))
        before = dial.sockets
        dial.look()
        if dial.sockets != before:  # one connection is left of several
            poller = zmq.Poller()
            for watched in dial.sockets:
                poller.register(watched, zmq.POLLIN)
        if dial.is_ready and not is_asked:
            is_asked = dial.send(request)
        if (frames := dial.receive()) is not None:
            try:
                return read_answer(frames)
            except WireFormatError as error:
                return Refused(str(error))
        if dial.has_ended:
            return None
    return None


class _Places:
    """The addresses of a token, names looked up once: libzmq would stop all of its sockets for it.

    Attributes:
        found: the IP addresses.
        unknown: what is said of names that this machine does not know.
    """

    def __init__(self, endpoints: Sequence[Endpoint]) -> None:
        self.names = ", ".join(endpoint.address for endpoint in endpoints)
        self.found: list[Endpoint] = []
        self.unknown: list[str] = []
        for endpoint in endpoints:
            try:
                infos = socket.getaddrinfo(endpoint.host, endpoint.port, type=socket.SOCK_STREAM)
            except (OSError, UnicodeError) as error:  # (the latter of a name such as "a..b")
                why = getattr(error, "strerror", None) or error
                self.unknown.append(f"{endpoint.address}: {why}")
                continue
            for *_, place in infos:
                try:
                    found = check_endpoint(endpoint._replace(host=str(place[0])))
                except ValueError:
                    continue  # of a network card, which nobody can be told
                if found.why_not:
                    self.unknown.append(f"{found.address}: {found.why_not}")
                elif found not in self.found:
                    self.found.append(found)
        if not self.found:
            raise JoinError(self.names, "; ".join(self.unknown) or "there is no address to go to")
