"""The vital signs of a worker on this machine: a page of memory that it shares with us."""

from __future__ import annotations

import mmap
import os
import tempfile
import threading
from collections.abc import Hashable
from dataclasses import fields

from minipipe.process.cpus import core_wait_s
from minipipe.protocol.run.vital_signs import (
    STARTING,
    Call,
    EndStage,
    StartStage,
    Usage,
    VitalSigns,
)
from minipipe.stream.page import SIZE_BYTES, WORD, Page
from minipipe.worker.ending import read_note
from minipipe.worker.stack import functors_part

STACK_BYTES = 65_536
_TICK_S = 1.0 / os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")

# What one word of the page says by itself.
_WORDS = tuple(
    field.name for field in fields(VitalSigns) if field.name in WORD.keys() - {"start", "origin"}
)


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
        self._usage = Usage()
        self._stack_from = SIZE_BYTES  # where in the file the next stack begins
        # The page goes away at the end, and anybody may ask, also a signal handler in between.
        self._lock = threading.RLock()

    def signs(self) -> VitalSigns:
        with self._lock:
            return self._last if self._last is not None else self._read()

    def _read(self) -> VitalSigns:
        page = self.page
        number, origin, calls = page.number, page.origin, page.calls
        outputs = page.outputs if number is not None else ()
        if calls:
            origin, number, outputs = calls[0].item
        return VitalSigns(
            number=number,
            origin=origin,
            outputs=outputs,
            beside=tuple(call.item for call in calls[1:]),
            is_in_functor=page.item != 0 or bool(calls),
            start=StartStage(page.start),
            end=EndStage(page.stage),
            durations=page.durations,
            **{name: page.words[WORD[name]] for name in _WORDS},
        )

    def progress(self) -> Hashable | None:
        with self._lock:
            return None if self._last is not None else self.page.signs

    def call(self) -> Call | None:
        with self._lock:
            if self._last is not None:
                return None
            if calls := self.page.calls:  # of several that take as long as they may the oldest
                (origin, number, outputs), call, _, _ = calls[0]
                return (number + 1, origin, call, *outputs)
            return self.page.call or (None if self.page.start == StartStage.PAST else STARTING)

    def call_began_s(self) -> float | None:
        with self._lock:
            calls = self.page.calls if self._last is None else []
            return calls[0].began_ns / 1e9 if calls else None

    def fullness(self, inlet: int) -> tuple[int, int]:
        with self._lock:
            return (0, 0) if self._last is not None else self.page.fullness(inlet)

    def occupancy(self, outlet: int) -> tuple[int, int]:
        with self._lock:
            return (0, 0) if self._last is not None else self.page.occupancy(outlet)

    def start(self) -> StartStage:
        with self._lock:
            return StartStage.PAST if self._last is not None else StartStage(self.page.start)

    def end(self) -> EndStage:
        with self._lock:
            return EndStage.AT_WORK if self._last is not None else EndStage(self.page.stage)

    def is_stopped(self) -> bool:
        with self._lock:
            if self._is_far():
                return self.page.far == 2
        fields = self._stat()
        return bool(fields) and fields[0] in "Tt"

    def _is_far(self) -> bool:
        """Whether it is on another machine: what its kernel says stands on the page then."""
        return self._last is None and self.page.far != 0

    def cpu_time(self) -> Hashable | None:
        with self._lock:
            if self._is_far():
                return self.page.far_own_cpu_ns
        fields = self._stat()
        return (fields[11], fields[12]) if fields else None  # of the user and system

    def own_cpu_ns(self) -> int:
        """What its main thread has taken of the processor, as far as the kernel tells."""
        fields = self._stat()
        return int(1e9 * _TICK_S) * (int(fields[11]) + int(fields[12])) if fields else 0

    def usage(self) -> Usage:
        with self._lock:
            # The caller's process does other things, too.
            if self._last is None and self.fd >= 0 and (self.pid or self.page.far):
                self._usage = self._used_now()
            return self._usage

    def _used_now(self) -> Usage:
        page = self.page
        if page.far:
            cpu_ns, wait_ns = page.far_cpu_ns, page.far_wait_ns
            return Usage(cpu_ns / 1e9, page.far_memory_bytes, wait_ns / 1e9)
        stat = self._stat("stat")
        if not stat:
            cpu_s = max(self._usage.cpu_s, self.page.cpu_ns / 1e9)
            wait_s = max(self._usage.core_wait_s, self.page.core_wait_ns / 1e9)
            return Usage(cpu_s, self._usage.memory_bytes, wait_s)
        try:
            with open(f"/proc/{self.pid}/statm") as statm:
                resident, shared = map(int, statm.read().split()[1:3])
        except OSError:
            resident = shared = 0
        cpu_s = _TICK_S * sum(map(int, stat[11:15]))
        memory_bytes = _PAGE_BYTES * (resident - shared) or self._usage.memory_bytes
        return Usage(cpu_s, memory_bytes, core_wait_s(self.pid) or self._usage.core_wait_s)

    def _stat(self, file: str = "") -> list[str]:
        """What the kernel says, from the state on: of the main thread, or of all (`stat`)."""
        try:
            with open(f"/proc/{self.pid}/{file or f'task/{self.pid}/stat'}") as stat:
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
            calls = self.page.calls
        thread = calls[0].thread if calls else None
        return functors_part(text.decode("utf-8", "replace"), thread)

    def close(self) -> None:
        with self._lock:
            if self._last is not None:
                return
            self.usage()
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
