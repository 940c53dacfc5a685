"""From a token to the keys of CURVE, and back."""

from __future__ import annotations

from collections.abc import Sequence

import zmq
from zmq.utils import z85

from minipipe.protocol.hosts.endpoints import Endpoint
from minipipe.protocol.hosts.token import Token
from minipipe.transport.curve import CurveKeys, raw_key


def invite(endpoints: Sequence[Endpoint], server: CurveKeys) -> Token:
    """A token with a new secret.

    Args:
        endpoints: where others can reach the run.
        server: the keys of the run.
    """
    secret = raw_key(CurveKeys.new().secret, "the secret of a token")
    return Token(tuple(endpoints), raw_key(server.public, "the key of a run"), secret)


def guest_keys(token: Token) -> CurveKeys:
    """The keys by which all guests of a run come in: who has them was given the token."""
    secret = z85.encode(token.secret)
    return CurveKeys(zmq.curve_public(secret).decode(), secret.decode())


def server_key(token: Token) -> str:
    """The public key of the run, as CURVE takes it."""
    return str(z85.encode(token.server_key).decode())


def z85_key(key: bytes) -> str:
    """A key of 32 bytes, as CURVE takes it."""
    return str(z85.encode(key).decode())
