"""The token: one line of text that invites other machines to a run.

It says where the run can be reached, by which public key of CURVE it is known, and holds a secret.
So who joins knows whom it talks to before it says anything (as with k3s and Docker swarm), and the
run knows that who comes was invited.  The secret is a secret key of CURVE: who has it can come
through the handshake, and nobody else (`transport/hosts/`).

    MINIPIPE1-<base64url of: length, content, checksum>

Nothing of a token that was refused is shown, as it holds a secret, or was meant to.
"""

from __future__ import annotations

import base64
import hashlib
import re
import struct
from dataclasses import dataclass, field

from minipipe.errors import TokenError
from minipipe.protocol.admission import KEY_BYTES
from minipipe.protocol.hosts.endpoints import (
    Endpoint,
    check_endpoint,
    pack_endpoint,
    unpack_endpoint,
)

VERSION = 1
MAX_ADDRESSES = 32
_PREFIX = "MINIPIPE"
_BEGINNING = re.compile(rf"{_PREFIX}(\d{{1,9}})-")
_LENGTH = struct.Struct("!H")
_CHECK_BYTES = 4
_CHARACTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


@dataclass(frozen=True)
class Token:
    """What a token says.

    Args:
        endpoints: where the run can be reached, the best one first.
        server_key: the public key of the run; zeros: it has none, as nothing is encrypted.
        secret: the secret key by which its guests come in.

    Raises:
        ValueError: these are no keys, or nobody elsewhere can connect there.
    """

    endpoints: tuple[Endpoint, ...]
    server_key: bytes
    secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.server_key) != KEY_BYTES or len(self.secret) != KEY_BYTES:
            raise ValueError(f"the keys of a token have {KEY_BYTES} bytes each")
        if not 0 < len(self.endpoints) <= MAX_ADDRESSES:
            raise ValueError(f"a token has 1 to {MAX_ADDRESSES} addresses")
        checked = tuple(check_endpoint(endpoint) for endpoint in self.endpoints)
        object.__setattr__(self, "endpoints", checked)

    @property
    def text(self) -> str:
        """The line to paste.  It holds the secret: for a terminal or a file, and for no log."""
        content = self.server_key + self.secret + bytes((len(self.endpoints),))
        content += b"".join(map(pack_endpoint, self.endpoints))
        body = _LENGTH.pack(len(content)) + content
        return f"{_PREFIX}{VERSION}-{_encode(body + _checksum(VERSION, body))}"


def parse_token(text: str) -> Token:
    """What a token says.  Spaces and line ends in it are taken out: terminals break long lines.

    Raises:
        TokenError: it is none, or not all of it, or of another version.
    """
    text = "".join(text.split())
    if not text:
        raise TokenError("is empty")
    beginning = _BEGINNING.match(text)
    if beginning is None:
        if _is_beginning(text):
            raise TokenError(f"was cut: {len(text)} characters of it are here")
        raise TokenError(f"is none of MiniPipe's: they begin with {_PREFIX}{VERSION}-")
    if (version := int(beginning[1])) != VERSION:
        raise TokenError(
            f"is of version {version}, and this MiniPipe reads version {VERSION}: install the same "
            "MiniPipe on both machines"
        )
    code = text[beginning.end() :]
    for position, character in enumerate(code, start=beginning.end() + 1):
        if character not in _CHARACTERS:
            raise TokenError(f"has a character at position {position} that is none of a token")
    _check_length(code)
    body = _decode(code)
    if body is None or body[-_CHECK_BYTES:] != _checksum(version, body[:-_CHECK_BYTES]):
        raise TokenError("was changed: its checksum is wrong (a character mistyped?)")
    return _read(body[_LENGTH.size : -_CHECK_BYTES])


def begins_as_token(text: str) -> bool:
    """Whether this was meant to be a token, right or wrong."""
    return _BEGINNING.match("".join(text.split())) is not None


def without_tokens(text: str) -> str:
    """The text with what tokens say in it left out: for errors that quote what somebody wrote."""
    return re.sub(rf"{_BEGINNING.pattern}\S*", f"{_PREFIX}{VERSION}-...", text)


def _is_beginning(text: str) -> bool:
    return re.fullmatch(rf"{_PREFIX}\d*", text) is not None or _PREFIX.startswith(text)


def _check_length(code: str) -> None:
    """Raises `TokenError` for what was cut, or has something behind it."""
    start = _decode(code[:4])
    if start is None or len(code) < 4:
        raise TokenError(f"was cut: {len(code)} characters of it are here")
    size = _LENGTH.size + _LENGTH.unpack_from(start)[0] + _CHECK_BYTES
    expected = (4 * size + 2) // 3
    if len(code) < expected:
        raise TokenError(f"was cut: {expected - len(code)} characters are missing at its end")
    if len(code) > expected:
        raise TokenError(f"has {len(code) - expected} characters behind its end")


def _read(content: bytes) -> Token:
    """What its writer has put in; the checksum was right, so another program has written this."""
    try:
        server_key, secret = content[:KEY_BYTES], content[KEY_BYTES : 2 * KEY_BYTES]
        at, endpoints = 2 * KEY_BYTES + 1, list[Endpoint]()
        for _ in range(content[at - 1]):
            endpoint, at = unpack_endpoint(content, at)
            endpoints.append(endpoint)
        if at != len(content):
            raise ValueError("it has more than that")
        return Token(tuple(endpoints), server_key, secret)
    except (ValueError, IndexError, struct.error) as error:
        # (Not as its cause: of an address that was none, that shows bytes.)
        kind = type(error).__name__
    raise TokenError(f"is whole, but was not written by this version of MiniPipe ({kind})")


def _checksum(version: int, body: bytes) -> bytes:
    return hashlib.sha256(bytes((version,)) + body).digest()[:_CHECK_BYTES]


def _encode(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode("ascii").rstrip("=")


def _decode(code: str) -> bytes | None:
    """The bytes; None if nobody would have written them so."""
    try:
        content = base64.urlsafe_b64decode(code + "=" * (-len(code) % 4))
    except ValueError:
        return None
    return content if _encode(content) == code else None
