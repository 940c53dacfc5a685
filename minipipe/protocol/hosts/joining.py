"""How a host joins a run: what it says first, and what it is answered.

Who gets so far has proved, by CURVE's handshake, that it has the secret of the token.  Now it says
which key of its own it will be known by from now on; a welcome means that this key is on the list.
Said again, it is answered again: an answer may have been lost with its connection.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from minipipe.errors import WireFormatError
from minipipe.protocol.admission import KEY_BYTES
from minipipe.protocol.hosts.pieces import Buffer

VERSION = 1
MAX_ABOUT_BYTES = 1 << 16
_JOIN, _WELCOME, _REFUSED = b"MPJ", b"MPW", b"MPR"


@dataclass(frozen=True)
class JoinRequest:
    """A host wants to join.

    Attributes:
        key: its public key, made for this run.
        about: what it says of itself (its name, versions of packages): bytes for who decides.
    """

    key: bytes
    about: bytes = b""


@dataclass(frozen=True)
class Welcome:
    """It may connect by its key.

    Attributes:
        about: what it has to know of the run.
    """

    about: bytes = b""


@dataclass(frozen=True)
class Refused:
    """It may not.

    Attributes:
        why: for its user to read.
    """

    why: str


Answer = Welcome | Refused


def write_request(request: JoinRequest) -> list[bytes]:
    """The frames of a request."""
    return [_JOIN + bytes((VERSION,)), request.key, request.about]


def read_request(frames: Sequence[Buffer]) -> JoinRequest | Refused:
    """The request; what cannot be one is refused, and that is the answer to send."""
    parts = [bytes(memoryview(frame)[: MAX_ABOUT_BYTES + 1]) for frame in frames[:4]]
    if not parts or len(parts[0]) != len(_JOIN) + 1 or not parts[0].startswith(_JOIN):
        return Refused("this is no request to join a run")
    if (version := parts[0][-1]) != VERSION:
        return Refused(
            f"hosts of this run join by version {VERSION}, yours by version {version}: install the "
            "same MiniPipe on both machines"
        )
    if len(parts) != 3 or len(parts[1]) != KEY_BYTES or len(parts[2]) > MAX_ABOUT_BYTES:
        return Refused("this request to join a run is malformed")
    return JoinRequest(parts[1], parts[2])


def write_answer(answer: Answer) -> list[bytes]:
    """The frames of an answer."""
    if isinstance(answer, Welcome):
        return [_WELCOME, answer.about]
    return [_REFUSED, answer.why.encode()[:MAX_ABOUT_BYTES]]


def read_answer(frames: Sequence[Buffer]) -> Answer:
    """The answer.

    Raises:
        WireFormatError: it is none.
    """
    parts = [bytes(frame) for frame in frames[:3]]
    if len(parts) != 2 or parts[0] not in (_WELCOME, _REFUSED):
        raise WireFormatError("a run has answered to a request to join with something else")
    if parts[0] == _WELCOME:
        return Welcome(parts[1])
    return Refused(parts[1].decode(errors="replace"))
