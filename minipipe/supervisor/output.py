"""What workers print appears in the caller's stdout and stderr, line by line."""

from __future__ import annotations

import logging
import os
import select
import sys
import threading
from dataclasses import dataclass

logger = logging.getLogger("minipipe")

CHUNK_BYTES = 65_536
MAX_LINE_BYTES = 1 << 20


@dataclass
class _Pipe:
    fd: int
    to_stderr: bool
    rest: bytes = b""


class OutputPump(threading.Thread):
    """Reads the workers' pipes and writes whole lines to `sys.stdout` and `sys.stderr`.

    They are looked up at each write, so that a notebook's cell or a redirection gets them.
    """

    def __init__(self) -> None:
        super().__init__(name="minipipe-output", daemon=True)
        self._pipes: dict[int, _Pipe] = {}
        self._new: list[_Pipe] = []
        self._lock = threading.Lock()
        self._ending = False
        self._wake_read, self._wake_write = os.pipe()

    def add(self, fd: int, *, to_stderr: bool) -> None:
        """Takes over the reading end of a pipe."""
        os.set_blocking(fd, False)
        with self._lock:
            self._new.append(_Pipe(fd, to_stderr))
        os.write(self._wake_write, b"!")

    def end(self, timeout_s: float) -> None:
        """Writes what is there, also of workers that died, and ends.

        It does not wait for the end of the pipes: what a functor has started may hold them.
        """
        self._ending = True
        os.write(self._wake_write, b"!")
        if self.is_alive():
            self.join(timeout_s)  # the caller's stdout may be blocked: not our end then
        if not self.is_alive():
            os.close(self._wake_read)
            os.close(self._wake_write)

    def run(self) -> None:
        poll = select.poll()
        poll.register(self._wake_read, select.POLLIN)
        while not self._ending:
            for fd, _ in poll.poll():
                if fd == self._wake_read:
                    os.read(self._wake_read, CHUNK_BYTES)
                    self._adopt(poll)
                elif not self._read(self._pipes[fd]):
                    poll.unregister(fd)
                    self._drop(self._pipes.pop(fd))
        self._adopt(poll)
        for pipe in self._pipes.values():
            self._read(pipe)
            self._drop(pipe)

    def _adopt(self, poll: select.poll) -> None:
        with self._lock:
            new, self._new = self._new, []
        for pipe in new:
            self._pipes[pipe.fd] = pipe
            poll.register(pipe.fd, select.POLLIN | select.POLLHUP)

    def _read(self, pipe: _Pipe) -> bool:
        """Writes what is there now; False at the end of the pipe."""
        while True:
            try:
                chunk = os.read(pipe.fd, CHUNK_BYTES)
            except BlockingIOError:
                return True
            if not chunk:
                return False
            data = pipe.rest + chunk
            cut = data.rfind(b"\n") + 1
            if not cut and len(data) > MAX_LINE_BYTES:
                cut = len(data)
            pipe.rest = data[cut:]
            if cut:
                _write(data[:cut], to_stderr=pipe.to_stderr)

    @staticmethod
    def _drop(pipe: _Pipe) -> None:
        os.close(pipe.fd)
        if pipe.rest:
            _write(pipe.rest + b"\n", to_stderr=pipe.to_stderr)


def _write(data: bytes, *, to_stderr: bool) -> None:
    stream = sys.stderr if to_stderr else sys.stdout
    if stream is None:
        return
    try:
        stream.write(data.decode("utf-8", "backslashreplace"))
        stream.flush()
    except Exception as error:  # whatever the caller has put there as its stdout may raise
        # It must be read on all the same, or the workers would wait in their prints for ever.
        logger.warning("cannot write what workers print: %s: %s", type(error).__name__, error)
