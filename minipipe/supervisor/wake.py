"""What ends the conductor's wait when there is a wish, from any thread."""

from __future__ import annotations

import os
import threading


class Wake:
    """A pipe that is readable once somebody has called `wake`; also in a signal handler.

    Attributes:
        fd: becomes readable.
    """

    def __init__(self) -> None:
        self.fd, self._write = os.pipe()
        self._lock = threading.RLock()  # a signal handler may wake() in the middle of a wake()
        self._closed = False

    def wake(self) -> None:
        """Ends the wait; nothing happens if the run has ended."""
        with self._lock:  # or the number might be another file's by now
            if not self._closed:
                os.write(self._write, b"!")

    def close(self) -> None:
        """Gives both ends back."""
        with self._lock:
            self._closed = True
            os.close(self.fd)
            os.close(self._write)
