"""A worker as the supervisor knows it: its status page, its process, how it died."""

from __future__ import annotations

import mmap
import os
import tempfile
import threading
import time
from collections.abc import Hashable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from minipipe.errors import WorkerDiedError
from minipipe.graph import Graph, GraphSegment
from minipipe.protocol.delivery.paths import Leaf
from minipipe.protocol.run.lifecycle import Member
from minipipe.protocol.run.stats import WorkerStats
from minipipe.stream.page import LOADING, OPENING, SIZE_BYTES, Page
from minipipe.worker.ending import read_note
from minipipe.worker.stack import functors_part

STACK_BYTES = 65_536


@dataclass
class WorkerHandle:
    """One worker, as the supervisor knows it."""

    ident: int
    index: int
    name: str
    segment: GraphSegment
    member: Member
    page: Page
    page_fd: int = -1
    pid: int = 0
    result: Any = None
    final: WorkerStats | None = None
    closed_s: float = 0.0  # when that was
    death: WorkerDiedError | None = None  # how it died, if nobody had told it to go
    hung: str = ""  # why it is killed: its functor took too long
    stack: str = ""  # where it was then
    heeded: bool = False  # a stop has reached it
    stack_from: int = SIZE_BYTES  # where in the page's file the next stack begins
    is_bound: bool = False  # it has been heard of
    forked_beside: tuple[str, ...] = ()  # threads that ran here when it was forked, if it was
    why_forked: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def stats(self, state: str) -> WorkerStats:
        """Its counters now, or at its end."""
        with self.lock:  # the page goes away at the end, and anybody may ask
            return self.final if self.final is not None else self._read(state)

    def _read(self, state: str) -> WorkerStats:
        page = self.page
        return WorkerStats(
            worker=self.name,
            segment=self.segment.name,
            pid=self.pid,
            state=state,
            items_in=page.items_in,
            items_out=page.items_out,
            dropped=page.dropped,
            confirmed=page.confirmed,
            kept_items=page.kept_items,
            kept_bytes=page.kept_bytes,
            kept_peak_items=page.peak_items,
            kept_peak_bytes=page.peak_bytes,
            parcels_out=page.parcels,
            queued_items=page.queued,
            item=page.number,
            path=page.outputs if page.number is not None else (),
        )

    def fullness(self, inlet: int) -> tuple[int, int]:
        """How many items wait at one of its inlets, and how many may."""
        with self.lock:
            return (0, 0) if self.final is not None else self.page.fullness(inlet)

    def look(self) -> tuple[int, ...] | None:
        """What changes with progress; None if it is gone."""
        with self.lock:
            return None if self.final is not None else self.page.signs

    def call(self) -> tuple[int, ...] | None:
        """What stands for the call of its functor now, if it is at an item."""
        with self.lock:
            return None if self.final is not None else self.page.call

    def stage(self) -> int:
        """How far it is on its way out."""
        with self.lock:
            return 0 if self.final is not None else self.page.stage

    def waits_for(self) -> str:
        """What the end of its process waits for."""
        if self.is_stopped():
            return "somebody to continue it: it is stopped (SIGSTOP)"
        with self.lock:
            if self.final is not None or self.page_fd < 0:
                return "nothing"
            return read_note(self.page_fd)

    @property
    def is_starting(self) -> bool:
        """Whether it has not come out of its `local_init`, as far as its page shows."""
        with self.lock:
            if self.final is not None or self.member.is_caller:
                return False
            return not self.is_bound or self.page.start != 0

    @property
    def can_tell_stack(self) -> bool:
        """Whether the signal for it would not end it: it is prepared for that very early."""
        with self.lock:
            return self.final is None and (self.is_bound or self.page.start != 0)

    @property
    def start_stage(self) -> str:
        """How far it has come, in words that continue a sentence."""
        with self.lock:
            stage = 0 if self.final is not None else self.page.start
        if stage == LOADING:
            return "loading its functor, and what that imports"
        if stage == OPENING:
            declared = self.segment.declared
            is_class = declared is not None and declared.shape.is_class
            return f"in its {'constructor or ' if is_class else ''}local_init"
        if not self.pid:
            return "waiting for its process, as its interpreter has not come up"
        return "starting (it has not reached its functor)"

    def idleness(self) -> Hashable | None:
        """What stays the same while it does nothing in its start or first parcel; else None."""
        call, starting = self.call(), self.is_starting
        if (call is None and not starting) or (call is not None and self.page.turns > 1):
            return None
        try:
            with open(f"/proc/{self.pid}/task/{self.pid}/stat") as stat:
                fields = stat.read().rpartition(")")[2].split()
        except OSError:
            return None  # it is gone, or this is no Linux
        return call, self.start_stage, fields[11], fields[12]  # CPU time, of the user and system

    @property
    def item(self) -> Leaf | None:
        """The item that its functor is at, or was at when it died."""
        number = self.page.number
        return None if number is None else (self.page.origin, number, self.page.outputs)

    def origin_of_item(self) -> int:
        """The worker that numbered the item that its functor is at."""
        return self.ident if self.member.is_source else self.page.origin

    def is_stopped(self) -> bool:
        """Whether somebody has stopped its process."""
        try:
            with open(f"/proc/{self.pid}/stat") as stat:
                return stat.read().rpartition(")")[2].split()[0] in "Tt"
        except OSError:
            return False  # it is gone, or this is no Linux

    def keep_stack(self) -> None:
        """Keeps what it has written of its stack."""
        with self.lock:
            if self.page_fd >= 0 and self.final is None:
                text = os.pread(self.page_fd, STACK_BYTES, self.stack_from)
                self.stack = functors_part(text.decode("utf-8", "replace"))

    def expect_stack(self) -> None:
        """The next stack that it writes is the one to keep."""
        with self.lock:
            if self.page_fd >= 0 and self.final is None:
                self.stack_from = os.fstat(self.page_fd).st_size

    def close(self, state: str = "gone") -> None:
        """Keeps the last counters, gives the page back."""
        with self.lock:
            if self.final is not None:
                return
            self.final, self.closed_s = self._read(state), time.monotonic()
            if self.page_fd >= 0:  # else it is the caller's, who may still be writing to it
                self.page.close()
                os.close(self.page_fd)


