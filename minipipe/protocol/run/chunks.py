"""Messages cut into chunks that a pipe takes whole, and put together again.

A pipe takes what is no longer than PIPE_BUF all at once or not at all.  So several threads, and
what a functor forks, may write to one without a lock, and one that is killed in the middle leaves
nothing that cannot be told apart from what others have written.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

_HEAD = struct.Struct("<HIIHB")  # _MARK, process, number of the message there, length, is last
_MARK = 0x4D50
MAX_OPEN_BYTES = 64 << 20  # of messages that have begun: their ends may never come


class ForeignDataError(ValueError):
    """Something else has written to the pipe."""


def chunks(message: bytes, process: int, number: int, limit: int) -> Iterator[bytes]:
    """A message in pieces.

    Args:
        process: the pid of who writes it.
        number: of the message; another one for each of this process.
        limit: bytes of a piece.
    """
    room = limit - _HEAD.size
    last = max(0, len(message) - 1) // room * room
    for at in range(0, last + 1, room):
        part = message[at : at + room]
        head = _HEAD.pack(_MARK, process, number & 0xFFFFFFFF, len(part), at == last)
        yield head + part


class Assembly:
    """Puts together what comes of one pipe."""

    def __init__(self) -> None:
        self._rest = b""
        self._open: dict[tuple[int, int], list[bytes]] = {}
        self._open_bytes = 0

    def add(self, data: bytes) -> list[bytes]:
        """This has come; the messages that are whole now.

        Raises:
            ForeignDataError: it is no chunk.
        """
        data = self._rest + data
        whole: list[bytes] = []
        at = 0
        while len(data) - at >= _HEAD.size:
            mark, process, number, length, is_last = _HEAD.unpack_from(data, at)
            if mark != _MARK:
                raise ForeignDataError(f"no chunk of a message: {data[at : at + 40]!r}")
            end = at + _HEAD.size + length
            if end > len(data):
                break
            parts = self._open.setdefault((process, number), [])
            parts.append(data[at + _HEAD.size : end])
            self._open_bytes += length
            if is_last:
                whole.append(self._close(process, number))
            at = end
        self._rest = data[at:]
        while self._open_bytes > MAX_OPEN_BYTES:
            self._close(*next(iter(self._open)))  # the oldest: who wrote it is dead, most likely
        return whole

    def _close(self, process: int, number: int) -> bytes:
        message = b"".join(self._open.pop((process, number)))
        self._open_bytes -= len(message)
        return message
