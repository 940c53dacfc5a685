"""What of the text of several pipes is written to one stream, and when.

Text and time in, text out: whole lines at once, so that lines of different pipes are not mixed;
what is no line yet soon after, so that a progress bar or a prompt shows.
"""

from __future__ import annotations

from dataclasses import dataclass

PARTIAL_S = 0.1  # a line that is not complete is shown after this
KEEPS_S = 1.0  # and has the place to itself for this long, but for whole lines of others
MAX_LINE_BYTES = 1 << 20  # what is longer is shown in pieces
_TAIL = 4  # bytes of the longest character


@dataclass(slots=True)
class _Rest:
    """What has come of a pipe and is not written yet."""

    text: bytes = b""
    since_s: float = 0.0


class Merging:
    """Merges the text of pipes, which are told apart by numbers.

    At most one of them has an incomplete line open at the end of the stream.  Whatever another one
    writes then begins on a new line, and what the first one adds to its own, later, on another.
    """

    def __init__(self) -> None:
        self._rests: dict[int, _Rest] = {}
        self._open: int | None = None  # whose incomplete line is at the end of the stream
        self._opened_s = 0.0

    def add(self, pipe: int, data: bytes, now_s: float) -> bytes:
        """This has come of a pipe; what to write now."""
        rest = self._rests.setdefault(pipe, _Rest())
        text = rest.text + data
        cut = text.rfind(b"\n") + 1
        since_s = rest.since_s if rest.text and not cut else now_s
        written = self._put(pipe, text[:cut], now_s)
        text = text[cut:]
        # A progress bar goes back to the beginning of its line, before or after each picture.
        cut = text.rfind(b"\r") + 1
        if len(text) > MAX_LINE_BYTES:
            cut = len(text)
        elif not text[:cut].strip(b"\r") or not self._may_open(pipe, now_s):
            cut = 0
        if cut:
            written += self._put(pipe, text[:cut], now_s)
            since_s = now_s
        rest.text, rest.since_s = text[cut:], since_s
        return written

    def due_in_s(self, now_s: float) -> float | None:
        """Seconds until `due` has something to write; None: nothing waits."""
        times = [self._due_s(pipe, rest) for pipe, rest in self._rests.items() if rest.text]
        return max(0.0, min(times) - now_s) if times else None

    def due(self, now_s: float) -> bytes:
        """What has waited long enough for the rest of its line."""
        written = b""
        waiting = sorted(self._rests.items(), key=lambda each: each[1].since_s)
        for pipe, rest in waiting:
            if rest.text and now_s >= self._due_s(pipe, rest):
                cut = _whole_characters(rest.text) or len(rest.text)
                written += self._put(pipe, rest.text[:cut], now_s)
                rest.text, rest.since_s = rest.text[cut:], now_s
        return written

    def end(self, pipe: int) -> bytes:
        """Nothing more comes of this pipe; what to write."""
        rest = self._rests.pop(pipe, _Rest())
        if rest.text:
            return self._put(pipe, rest.text + b"\n", 0.0)
        return self._put(pipe, b"\n", 0.0) if self._open == pipe else b""

    def _put(self, pipe: int, text: bytes, now_s: float) -> bytes:
        """`text` of this pipe, on a new line if another one's is open."""
        if not text:
            return b""
        before = b"\n" if self._open not in (None, pipe) else b""
        if text.endswith(b"\n"):
            self._open = None
        elif self._open != pipe:
            self._open, self._opened_s = pipe, now_s
        return before + text

    def _may_open(self, pipe: int, now_s: float) -> bool:
        """Whether an incomplete line of this pipe can stand at the end of the stream now."""
        return self._open in (None, pipe) or now_s >= self._opened_s + KEEPS_S

    def _due_s(self, pipe: int, rest: _Rest) -> float:
        due_s = rest.since_s + PARTIAL_S
        if self._open not in (None, pipe):
            due_s = max(due_s, self._opened_s + KEEPS_S)
        return due_s


def _whole_characters(text: bytes) -> int:
    """How many bytes of UTF-8 `text` are left without a character that is cut off at its end.

    >>> _whole_characters("ab\u00e9".encode()[:-1])
    2
    """
    for back in range(1, min(_TAIL, len(text) + 1)):
        byte = text[-back]
        if byte & 0b1100_0000 == 0b1000_0000:
            continue  # not the first byte of a character
        length = 2 if byte >> 5 == 0b110 else 3 if byte >> 4 == 0b1110 else 4
        return len(text) - back if 0xC2 <= byte <= 0xF4 and length > back else len(text)
    return len(text)
