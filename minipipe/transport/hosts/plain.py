"""Connections between hosts that are not encrypted: who is who is said, and believed.

For networks where nobody listens or connects who should not (`security="none"`).  A connection
begins with the key of who makes it; a guest proves nothing but that it knows the secret of the
token, which it sends.  So a stranger that knows neither is not heard, as with CURVE; but whoever
can listen on the network knows all of it.
"""

from __future__ import annotations

import hmac
from collections import OrderedDict
from collections.abc import Sequence

import zmq
from zmq.utils import z85

from minipipe.protocol.hosts.pieces import Buffer
from minipipe.transport.curve import CurveKeys, raw_key

_HELLO = b"MPH1"
MAX_CONNECTIONS = 4096  # that are known: of strangers none is


def hello(keys: CurveKeys) -> list[bytes]:
    """What a connection begins with: the key of who makes it, and the proof that it has it."""
    public, secret = raw_key(keys.public, "public"), raw_key(keys.secret, "secret")
    return [_HELLO, public, secret]


class Hellos:
    """Who has said hello by which connection."""

    def __init__(self) -> None:
        self._users: OrderedDict[bytes, str] = OrderedDict()
        self._names: dict[bytes, str] = {}

    def admit(self, key: bytes, user: str) -> None:
        """Who has this key is known by this name."""
        self._names[key] = user

    def dismiss(self, key: bytes) -> None:
        """Who has this key is not known any more."""
        self._names.pop(key, None)

    def user_of(self, connection: bytes, frames: Sequence[Buffer]) -> str | None:
        """Who has sent this; "": nobody knows.  None: it was a hello, with nothing behind it."""
        if len(frames) == 3 and bytes(memoryview(frames[0])[: len(_HELLO) + 1]) == _HELLO:
            return None if self._heard(connection, bytes(frames[1]), bytes(frames[2])) else ""
        return self._users.get(connection, "")

    def _heard(self, connection: bytes, public: bytes, secret: bytes) -> bool:
        known = next((key for key in self._names if hmac.compare_digest(key, public)), None)
        if known is None or not belong_together(public, secret):
            return False
        self._users[connection] = self._names[known]
        while len(self._users) > MAX_CONNECTIONS:
            self._users.popitem(last=False)
        return True


def belong_together(public: bytes, secret: bytes) -> bool:
    """Whether this is the public key of that secret one."""
    try:
        return bytes(zmq.curve_public(z85.encode(secret))) == bytes(z85.encode(public))
    except (ValueError, TypeError):
        return False