def handles_of(graph: Graph) -> dict[int, WorkerHandle]:
    """One handle for each worker, with ids that are never used twice (0 is the supervisor)."""
    handles: dict[int, WorkerHandle] = {}
    with ExitStack() as undo:
        undo.callback(_close_all, handles)
        _add_hands(graph, handles)
        undo.pop_all()
    return handles


def _close_all(handles: dict[int, WorkerHandle]) -> None:
    for handle in handles.values():
        handle.close()


def _add_hands(graph: Graph, handles: dict[int, WorkerHandle]) -> None:
    loop_of = {i: number for number, loop in enumerate(graph.loops.members) for i in loop}
    for segment in graph.segments:
        wiring = graph.wiring(segment.index)
        regions = frozenset(
            [spec.region for spec in wiring.inlets] + [spec.region for spec in wiring.outlets]
        )
        declared = segment.declared
        for index in range(segment.n_processes):
            ident = len(handles) + 1
            member = Member(
                ident,
                segment.index,
                is_source=segment.kind == "source",
                is_stateless=segment.stateless,
                receives_from=frozenset()
                if segment.stateless
                else frozenset(spec.region for spec in wiring.inlets),
                works_in=regions if segment.stateless else frozenset(),
                sends_to=frozenset(spec.region for spec in wiring.outlets if spec.is_sender),
                loop=loop_of.get(segment.index),
                joins=segment.joins,
                saves=declared is not None and declared.shape.has_term,
                is_caller=segment.kind == "caller",
                restarts=segment.restarts,
                max_restarts=0 if declared is None else declared.max_restarts,
                skips_poison=declared is not None and declared.poison == "skip",
            )
            handles[ident] = hand_of(index, segment, member)


def hand_of(index: int, segment: GraphSegment, member: Member) -> WorkerHandle:
    """The handle of a new worker, with a status page; that of the caller is this process's own."""
    page_fd = -1 if member.is_caller else _memory()
    try:
        page = Page() if member.is_caller else Page(mmap.mmap(page_fd, SIZE_BYTES))
    except OSError:
        os.close(page_fd)
        raise
    name = segment.worker_name(index)
    handle = WorkerHandle(member.id, index, name, segment, member, page, page_fd)
    if member.is_caller:
        handle.pid = os.getpid()
    return handle


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
