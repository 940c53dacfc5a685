"""All worker processes of a run: who they are, how they are started, watched and ended."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from minipipe.graph import Graph, GraphSegment
from minipipe.protocol.item_seeds import RunSeeds
from minipipe.protocol.run.lifecycle import Member
from minipipe.protocol.run.stats import WorkerStats
from minipipe.protocol.run.vital_signs import Call
from minipipe.stream.page import Page
from minipipe.supervisor.capture import Captured, check_fork, inherited
from minipipe.supervisor.counts import Counts
from minipipe.supervisor.hosts.all_hosts import AllHosts
from minipipe.supervisor.hosts.base import Descriptors, Report, Started
from minipipe.supervisor.output import OutputPump
from minipipe.supervisor.placing import wanted_by
from minipipe.supervisor.run_options import RunOptions
from minipipe.supervisor.shared_page import SharedPage, page_of_caller, page_of_worker
from minipipe.supervisor.tracking import Tracking
from minipipe.supervisor.vitals import Vitals
from minipipe.supervisor.worker_handle import WorkerHandle, handles_of
from minipipe.supervisor.worker_specs import WorkerSpecs
from minipipe.transport import Controls

if TYPE_CHECKING:
    from minipipe.supervisor.tracing import Tracing


@dataclass
class WorkerProcesses:
    """Starts all workers of a graph and hears of their ends."""

    graph: Graph
    captured: dict[int, Captured]
    seeds: RunSeeds
    shared_bytes: int  # what the arrays of all workers in shared memory may come to
    pipeline: int  # its id
    options: RunOptions
    tracing: Tracing | None = None  # where they write down what they do when, if that is wished
    handles: dict[int, WorkerHandle] = field(init=False)
    not_for_children: Sequence[int] = ()  # descriptors beside those of workers

    def __post_init__(self) -> None:
        with ExitStack() as undo:  # what was made is given back, if the rest is not
            self._pages: dict[int, SharedPage] = {}
            self.handles = handles_of(self.graph, self._new_page)
            for handle in self.handles.values():
                undo.callback(handle.close)
            self._past = Counts()
            self._specs: WorkerSpecs | None = None
            self._tracking = Tracking()
            undo.callback(self._tracking.close)
            self.controls = Controls()
            undo.pop_all()
        tracker, forks_close = self._tracking.fd, self._not_for_children
        self.hosts = AllHosts(self.captured, self.options.preload, tracker, forks_close)

    def prepare(
        self,
        *,
        run: int,
        base: str,
        supervisor: str,
        directory: str,
        pump: OutputPump,
        gateway: str = "",
    ) -> None:
        """Has all ready that starts workers.

        Args:
            gateway: the address of the run's gateway; nothing: no other machine can join.

        Raises:
            StartError: an interpreter could not be started.
        """
        self.hosts.prepare(directory, pump)
        if self.tracing is not None:
            self.tracing.begin(directory, lambda: self.handles.values())
        self._pump = pump
        self._specs = WorkerSpecs(
            graph=self.graph,
            options=self.options,
            seeds=self.seeds,
            shared_bytes=self.shared_bytes,
            pipeline=self.pipeline,
            trace=None if self.tracing is None else self.tracing.room,
            first=tuple(handle for handle in self.handles.values()),
            run=run,
            base=base,
            supervisor=supervisor,
            directory=directory,
            gateway=gateway,
            modules=[
                name
                for captured in self.captured.values()
                if captured.pickled is not None
                for name in captured.pickled.modules
            ],
        )

    def launch(self, ident: int) -> Iterator[Report]:
        """Asks for the process of a worker, at the start of the run; raises as `replace`."""
        yield from self._start(self.handles[ident])

    def replace(self, dead: int, member: Member) -> Iterator[Report]:
        """Asks for the process of a worker that takes the place of a dead one.

        Raises:
            StartError: it cannot be started any more.
        """
        old = self.handles[dead]
        yield from self._join(old.index, old.segment, member, old.seat)

    def add(self, like: int, member: Member) -> Iterator[Report]:
        """Asks for the process of an additional worker beside this one; raises as `replace`."""
        segment, one = self.handles[like].segment, self.handles[like]
        seat = (one.index if one.seat is None else one.seat) if one.moves else None
        same = [h for h in self.handles.values() if h.segment is segment]
        # The place of one that is gone is free again, but for what its local_term returned.
        used = {h.index for h in same if h.final is None or h.result is not None}
        index = next(i for i in range(len(used) + 1) if i not in used)
        yield from self._join(index, segment, member, seat)

    def _join(
        self, index: int, segment: GraphSegment, member: Member, seat: int | None
    ) -> Iterator[Report]:
        name, vitals = segment.worker_name(index), self._new_page(member)
        handle = WorkerHandle(member.id, index, name, segment, member, vitals, seat=seat)
        # Others than before: somebody who asks for stats may be going through the old ones.
        self.handles = {**self.handles, handle.ident: handle}
        self.handles = self._past.without_long_dead(self.handles)
        captured = self.captured[handle.segment.index]
        if captured.pickled is None and handle.segment.declared is not None:
            check_fork(handle.segment.declared, captured.why)
        yield from self._start(handle)

    def dismiss(self, ident: int) -> None:
        """Gives back what a worker had that is dead, or gone; its counters are kept."""
        handle = self.handles[ident]
        handle.close("gone" if handle.is_done else "died")
        self._pages.pop(ident, None)
        self.hosts.forget(ident)

    def inherit(self, ident: int, cause: BaseException) -> Iterator[Report]:
        """Asks once more for the process of a worker that could not load its functor: by fork.

        Raises:
            StartError: that will not do, either.
        """
        handle = self.handles[ident]
        declared = handle.segment.declared
        captured = self.captured[handle.segment.index]
        if captured.pickled is not None and declared is not None:
            workers = handle.segment.n_processes
            self.captured[handle.segment.index] = inherited(
                captured, declared, workers, cause, "loaded"
            )
        handle.death = None  # that was the end of an attempt, not of the worker
        yield from self._start(handle)

    def _new_page(self, member: Member) -> Vitals:
        page = page_of_caller() if member.is_caller else page_of_worker()
        self._pages[member.id] = page
        return page

    def page_of(self, ident: int) -> Page:
        """The memory that a worker shows its vital signs in."""
        return self._pages[ident].page

    def _start(self, handle: WorkerHandle) -> Iterator[Report]:
        assert self._specs is not None
        handle.is_asked_for = True
        captured = self.captured[handle.segment.index]
        spec = self._specs.of(handle)
        with self._pump.pipes_of(handle.segment.name, handle.name) as (out, err, side):
            with self.controls.open(handle.ident) as control:
                page = self._pages[handle.ident]
                fds = Descriptors(out, err, side, page, control.fileno())
                wanted = wanted_by(handle)
                reports = list(self.hosts.start(spec, captured, handle.index, fds, wanted))
            for report in reports:
                if isinstance(report, Started) and captured.pickled is None:
                    handle.forked_beside, handle.why_forked = report.beside, captured.why
                yield report

    def _not_for_children(self) -> list[int]:
        """What would keep a dead supervisor's workers from noticing, if they inherited it."""
        hosts = self.hosts.not_for_forks()
        return [*self.controls.not_for_children(), *hosts, *self.not_for_children]

    def placed(self, ident: int, host: str) -> None:
        """A worker was sent to another machine."""
        self.handles[ident].host = host

    def stats(self, state: Callable[[int], str]) -> tuple[WorkerStats, ...]:
        """What all workers have counted; `state`: of a living one."""
        # First the living: one that is forgotten in between is then in both, rather than in none.
        others = self.options.hosting is not None  # machines, which some may have waited for
        handles = (h for h in self.handles.values() if not (others and h.has_never_run))
        return (*self._past.of_long_dead, *(h.stats(state(h.ident)) for h in handles))

    def items_in(self, segment: int) -> int:
        """How many items all workers of a segment have taken so far; of a Source: have made."""
        its = self.graph.segments[segment]
        workers = [w for w in self.stats(lambda ident: "") if w.segment == its.name]
        if not its.inputs:
            return sum(worker.items_out + worker.dropped for worker in workers)
        return sum(worker.items_in for worker in workers)

    def filenos(self) -> list[int]:
        """What is readable when `reports` has news."""
        own = [*self._tracking.filenos(), *self.controls.filenos()]
        return own + self.hosts.filenos()

    @property
    def look_every_s(self) -> float | None:
        """How often to ask for `reports`, whatever is readable; None: that is enough."""
        times = [self.controls.look_every_s, self.hosts.look_every_s]
        return min((time_s for time_s in times if time_s is not None), default=None)

    def reports(self, readable: list[int]) -> Iterator[Report]:
        """What has happened to processes."""
        yield from self.hosts.reports(readable)
        self._tracking.pass_on()

    def ask_for_stack(self, ident: int) -> None:
        """Has a worker write down where it is, whatever it does (`Vitals.stack`)."""
        self.handles[ident].vitals.expect_stack()
        self.hosts.ask_for_stack(ident)

    def importing_for(self, ident: int) -> str:
        """The module that its zygote imports before it forks anybody; empty: none."""
        return self.hosts.importing_for(ident)

    def call_off(self) -> None:
        """Nobody is killed for a call any more."""
        self.hosts.call_off()

    def kill(self, ident: int, *, call: Call | None = None, hard: bool = False) -> None:
        """SIGKILL; an `Exited` follows.

        Args:
            call: only if it is still at this call, which its host finds out.
            hard: to the zygote, which did not carry it out (somebody has stopped it); its workers
                die with it.
        """
        self.hosts.kill(ident, call=call, hard=hard)

    def end(self) -> None:
        """Nothing of the crew is there afterwards."""
        with ExitStack() as last:  # each of these, even if another one fails
            if self.tracing is not None:
                last.callback(self.tracing.end)
            last.callback(self.controls.end)
            last.callback(self._tracking.close)
            last.callback(self.hosts.close)
