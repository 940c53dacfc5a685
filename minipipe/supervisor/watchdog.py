"""Watches the vital signs of workers: functors that take too long, a run that stands still."""

from __future__ import annotations

import logging
import time
from collections.abc import Hashable

from minipipe.protocol.run import timeouts
from minipipe.protocol.run.timeouts import Stall, Timeouts
from minipipe.protocol.run.vital_signs import STARTING, Call
from minipipe.supervisor.item_names import item_in
from minipipe.supervisor.starts import Starts
from minipipe.supervisor.worker_handle import Watched, WorkerHandle

logger = logging.getLogger("minipipe")

LOOK_S = 1.0  # how often progress is looked for


class Watchdog:
    """Kills workers that hang, and says when nothing moves."""

    def __init__(self, processes: Watched) -> None:
        self._processes = processes
        self._items = Timeouts(
            {h.ident: t for h in processes.handles.values() if (t := _of_item(h))}
        )
        self._start_limits = Timeouts(
            {h.ident: t for h in processes.handles.values() if (t := _of_start(h))}
        )
        self._starts = Starts(processes)
        self._stall = Stall(timeouts.FIRST_STALL_S)
        self._next_s = 0.0

    def due_in_s(self, now_s: float) -> float:
        """Seconds until there is something to look for."""
        times = [self._next_s - now_s]
        due_in_s = self._starts.due_in_s(now_s)
        if due_in_s is not None:
            times.append(due_in_s)
        return max(0.0, min(times))

    def joined(self, worker: int) -> None:
        """A worker has come in mid-run."""
        handle = self._processes.handles[worker]
        for limits, limit_s in (
            (self._items, _of_item(handle)),
            (self._start_limits, _of_start(handle)),
        ):
            if limit_s is not None:
                limits.watch(worker, limit_s)
        self._next_s = 0.0  # its first item is to be seen when it begins

    def dismissed(self, worker: int) -> None:
        """A worker is dead, or gone."""
        self._items.forget(worker)
        self._start_limits.forget(worker)

    def end(self) -> None:
        """The run is being stopped: nobody is killed for being slow any more."""
        self._processes.call_off()

    def look(self, now_s: float, *, at_work: bool) -> None:
        """Looks, if it is time.

        Args:
            at_work: all workers have been told to start, and a pass is on.
        """
        self._starts.log_due(now_s)
        if now_s < self._next_s:
            return
        items: dict[int, Call] = {}
        starts: dict[int, Call] = {}
        since: dict[int, float] = {}
        signs: list[Hashable] = []
        for handle in self._processes.handles.values():
            progress = handle.vitals.progress()
            if progress is None or not handle.is_asked_for:
                continue
            signs.append(progress)
            call = handle.vitals.call()
            if call == STARTING and self._processes.importing_for(handle.ident):
                continue  # what is imported for others, too, is not its own start
            if call is not None:
                (starts if call == STARTING else items)[handle.ident] = call
                if (began_s := handle.vitals.call_began_s()) is not None:
                    since[handle.ident] = began_s
        for limits, at in ((self._items, items), (self._start_limits, starts)):
            for worker, seconds in limits.look(now_s, at, since):
                self._condemn(worker, at[worker], seconds)
        self._starts.look(now_s)
        if not at_work:
            self._stall.rest()
        else:
            stalled_s = self._stall.look(now_s, tuple(signs))
            if stalled_s is not None:
                logger.warning("%s", self._standing_still(stalled_s))
        due = [t for w in (self._items, self._start_limits) if (t := w.due_in_s(now_s)) is not None]
        self._next_s = now_s + min([LOOK_S, *due])

    # ------------------------------------------------------- calls that take too long
    def _condemn(self, worker: int, call: Call, seconds: float) -> None:
        """Has a worker killed if it is at that call still: that is for its host to find out."""
        handle = self._processes.handles[worker]
        handle.hung = _why(handle, seconds, starting=call == STARTING)
        self._processes.kill(worker, call=call)

    # --------------------------------------------------------------- standing still
    def _standing_still(self, stalled_s: float) -> str:
        """Who is in which functor, for how long at least; or who is stopped."""
        since = time.strftime("%H:%M:%S", time.localtime(time.time() - stalled_s))
        parts = []
        for handle in self._processes.handles.values():
            if handle.final is not None:
                continue
            if handle.vitals.is_stopped():
                parts.append(f"{handle.name!r} ({handle.place}) is stopped (SIGSTOP)")
            elif handle.vitals.call():
                item = item_in(self._processes.handles, handle, handle.vitals.signs())
                what = "your loop" if handle.member.is_caller else "its functor"
                parts.append(f"{handle.name!r} ({handle.place}) is in {what} at {item}")
        where = "; ".join(parts) or "no worker is in its functor"
        return f"no progress for {stalled_s:.0f} s, since {since}: {where}"


def _why(handle: WorkerHandle, seconds: float, *, starting: bool) -> str:
    if starting:
        limit_s = _of_start(handle)
        return f"was still {handle.start_stage} after {seconds:.3g} s (start_timeout_s={limit_s:g})"
    return f"took {seconds:.3g} s for one item (timeout_s={_of_item(handle):g})"


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
