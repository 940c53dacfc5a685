"""Watches the status pages: for functors that take too long, for a run that stands still."""

from __future__ import annotations

import logging
import time
from collections.abc import Hashable

from minipipe.protocol.run import timeouts
from minipipe.protocol.run.timeouts import Sentences, Stall, Step, Timeouts
from minipipe.supervisor.item_names import item_in
from minipipe.supervisor.processes import WorkerProcesses
from minipipe.supervisor.starts import Starts
from minipipe.supervisor.worker_handle import WorkerHandle

logger = logging.getLogger("minipipe")

LOOK_S = 1.0  # how often progress is looked for


class Watchdog:
    """Kills workers that hang, and says when nothing moves."""

    def __init__(self, processes: WorkerProcesses) -> None:
        self._processes = processes
        self._items = Timeouts(
            {h.ident: t for h in processes.handles.values() if (t := _of_item(h))}
        )
        self._start_limits = Timeouts(
            {h.ident: t for h in processes.handles.values() if (t := _of_start(h))}
        )
        self._sentences = Sentences()
        self._starts = Starts(processes)
        self._stall = Stall(timeouts.FIRST_STALL_S)
        self._since_s: dict[int, float] = {}  # those that are to be killed: since when there
        self._next_s = 0.0

    def due_in_s(self, now_s: float) -> float:
        """Seconds until there is something to look for."""
        times = [self._next_s - now_s]
        for due_in_s in (self._sentences.due_in_s(now_s), self._starts.due_in_s(now_s)):
            if due_in_s is not None:
                times.append(due_in_s)
        return max(0.0, min(times))

    def replaced(self, dead: int, instead: int) -> None:
        """A worker has another one's place now."""
        handle = self._processes.handles[instead]
        self._sentences.forget(dead)
        for limits, limit_s in (
            (self._items, _of_item(handle)),
            (self._start_limits, _of_start(handle)),
        ):
            limits.forget(dead)
            if limit_s is not None:
                limits.watch(instead, limit_s)
        self._next_s = 0.0  # its first item is to be seen when it begins

    def end(self) -> None:
        """The run is being stopped: nobody is killed for being slow any more."""
        for worker in self._sentences.halted:
            self._processes.resume(worker)
        for worker in self._sentences.workers:
            self._sentences.forget(worker)

    def look(self, now_s: float, *, started: bool) -> None:
        """Looks, if it is time.

        Args:
            started: all workers have been told to start.
        """
        for worker in self._sentences.workers:
            self._carry_out(worker, now_s)
        self._starts.tell_due(now_s)
        if now_s < self._next_s:
            return
        items: dict[int, Hashable] = {}
        starts: dict[int, Hashable] = {}
        signs: list[Hashable] = []
        for handle in self._processes.handles.values():
            words = handle.look()
            if words is None:
                continue
            signs.append(words)
            call = handle.call()
            if call is not None:
                items[handle.ident] = call
            elif handle.is_starting:
                starts[handle.ident] = STARTING
        for limits, at in ((self._items, items), (self._start_limits, starts)):
            for worker, seconds in limits.look(now_s, at):
                self._condemn(worker, at[worker], now_s, seconds)
        self._starts.look(now_s)
        if started:
            stalled_s = self._stall.look(now_s, tuple(signs))
            if stalled_s is not None:
                logger.warning("%s", self._standing_still(stalled_s))
        due = [t for w in (self._items, self._start_limits) if (t := w.due_in_s(now_s)) is not None]
        self._next_s = now_s + min([LOOK_S, *due])

    # ------------------------------------------------------- calls that take too long
    def _condemn(self, worker: int, call: Hashable, now_s: float, seconds: float) -> None:
        if worker in self._sentences.workers or self._processes.handles[worker].hung:
            return
        self._since_s[worker] = now_s - seconds
        self._sentences.condemn(worker, call, now_s)
        if self._processes.handles[worker].can_tell_stack:
            self._processes.ask_for_stack(worker)

    def _carry_out(self, worker: int, now_s: float) -> None:
        """Takes the next step towards the end of a worker, if it is at that call still."""
        handle = self._processes.handles[worker]
        if handle.final is not None:
            self._sentences.forget(worker)
            return
        stands = handle.is_stopped()  # first: what a stopped worker is at does not change
        call: Hashable = STARTING if handle.is_starting else handle.call()
        match self._sentences.step(worker, call, now_s, stands=stands):
            case Step.HALT:
                self._processes.halt(worker)
            case Step.RESUME:
                self._processes.resume(worker)
            case Step.KILL:
                seconds = now_s - self._since_s.pop(worker)
                handle.hung = _why(handle, seconds, starting=call == STARTING)
                handle.keep_stack()
                # One that has no process yet is waited for in vain: the zygote is what hangs.
                self._processes.kill(worker, hard=not handle.pid)
            case Step.WAIT | Step.SPARE:
                pass

    # --------------------------------------------------------------- standing still
    def _standing_still(self, stalled_s: float) -> str:
        """Who is in which functor, for how long at least; or who is stopped."""
        since = time.strftime("%H:%M:%S", time.localtime(time.time() - stalled_s))
        parts = []
        for handle in self._processes.handles.values():
            if handle.final is not None:
                continue
            if handle.is_stopped():
                parts.append(f"{handle.name!r} (pid {handle.pid}) is stopped (SIGSTOP)")
            elif handle.call() is not None:
                item = item_in(self._processes.handles, handle)
                what = "your loop" if handle.member.is_caller else "its functor"
                parts.append(f"{handle.name!r} (pid {handle.pid}) is in {what} at {item}")
        where = "; ".join(parts) or "no worker is in its functor"
        return f"no progress for {stalled_s:.0f} s, since {since}: {where}"


def _why(handle: WorkerHandle, seconds: float, *, starting: bool) -> str:
    if starting:
        limit_s = _of_start(handle)
        return f"was still {handle.start_stage} after {seconds:.3g} s (start_timeout_s={limit_s:g})"
    return f"took {seconds:.3g} s for one item (timeout_s={_of_item(handle):g})"


STARTING = "starting"  # what a worker is at until its `local_init` has returned


def _of_item(handle: WorkerHandle) -> float | None:
    """How long a worker may be at one item."""
    declared = handle.segment.declared
    return None if declared is None else declared.timeout_s


def _of_start(handle: WorkerHandle) -> float | None:
    """How long a worker may take to start."""
    declared = handle.segment.declared
    if declared is None or declared.start_timeout_s is not None:
        return None if declared is None else declared.start_timeout_s
    return None if declared.timeout_s is None else max(declared.timeout_s, timeouts.START_S)
