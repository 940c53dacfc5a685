"""The vital signs of a worker on this machine: a page of memory that it shares with us."""

from __future__ import annotations

import mmap
import os
import tempfile
import threading
from collections.abc import Hashable
from dataclasses import fields

from minipipe.protocol.run.vital_signs import STARTING, Call, EndStage, StartStage, VitalSigns
from minipipe.stream.page import SIZE_BYTES, WORD, Page
from minipipe.worker.ending import read_note
from minipipe.worker.stack import functors_part

STACK_BYTES = 65_536

# What one word of the page says by itself.
_WORDS = tuple(field.name for field in fields(VitalSigns) if field.name in WORD.keys() - {"start"})


class SharedPage:
    """The status page of a worker, as the supervisor reads it (a `Vitals`).

    Attributes:
        page: the memory itself.
        fd: of its file, behind whose page the worker writes its stack; -1: it has none.
        pid: of the worker; 0 until it is known.
    """

    def __init__(self, page: Page, fd: int = -1, pid: int = 0) -> None:
        self.page = page
        self.fd = fd
        self.pid = pid
        self._last: VitalSigns | None = None
        self._stack_from = SIZE_BYTES  # where in the file the next stack begins
        # The page goes away at the end, and anybody may ask, also a signal handler in between.
        self._lock = threading.RLock()

    def signs(self) -> VitalSigns:
        with self._lock:
            return self._last if self._last is not None else self._read()

    def _read(self) -> VitalSigns:
        page = self.page
        number = page.number
        return VitalSigns(
            number=number,
            outputs=page.outputs if number is not None else (),
            start=StartStage(page.start),
            end=EndStage(page.stage),
            **{name: page.words[WORD[name]] for name in _WORDS},
        )

    def progress(self) -> Hashable | None:
        with self._lock:
            return None if self._last is not None else self.page.signs

    def call(self) -> Call | None:
        with self._lock:
            if self._last is not None:
                return None
            return self.page.call or (None if self.page.start == StartStage.PAST else STARTING)

    def fullness(self, inlet: int) -> tuple[int, int]:
        with self._lock:
            return (0, 0) if self._last is not None else self.page.fullness(inlet)

    def start(self) -> StartStage:
        with self._lock:
            return StartStage.PAST if self._last is not None else StartStage(self.page.start)

    def end(self) -> EndStage:
        with self._lock:
            return EndStage.AT_WORK if self._last is not None else EndStage(self.page.stage)

    def is_stopped(self) -> bool:
        fields = self._stat()
        return bool(fields) and fields[0] in "Tt"

    def cpu_time(self) -> Hashable | None:
        fields = self._stat()
        return (fields[11], fields[12]) if fields else None  # of the user and system

    def _stat(self) -> list[str]:
        """What the kernel says of the main thread, from its state on."""
        try:
            with open(f"/proc/{self.pid}/task/{self.pid}/stat") as stat:
                return stat.read().rpartition(")")[2].split()
        except OSError:
            return []  # it is gone, or this is no Linux

    def end_waits_for(self) -> str:
        if self.is_stopped():
            return "somebody to continue it: it is stopped (SIGSTOP)"
        with self._lock:
            return "nothing" if self._last is not None or self.fd < 0 else read_note(self.fd)

    def expect_stack(self) -> None:
        with self._lock:
            if self.fd >= 0 and self._last is None:
                self._stack_from = os.fstat(self.fd).st_size

    def stack(self) -> str:
        with self._lock:
            if self.fd < 0 or self._last is not None:
                return ""
            text = os.pread(self.fd, STACK_BYTES, self._stack_from)
        return functors_part(text.decode("utf-8", "replace"))

    def close(self) -> None:
        with self._lock:
            if self._last is not None:
                return
            self._last = self._read()
            if self.fd >= 0:  # else it is the caller's, who may still be writing to it
                self.page.close()
                os.close(self.fd)


def page_of_worker() -> SharedPage:
    """One for a process that is yet to be started."""
    fd = _memory()
    try:
        return SharedPage(Page(mmap.mmap(fd, SIZE_BYTES)), fd)
    except OSError:
        os.close(fd)
        raise


def page_of_caller() -> SharedPage:
    """That of the caller's loop, which is in this process."""
    page = Page()
    page.start = StartStage.PAST
    return SharedPage(page, pid=os.getpid())


def _memory() -> int:
    """A descriptor of memory that can be shared; it has no name, so nothing is left behind."""
    try:
        fd = os.memfd_create("minipipe-page")
    except (AttributeError, OSError):  # macOS has none; a container may refuse it
        # Of memory, if there is a file system of it: what is written often is else for a disk.
        place = "/dev/shm" if os.access("/dev/shm", os.W_OK | os.X_OK) else None
        with tempfile.TemporaryFile(dir=place) as file:
            fd = os.dup(file.fileno())
    try:
        os.ftruncate(fd, SIZE_BYTES)
    except OSError:
        os.close(fd)
        raise
    return fd
