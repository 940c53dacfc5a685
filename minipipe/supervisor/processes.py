"""All worker processes of a run: who they are, how they are started, watched and ended."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property

from minipipe.errors import StartError, WorkerDiedError
from minipipe.graph import Graph
from minipipe.protocol.delivery.paths import Leaf, Outputs
from minipipe.protocol.run.lifecycle import Member
from minipipe.protocol.run.stats import WorkerStats
from minipipe.shm import oom_kills
from minipipe.stream.page import LOADING
from minipipe.supervisor.capture import Captured, check_fork, inherited
from minipipe.supervisor.hosts.zygote import (
    Descriptors,
    Exited,
    Forks,
    Report,
    Started,
    ZygoteClient,
    ZygoteLost,
)
from minipipe.supervisor.output import OutputPump
from minipipe.supervisor.tracking import Tracking
from minipipe.supervisor.worker_handle import WorkerHandle, hand_of, handles_of
from minipipe.worker.descendants import UNKNOWN
from minipipe.worker.spec import WorkerSpec
from minipipe.worker.zygote import HALT, KILL, RESUME, STACK

ZYGOTE_END_S = 2.0
# Of the dead so many are known one by one, and all for so long: late words of theirs may come.
KEPT = 32
LATE_S = 5.0


@dataclass(frozen=True)
class _Place:
    """Where the run is: what every worker of it is told."""

    run: int
    base: str
    supervisor: str
    directory: str
    pump: OutputPump


@dataclass
class WorkerProcesses:
    """Starts all workers of a graph and hears of their ends."""

    graph: Graph
    captured: dict[int, Captured]
    seed: int
    shared_bytes: int  # what the arrays of all workers in shared memory may come to
    handles: dict[int, WorkerHandle] = field(init=False)

    def __post_init__(self) -> None:
        self.handles = handles_of(self.graph)
        self._first = tuple(self.handles)
        self._past: dict[tuple[int, int], WorkerStats] = {}  # of the long dead, by their place
        self._place: _Place | None = None
        self._zygotes: dict[tuple[tuple[str, str], ...], ZygoteClient] = {}
        self._forks = Forks()
        self._tracking = Tracking()
        try:
            self._lifeline_read, self._lifeline_write = os.pipe()
        except OSError:
            self._tracking.close()
            for handle in self.handles.values():
                handle.close()
            raise
        self._oom_kills = oom_kills()

    def launch(
        self,
        *,
        run: int,
        base: str,
        supervisor: str,
        directory: str,
        pump: OutputPump,
        asked: Callable[[], object],
    ) -> Iterator[Report]:
        """Asks for every worker's process.

        Args:
            asked: is called after each of them.

        Raises:
            StartError: an interpreter could not be started.
        """
        # All zygotes first, so that they import while the rest is prepared.  There is always
        # one, also if every functor is inherited: it is the guard of the run's directory.
        for captured in self.captured.values():
            if captured.pickled is not None:
                self._zygote(captured.environment, directory)
        if not self._zygotes:
            self._zygote(dict(os.environ), directory)
        self._place = _Place(run, base, supervisor, directory, pump)
        for handle in self.handles.values():
            if not handle.member.is_caller:
                yield from self._start(handle)
                asked()

    def replace(self, dead: int, member: Member) -> Iterator[Report]:
        """Asks for the process of a worker that takes the place of a dead one.

        Raises:
            StartError: it cannot be started any more.
        """
        old = self.handles[dead]
        handle = hand_of(old.index, old.segment, member)
        # Others than before: somebody who asks for stats may be going through the old ones.
        self.handles = {**self.handles, member.id: handle}
        self._forget_the_long_dead()
        captured = self.captured[handle.segment.index]
        if captured.pickled is None and handle.segment.declared is not None:
            check_fork(handle.segment.declared, captured.why)
        yield from self._start(handle)

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

    def _start(self, handle: WorkerHandle) -> Iterator[Report]:
        place = self._place
        assert place is not None
        captured = self.captured[handle.segment.index]
        spec = self._spec(handle, place)
        fds = self._descriptors(handle, place.pump)
        try:
            if captured.pickled is not None:
                zygote = self._zygote(captured.environment, place.directory)
                zygote.start(spec, captured, fds)
            else:
                tracker, not_for_it = self._tracking.fd, self._not_for_children()
                started = self._forks.start(spec, captured, fds, not_for_it, tracker)
                handle.forked_beside, handle.why_forked = started.beside, captured.why
                yield started
        finally:
            os.close(fds.out)
            os.close(fds.err)

    def _zygote(self, environment: Mapping[str, str], directory: str) -> ZygoteClient:
        key = tuple(sorted(environment.items()))
        if key not in self._zygotes or self._zygotes[key].lost:
            if key in self._zygotes:
                self._zygotes[key].close(ZYGOTE_END_S)
            self._zygotes[key] = ZygoteClient(environment, directory, self._tracking.fd)
        return self._zygotes[key]

    def _not_for_children(self) -> list[int]:
        """What would keep a dead supervisor's workers from noticing, if they inherited it."""
        return [self._lifeline_write, *(z.fileno() for z in self._zygotes.values() if not z.lost)]

    def _spec(self, handle: WorkerHandle, place: _Place) -> WorkerSpec:
        segment = handle.segment
        return WorkerSpec(
            run=place.run,
            ident=handle.ident,
            name=handle.name,
            segment=segment.name,
            kind=segment.kind,
            index=handle.index,
            num_workers=segment.n_processes,
            seed=(self.seed + 0x9E3779B1 * handle.ident) % 2**32,
            wiring=self.graph.wiring(segment.index),
            base=place.base,
            supervisor=place.supervisor,
            names=self._names,
            directory=place.directory,
            authkey=bytes(multiprocessing.current_process().authkey),
            is_late=handle.ident > len(self._first),
            cwd=_cwd(),
            sys_path=tuple(sys.path),
            argv=tuple(sys.argv),
            shared_bytes=self._share,
        )

    @cached_property
    def _names(self) -> dict[int, str]:
        """Those of the workers that number items: they are never replaced."""
        first = [self.handles[ident] for ident in self._first]
        return {handle.ident: handle.name for handle in first if handle.member.sends_to}

    @cached_property
    def _share(self) -> int:
        """What of `shared_bytes` is for each of those who send something."""
        sending = [i for i in self._first if self.handles[i].segment.outputs]
        return self.shared_bytes // max(1, len(sending))

    def _descriptors(self, handle: WorkerHandle, pump: OutputPump) -> Descriptors:
        with ExitStack() as undo:
            ends = []
            for to_stderr in (False, True):
                read, write = os.pipe()
                undo.callback(os.close, write)
                ends.append(write)
                try:
                    pump.add(read, to_stderr=to_stderr)
                except BaseException:
                    os.close(read)
                    raise
            undo.pop_all()
        out, err = ends
        return Descriptors(out, err, handle.page_fd, self._lifeline_read)

    def _forget_the_long_dead(self) -> None:
        """Keeps of them what they have counted, by their place, and nothing else."""
        dead = [handle for handle in self.handles.values() if handle.final is not None]
        before_s = time.monotonic() - LATE_S
        past = dict(self._past)
        for handle in dead[:-KEPT]:
            if handle.closed_s < before_s and handle.final is not None:
                place = (handle.segment.index, handle.index)
                known = past.get(place)
                past[place] = handle.final if known is None else known.plus(handle.final)
                self.handles = {i: h for i, h in self.handles.items() if h is not handle}
        self._past = past

    def stats(self, state: Callable[[int], str]) -> tuple[WorkerStats, ...]:
        """What all workers have counted; `state`: of a living one."""
        # First the living: one that is forgotten in between is then in both, rather than in none.
        handles = self.handles.values()
        past = self._past.values()
        return (*past, *(handle.stats(state(handle.ident)) for handle in handles))

    def items_in(self, segment: int) -> int:
        """How many items all workers of a segment have taken so far; of a Source: have made."""
        its = self.graph.segments[segment]
        workers = [w for w in self.stats(lambda ident: "") if w.segment == its.name]
        if not its.inputs:
            return sum(worker.items_out + worker.dropped for worker in workers)
        return sum(worker.items_in for worker in workers)

    # ----------------------------------------------------------------- watching
    def filenos(self) -> list[int]:
        """What is readable when `reports` has news."""
        zygotes = [z.fileno() for z in self._zygotes.values() if not z.lost]
        return zygotes + self._forks.filenos() + self._tracking.filenos()

    @property
    def look_every_s(self) -> float | None:
        """How often to ask for `reports`, whatever is readable; None: that is enough."""
        return self._forks.look_every_s

    def reports(self, readable: list[int]) -> Iterator[Report]:
        """What has happened to processes."""
        for zygote in self._zygotes.values():
            if not zygote.lost and zygote.fileno() in readable:
                yield from zygote.reports()
        yield from self._forks.reports()
        self._tracking.pass_on()

    def ask_for_stack(self, ident: int) -> None:
        """Has a worker write down where it is, whatever it does (`WorkerHandle.keep_stack`)."""
        self.handles[ident].expect_stack()
        self._signal(ident, STACK)

    def halt(self, ident: int) -> None:
        """Stops a worker (SIGSTOP), which `WorkerHandle.is_stopped` then shows."""
        self._signal(ident, HALT)

    def resume(self, ident: int) -> None:
        """Lets a worker that was halted go on."""
        self._signal(ident, RESUME)

    def _signal(self, ident: int, what: bytes) -> None:
        self._forks.signal(ident, what)
        for zygote in self._zygotes.values():
            if ident in zygote.workers and not zygote.lost:
                zygote.signal(ident, what)

    def kill(self, ident: int, *, hard: bool = False) -> None:
        """SIGKILL; an `Exited` follows.

        `hard`: to the zygote, which did not carry it out (somebody has stopped it); its workers
        die with it.
        """
        self._forks.kill(ident)
        for zygote in self._zygotes.values():
            if ident in zygote.workers and not zygote.lost:
                zygote.kill_itself() if hard else zygote.signal(ident, KILL)

    def end(self) -> None:
        """Nothing of the crew is there afterwards."""
        with ExitStack() as last:  # each of these, even if another one fails
            for fd in (self._lifeline_read, self._lifeline_write):
                last.callback(os.close, fd)
            last.callback(self._tracking.close)
            for zygote in self._zygotes.values():
                last.callback(zygote.close, ZYGOTE_END_S)
            last.callback(self._forks.close)

    # ------------------------------------------------------------------- telling
    def item_of(self, origin: int, number: int | None, outputs: Outputs = ()) -> str:
        """An item's identity in words."""
        if number is None:
            return ""
        handle = self.handles.get(origin)
        at = f", branch {'.'.join(map(str, outputs))}" if outputs else ""
        return f"item {number} of {handle.name!r}{at}" if handle else f"item {number}{at}"

    def item_in(self, handle: WorkerHandle) -> str:
        """The item that a worker's functor is at, or was at when it died, in words."""
        return self.item_of(handle.origin_of_item(), handle.page.number, handle.page.outputs)

    def death(self, handle: WorkerHandle, status: int | None) -> WorkerDiedError:
        """What to say of a worker that ended unasked."""
        how, why = _in_words(status)
        reached = handle.is_bound or handle.page.start == LOADING
        if not reached and status not in (None, UNKNOWN):
            how = f"died while starting, before it reached its functor: it {how}"
            why = why if os.WIFSIGNALED(status) else "; why, its last words on stderr may say"
        if handle.hung:
            how, why = f"was killed, as it {handle.hung}", ""
        elif status is not None and os.WIFSIGNALED(status) and os.WTERMSIG(status) == 9:
            why = self._likely_killer()
        died = WorkerDiedError(
            handle.segment.name, handle.name, handle.pid, how, self.item_in(handle), why
        )
        captured = self.captured.get(handle.segment.index)
        if captured is not None and captured.why:
            died = died.because(captured.what_forks_lack)
        handle.death = died.then(handle.segment.on_death, handle.stack)
        return handle.death

    def _likely_killer(self) -> str:
        """Whether a SIGKILL that we have not sent was the kernel's."""
        kills = oom_kills()
        if kills is None or self._oom_kills is None:
            return ", often the kernel out of memory"
        if kills == self._oom_kills:
            return ", not for want of memory by the kernel's count"
        self._oom_kills += 1  # one count explains one death
        return ", as the kernel was out of memory (it counts such kills)"

    @staticmethod
    def item_at(handle: WorkerHandle) -> Leaf | None:
        """The item that a worker's functor is at, or was at when it died."""
        number = handle.page.number
        return None if number is None else (handle.page.origin, number, handle.page.outputs)


def _cwd() -> str | None:
    try:
        return os.getcwd()
    except FileNotFoundError:
        return None  # it was deleted: nothing to go to


def _in_words(status: int | None) -> tuple[str, str]:
    if status is None:
        return "was lost together with the process that had started it", ""
    if status == UNKNOWN:
        return "ended, and something else in this process has taken its exit status", ""
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return f"ended with exit code {code}", " (os._exit in its functor, or in a library?)"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    why = ""
    if name in ("SIGSEGV", "SIGBUS", "SIGABRT", "SIGFPE", "SIGILL"):
        why = "; where, its stack on stderr says"
    return f"was killed by {name}", why


__all__ = ["Exited", "Report", "StartError", "Started", "WorkerProcesses", "ZygoteLost"]
