"""A worker as the supervisor knows it: its vital signs, its process, how it died."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, Protocol

from minipipe.errors import WorkerDiedError
from minipipe.errors.deaths import worker_in_words
from minipipe.graph import Graph, GraphSegment
from minipipe.process import gpu_copies
from minipipe.protocol.delivery.membership import LOCAL_HOST
from minipipe.protocol.run.lifecycle import Member
from minipipe.protocol.run.stats import WorkerStats
from minipipe.protocol.run.vital_signs import STARTING, Activity, Call, StartStage, VitalSigns
from minipipe.supervisor.vitals import Vitals


@dataclass
class WorkerHandle:
    """One worker, as the supervisor knows it."""

    ident: int
    index: int
    name: str
    segment: GraphSegment
    member: Member
    vitals: Vitals
    is_asked_for: bool = False  # its process was, or it needs none
    host: str = LOCAL_HOST  # where its process is, or is to be
    seat: int | None = None  # it may run where `on=` has this one of its segment; None: its index
    moves: bool = False  # its machine wants to go: who comes instead has its seat
    pid: int = 0
    result: Any = None
    final: WorkerStats | None = None
    closed_s: float = 0.0  # when that was
    death: WorkerDiedError | None = None  # how it died, if nobody had told it to go
    hung: str = ""  # why it is to be killed, if it is at that call still
    heeded: bool = False  # a stop has reached it
    is_done: bool = False  # with all its work
    forked_beside: tuple[str, ...] = ()  # threads that ran here when it was forked, if it was
    why_forked: str = ""
    staged_before_ns: int = field(default_factory=gpu_copies.staged_ns)  # by this process

    def stats(self, state: str) -> WorkerStats:
        """Its counters now, or at its end."""
        return self.final if self.final is not None else self._read(state)

    def _read(self, state: str) -> WorkerStats:
        signs = self.vitals.signs()
        times = signs.times_ns(time.monotonic_ns())
        usage = self.vitals.usage()
        is_here = self.member.is_caller
        return WorkerStats(
            worker=self.name,
            segment=self.segment.name,
            pid=self.pid,
            state=state,
            items_in=signs.items_in,
            items_out=signs.items_out,
            dropped=signs.dropped,
            confirmed=signs.confirmed,
            kept_items=signs.kept_items,
            kept_bytes=signs.kept_bytes,
            kept_peak_items=signs.peak_items,
            kept_peak_bytes=signs.peak_bytes,
            parcels_out=signs.parcels,
            queued_items=signs.queued,
            item=signs.number,
            path=signs.outputs,
            busy_s=times[Activity.BUSY] / 1e9,
            starved_s=times[Activity.STARVED] / 1e9,
            blocked_s=times[Activity.BLOCKED] / 1e9,
            own_s=times[Activity.OWN] / 1e9,
            wakeups=signs.wakeups,
            messages_in=signs.messages_in,
            messages_out=signs.messages_out,
            cpu_s=usage.cpu_s,
            core_wait_s=usage.core_wait_s,
            memory_bytes=usage.memory_bytes,
            bytes_in=signs.bytes_in,
            bytes_out=signs.bytes_out,
            failed=signs.failed,
            skipped=signs.skipped,
            durations=signs.durations,
            staged_s=self._staged_ns(signs) / 1e9,
            own_copies=int(gpu_copies.are_its_own()) if is_here else signs.own_copies,
            host=self.host if self.pid or self.member.is_caller else self.host_elsewhere,
        )

    def _staged_ns(self, signs: VitalSigns) -> int:
        if self.member.is_caller:  # in a process that has done so before
            return gpu_copies.staged_ns() - self.staged_before_ns
        return signs.staged_ns

    @property
    def host_elsewhere(self) -> str:
        """The other machine that it runs on; empty: it runs on this one."""
        return "" if self.host == LOCAL_HOST else self.host

    @property
    def in_words(self) -> str:
        """Which worker it is, and where its process is."""
        return worker_in_words(self.name, self.pid, self.host_elsewhere)

    @property
    def place(self) -> str:
        """Where its process is, in words."""
        pid = f"pid {self.pid}"
        return f"host {self.host_elsewhere!r}, {pid}" if self.host_elsewhere else pid

    @property
    def has_never_run(self) -> bool:
        """Whether it is over, and had no process: it had waited for a machine in vain."""
        return self.final is not None and not self.pid and not self.is_asked_for

    @property
    def is_starting(self) -> bool:
        """Whether it has not come out of its `local_init`, as far as is seen."""
        return self.is_asked_for and self.vitals.call() == STARTING

    @property
    def start_stage(self) -> str:
        """How far it has come, in words that continue a sentence."""
        match self.vitals.start():
            case StartStage.LOADING:
                return "loading its functor, and what that imports"
            case StartStage.INITIALIZING:
                return "in its worker_init"
            case StartStage.OPENING:
                declared = self.segment.declared
                is_class = declared is not None and declared.shape.is_class
                return f"in its {'constructor or ' if is_class else ''}local_init"
            case _ if not self.pid:
                return "waiting for its process, as its interpreter has not come up"
            case _:
                return "starting (it has not reached its functor)"

    def idleness(self) -> Hashable | None:
        """What stays the same while it does nothing in its start or first parcel; else None."""
        call = self.vitals.call()
        if call is None or self.vitals.signs().turns > 1:
            return None
        cpu_time = self.vitals.cpu_time()
        return None if cpu_time is None else (call, self.start_stage, cpu_time)

    def close(self, state: str = "gone") -> None:
        """Keeps the last counters, gives the rest back."""
        if self.final is None:
            self.final, self.closed_s = self._read(state), time.monotonic()
            self.vitals.close()


class Watched(Protocol):
    """The workers of a run, for who watches them."""

    handles: dict[int, WorkerHandle]

    def ask_for_stack(self, ident: int) -> None:
        """Has a worker write down where it is, whatever it does (`Vitals.stack`)."""

    def importing_for(self, ident: int) -> str:
        """The module that is imported just now before its process is made; empty: none."""

    def kill(self, ident: int, *, call: Call | None = None) -> None:
        """Kills a worker; with `call`, only if it is still at this one."""

    def call_off(self) -> None:
        """Nobody is killed for a call any more."""


def handles_of(graph: Graph, vitals_of: Callable[[Member], Vitals]) -> dict[int, WorkerHandle]:
    """One handle for each worker, with ids that are never used twice (0 is the supervisor).

    Args:
        vitals_of: brings the vital signs of a worker.
    """
    handles: dict[int, WorkerHandle] = {}
    with ExitStack() as undo:
        undo.callback(_close_all, handles)
        _add_handles(graph, handles, vitals_of)
        undo.pop_all()
    return handles


def _close_all(handles: dict[int, WorkerHandle]) -> None:
    for handle in handles.values():
        handle.close()


def _add_handles(
    graph: Graph, handles: dict[int, WorkerHandle], vitals_of: Callable[[Member], Vitals]
) -> None:
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
                fed_by=frozenset().union(*(spec.producers for spec in wiring.inlets)),
                speaks_to=wiring.correspondents,
                loop=loop_of.get(segment.index),
                joins=segment.joins,
                saves=declared is not None and declared.shape.has_term,
                is_caller=segment.kind == "caller",
                restarts=segment.restarts,
                max_restarts=0 if declared is None else declared.max_restarts,
                skips_poison=declared is not None and declared.poison == "skip",
            )
            name = segment.worker_name(index)
            handle = WorkerHandle(ident, index, name, segment, member, vitals_of(member))
            handle.is_asked_for = member.is_caller
            handles[ident] = handle
