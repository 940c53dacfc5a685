"""The caller's resource tracker, for what workers register (`multiprocessing.shared_memory`, say).

`multiprocessing` hands its tracker on to the processes that it starts, so that there is one, which
unlinks what is left when all of them have ended.  A tracker of a worker's own would unlink, at the
worker's end, what is the caller's.
"""

from __future__ import annotations

import os
import sys
from typing import Any


def _tracker() -> Any:
    from multiprocessing import resource_tracker

    return resource_tracker._resource_tracker


class Tracking:
    """Where workers write what they register.

    If the caller has a tracker, that is its pipe.  Else it is one of our own: what is written
    there, if anything ever is, starts the caller's tracker, and is passed on to it.
    """

    def __init__(self) -> None:
        self._read: int | None = None
        self._rest = b""
        module = sys.modules.get("multiprocessing.resource_tracker")
        fd = None if module is None else module._resource_tracker._fd
        if fd is not None:
            self.fd = os.dup(fd)
        else:
            self._read, self.fd = os.pipe()
            os.set_blocking(self._read, False)

    def filenos(self) -> list[int]:
        return [] if self._read is None else [self._read]

    def pass_on(self) -> None:
        """Passes on what workers have registered so far."""
        if self._read is None:
            return
        while True:
            try:
                chunk = os.read(self._read, 65_536)
            except BlockingIOError:
                return
            if not chunk:
                return
            *lines, self._rest = (self._rest + chunk).split(b"\n")
            tracker = _tracker()
            tracker.ensure_running()
            for line in lines:
                if not line.startswith(b"PROBE"):
                    os.write(tracker._fd, line + b"\n")

    def close(self) -> None:
        """Passes on the last of it; the workers are gone."""
        os.close(self.fd)
        if self._read is not None:
            self.pass_on()
            os.close(self._read)
