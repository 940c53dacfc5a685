"""What workers print, and log, appears in the caller's stdout and stderr, and loggers."""

from __future__ import annotations

import fcntl
import logging
import math
import os
import select
import struct
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from minipipe.process.describe import in_a_line
from minipipe.protocol.run.merging import Merging
from minipipe.supervisor.side_channel import SideChannelReader

logger = logging.getLogger("minipipe")

PAUSE_S = 0.02  # between turns that fail
CHUNK_BYTES = 65_536  # of one pipe in one turn, so that one that is never empty starves no other


@dataclass
class _Pipe:
    fd: int
    to_stderr: bool
    side: SideChannelReader | None = None  # takes what comes, if that is no text


class OutputPump(threading.Thread):
    """Reads the workers' pipes and writes to `sys.stdout` and `sys.stderr`.

    They are looked up at each write, so that a notebook's cell or a redirection gets them.

    Args:
        broke: is called with each error of its own.  It goes on all the same, or workers would wait
            in their prints for ever, and could not even end.
    """

    def __init__(self, broke: Callable[[BaseException], object]) -> None:
        super().__init__(name="minipipe-output", daemon=True)
        self._broke = broke
        self._error: BaseException | None = None  # the first one
        self._pipes: dict[int, _Pipe] = {}
        self._new: list[_Pipe] = []
        self._lock = threading.Lock()
        self._ending = False
        self._wake_read, self._wake_write = os.pipe()
        self._users, self._is_closed = {"thread", "others"}, False  # of that pipe
        self._merging = {False: Merging(), True: Merging()}  # by `to_stderr`
        self._broken: dict[bool, object] = {}  # what could not be written to, and that was said

    def open_pipes(self) -> tuple[int, int]:
        """The ends that a new worker writes to, its stdout and stderr; who asked closes them."""
        with ExitStack() as undo:
            ends = []
            for to_stderr in (False, True):
                read, write = os.pipe()
                undo.callback(os.close, write)
                ends.append(write)
                try:
                    self.add(read, to_stderr=to_stderr)
                except BaseException:
                    os.close(read)
                    raise
            undo.pop_all()
        out, err = ends
        return out, err

    @contextmanager
    def pipes_of(self, segment: str, worker: str) -> Iterator[tuple[int, int, int]]:
        """The ends that a worker writes to, its stdout, stderr and side channel; closed later."""
        with ExitStack() as ours:
            out, err = self.open_pipes()
            for end in (out, err):
                ours.callback(os.close, end)
            side = self._open_side_channel(segment, worker)
            ours.callback(os.close, side)
            yield out, err, side

    def _open_side_channel(self, segment: str, worker: str) -> int:
        """The end of a pipe for what this worker logs; who asked closes it."""
        read, write = os.pipe()
        try:
            self._take_over(_Pipe(read, to_stderr=True, side=SideChannelReader(segment, worker)))
        except BaseException:
            os.close(read)
            os.close(write)
            raise
        return write

    def add(self, fd: int, *, to_stderr: bool) -> None:
        """Takes over the reading end of a pipe."""
        self._take_over(_Pipe(fd, to_stderr))

    def _take_over(self, pipe: _Pipe) -> None:
        os.set_blocking(pipe.fd, False)
        with self._lock:
            self._new.append(pipe)
        os.write(self._wake_write, b"!")

    def end(self, timeout_s: float) -> None:
        """Writes what is there, also of workers that died, and ends.

        It does not wait for the end of the pipes: what a functor has started may hold them.

        Raises:
            BaseException: the first error of its own, which may have come too late for `broke`.
        """
        self._ending = True
        os.write(self._wake_write, b"!")
        if self.is_alive():
            self.join(
                timeout_s
            )  # the caller's stdout may be blocked, or a handler: not our end then
        self._close_wake(is_thread=False)
        if self._error is not None:
            raise self._error

    def _close_wake(self, *, is_thread: bool) -> None:
        """Closes the pipe that it is woken by, when neither the thread nor others use it."""
        with self._lock:
            self._users.discard("thread" if is_thread else "others")
            if not self.is_alive():  # it was not even begun
                self._users.discard("thread")
            if not self._users and not self._is_closed:
                self._is_closed = True
                os.close(self._wake_read)
                os.close(self._wake_write)

    def run(self) -> None:
        poll = select.poll()
        poll.register(self._wake_read, select.POLLIN)
        while not self._ending:
            self._attempt(self._turn, poll)
        self._attempt(self._adopt, poll)
        for pipe in self._pipes.values():
            self._attempt(self._read_rest, pipe)
            self._attempt(self._drop, pipe)
        self._close_wake(is_thread=True)

    def _attempt(self, function: Callable[[Any], object], argument: Any) -> None:
        """An error in this thread ends the run, and not the thread, which nobody would notice."""
        try:
            function(argument)
        except Exception as error:  # of any kind
            error.add_note("minipipe: in the supervisor, while showing what workers print")
            self._error = self._error or error
            self._broke(error)
            time.sleep(PAUSE_S)  # it may well fail again

    def _turn(self, poll: select.poll) -> None:
        """Waits, then reads some of each pipe that has something, and writes what is due."""
        for fd, _ in poll.poll(self._timeout_ms()):
            if fd == self._wake_read:
                os.read(self._wake_read, CHUNK_BYTES)
                self._adopt(poll)
            else:
                self._attempt(self._serve, (poll, fd))
        for to_stderr, merging in self._merging.items():
            self._write(merging.due(time.monotonic()), to_stderr=to_stderr)

    def _serve(self, which: tuple[select.poll, int]) -> None:
        poll, fd = which
        if not self._read_some(self._pipes[fd]):
            poll.unregister(fd)
            self._drop(self._pipes.pop(fd))

    def _read_rest(self, pipe: _Pipe) -> None:
        left = _readable_bytes(pipe.fd)  # now: what has started may go on for ever
        while left > 0 and self._read_some(pipe):
            left -= CHUNK_BYTES

    def _timeout_ms(self) -> int | None:
        now_s = time.monotonic()
        waits = [merging.due_in_s(now_s) for merging in self._merging.values()]
        times = [wait_s for wait_s in waits if wait_s is not None]
        return math.ceil(min(times) * 1000) if times else None

    def _adopt(self, poll: select.poll) -> None:
        with self._lock:
            new, self._new = self._new, []
        for pipe in new:
            self._pipes[pipe.fd] = pipe
            poll.register(pipe.fd, select.POLLIN | select.POLLHUP)

    def _read_some(self, pipe: _Pipe) -> bool:
        """Takes in what is there now, up to CHUNK_BYTES; False at the end of the pipe."""
        try:
            chunk = os.read(pipe.fd, CHUNK_BYTES)
        except BlockingIOError:
            return True
        if not chunk:
            return False
        if pipe.side is not None:
            return self._take(pipe.side, chunk)
        text = self._merging[pipe.to_stderr].add(pipe.fd, chunk, time.monotonic())
        self._write(text, to_stderr=pipe.to_stderr)
        return True

    def _take(self, side: SideChannelReader, chunk: bytes) -> bool:
        """Does what a worker has said beside its prints; False if that is none of ours."""
        try:
            for trouble in side.add(chunk):
                self._write(f"minipipe: {trouble}\n".encode(), to_stderr=True)
        except ValueError as error:
            logger.warning(
                "what worker %r logs is not read any more, as something else was written to the "
                "pipe for that: %s",
                *(side.worker, in_a_line(error)),
            )
            return False
        return True

    def _drop(self, pipe: _Pipe) -> None:
        os.close(pipe.fd)
        if pipe.side is not None:
            return
        self._write(self._merging[pipe.to_stderr].end(pipe.fd), to_stderr=pipe.to_stderr)

    def _write(self, data: bytes, *, to_stderr: bool) -> None:
        stream = sys.stderr if to_stderr else sys.stdout
        if stream is None or not data:
            return
        text = data.decode("utf-8", "backslashreplace")
        try:
            try:
                stream.write(text)
            except UnicodeEncodeError:  # workers write UTF-8, whatever the caller's stream can
                encoding = stream.encoding
                stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
            stream.flush()
        except Exception as error:  # whatever the caller has put there as its stdout may raise
            # It must be read on all the same, or the workers would wait in their prints for ever.
            if self._broken.get(to_stderr) is not stream:
                self._broken[to_stderr] = stream
                logger.warning(
                    "cannot write what workers print to %s, so some of it is lost: %s: %s",
                    *("stderr" if to_stderr else "stdout", type(error).__name__, error),
                )


def _readable_bytes(fd: int) -> int:
    """How much can be read of a pipe without waiting."""
    count: int = struct.unpack("i", fcntl.ioctl(fd, termios.FIONREAD, b"\0\0\0\0"))[0]
    return count
