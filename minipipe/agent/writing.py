"""Writing to a descriptor whose reader may be slow, in a thread that must not wait for it."""

from __future__ import annotations

import errno
import os
from collections import deque

TURN_BYTES = 1 << 18  # no descriptor is given more at a time, so that others come to theirs
_LATER = (errno.EAGAIN, errno.EWOULDBLOCK, errno.ENOBUFS, errno.ENOMEM, errno.EINTR)


class Writing:
    """What is to be written to one descriptor, which it owns.

    Attributes:
        waiting_bytes: so much is still to be written.
        is_broken: nobody reads there any more; what is added then is dropped.
    """

    def __init__(self, fd: int) -> None:
        os.set_blocking(fd, False)
        self._fd = fd
        self._waiting: deque[memoryview] = deque()
        self.waiting_bytes = 0
        self._closes = False
        self.is_broken = False

    @property
    def waits(self) -> bool:
        """Whether something is still to be written."""
        return bool(self._waiting)

    @property
    def is_closed(self) -> bool:
        return self._fd < 0

    def add(self, data: bytes | memoryview) -> None:
        """Writes it behind what waits; `write` does."""
        if data and not self.is_broken and self._fd >= 0:
            self._waiting.append(memoryview(data))
            self.waiting_bytes += len(data)

    def write(self) -> int:
        """Writes as much as there is room for now; how many bytes were dealt with."""
        dealt_with = 0
        while self._waiting and dealt_with < TURN_BYTES:
            chunk = self._waiting[0]
            try:
                size = os.write(self._fd, chunk[:TURN_BYTES])
            except OSError as error:
                if error.errno in _LATER:
                    break
                self.is_broken = True  # its reader has ended
                dealt_with += self.waiting_bytes
                self._waiting.clear()
                self.waiting_bytes = 0
                break
            dealt_with += size
            self.waiting_bytes -= size
            if size == len(chunk):
                self._waiting.popleft()
            else:
                self._waiting[0] = chunk[size:]
        if self._closes and not self._waiting:
            self.close()
        return dealt_with

    def close_behind(self) -> None:
        """Closes the descriptor once all is written."""
        self._closes = True
        if not self._waiting:
            self.close()

    def close(self) -> None:
        """Closes it now."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        self._waiting.clear()
        self.waiting_bytes = 0
