"""Who may connect, and what is said of those who may not: once a minute for each kind.

No socket and no clock: `transport.watch` asks, and says what time it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import Enum
from typing import NamedTuple

KEY_BYTES = 32  # of a CURVE public key
LOG_EVERY_S = 60.0
VERSION = b"1.0"  # of ZAP (ZeroMQ RFC 27)
_FIELDS = 6  # of a request, before the credentials


class Stranger(Enum):
    """Why somebody was not let in, in words."""

    WRONG_KEY = "with a key that is not on the list of clients"
    NO_KEY = "without a key"
    NO_HELLO = "who said something without a hello that has a key of this run"
    NO_HANDSHAKE = "who did not come to the end of a handshake"
    REFUSED = "that it could not prove itself to (another server key, or ours is not on its list)"


class Ruling(NamedTuple):
    """What becomes of one who has asked.

    Attributes:
        status: of ZAP.  200: it is admitted; 400: never; 300: not now, it may try again (after a
            400 a client's session does not, until its program makes another socket).
        user: who it is; "" if it was not admitted.
        stranger: what it is said to be; None: it was admitted.
    """

    status: bytes
    user: str
    stranger: Stranger | None


class Admission:
    """The list of public keys that are let in.

    Args:
        keys: of 32 bytes each.
        final: one whose key is not on the list is told that it never will be; False: it may be
            put there later.
    """

    def __init__(self, keys: Iterable[bytes], *, final: bool = True) -> None:
        self._users = {key: key.hex()[:8] for key in keys}
        if any(len(key) != KEY_BYTES for key in self._users):
            raise ValueError(f"a public key has {KEY_BYTES} bytes")
        self._refusal = b"400" if final else b"300"

    def admit(self, key: bytes, user: str) -> None:
        """Puts one more on the list, under this name.  (Any thread may: the watch reads it.)"""
        if len(key) != KEY_BYTES:
            raise ValueError(f"a public key has {KEY_BYTES} bytes")
        self._users[key] = user

    def dismiss(self, key: bytes) -> None:
        """Takes one from the list: a connection that is there stays, the next one is refused."""
        self._users.pop(key, None)

    def judge(self, mechanism: bytes, credentials: Sequence[bytes]) -> Ruling:
        """Whether who has proved to own this key is admitted."""
        if mechanism != b"CURVE" or len(credentials) != 1 or len(credentials[0]) != KEY_BYTES:
            return Ruling(self._refusal, "", Stranger.NO_KEY)
        user = self._users.get(credentials[0])
        if user is None:
            return Ruling(self._refusal, "", Stranger.WRONG_KEY)
        return Ruling(b"200", user, None)

    def answer(self, request: Sequence[bytes]) -> tuple[list[bytes], Stranger | None]:
        """The frames to reply to a request of ZAP, and who was not let in."""
        if len(request) < _FIELDS or request[0] != VERSION:
            identity = request[1] if len(request) > 1 else b""
            return [VERSION, identity, b"500", b"", b"", b""], Stranger.NO_KEY
        ruling = self.judge(request[5], request[6:])
        reply = [VERSION, request[1], ruling.status, b"", ruling.user.encode(), b""]
        return reply, ruling.stranger


class StrangerLog:
    """Which refusals are logged: the first of each kind at once, then their number once a minute.

    Args:
        where: they came to, for the line.
    """

    def __init__(self, where: str) -> None:
        self._where = where
        self._last_s: dict[Stranger, float] = {}
        self._unsaid: dict[Stranger, int] = {}

    def note(self, stranger: Stranger, now_s: float) -> str:
        """One was refused; the line to log now, or ""."""
        self._unsaid[stranger] = self._unsaid.get(stranger, 0) + 1
        return self._line(stranger, now_s) if self._is_due(stranger, now_s) else ""

    def due(self, now_s: float) -> list[str]:
        """The lines of those who came within the minute after a line, once that is over."""
        kinds = [kind for kind, count in self._unsaid.items() if count]
        return [self._line(kind, now_s) for kind in kinds if self._is_due(kind, now_s)]

    def due_at_s(self) -> float | None:
        """When there will be such lines; None: nobody is unsaid."""
        times = [self._last_s[kind] + LOG_EVERY_S for kind, count in self._unsaid.items() if count]
        return min(times, default=None)

    def last(self) -> list[str]:
        """The lines of all who are unsaid, at the end."""
        return [self._line(kind, 0.0) for kind, count in self._unsaid.items() if count]

    def _is_due(self, stranger: Stranger, now_s: float) -> bool:
        return now_s - self._last_s.get(stranger, float("-inf")) >= LOG_EVERY_S

    def _line(self, stranger: Stranger, now_s: float) -> str:
        count, self._unsaid[stranger] = self._unsaid[stranger], 0
        self._last_s[stranger] = now_s
        if stranger is Stranger.REFUSED:
            times = "once" if count == 1 else f"{count} times"
            return f"{self._where} was not let in, {times}, by a peer {stranger.value}"
        who = "somebody" if count == 1 else f"{count} times somebody"
        return f"{self._where} did not let in {who} {stranger.value}"
