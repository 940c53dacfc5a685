"""Workers whose start does not come to its end: what is said of them, with where they are."""

from __future__ import annotations

import logging
from collections.abc import Hashable
from dataclasses import dataclass

from minipipe.protocol.run import timeouts
from minipipe.protocol.run.timeouts import STACK_S, Since
from minipipe.protocol.run.vital_signs import StartStage
from minipipe.supervisor.item_names import item_in
from minipipe.supervisor.worker_handle import Watched, WorkerHandle

logger = logging.getLogger("minipipe")

FORK_S = 5.0  # a forked worker that does nothing for so long at its beginning may wait for ever


@dataclass
class _Report:
    """Something to be said, when the worker has had the time to write down its stack."""

    at_s: float
    text: str


class Starts:
    """Says who is still starting after a minute, two, four; and which forked worker is stuck."""

    def __init__(self, processes: Watched) -> None:
        self._processes = processes
        self._starting = Since(timeouts.FIRST_STALL_S)
        self._importing = Since(timeouts.FIRST_STALL_S)
        self._stuck = Since(FORK_S, once=True)
        self._reports: dict[int, _Report] = {}

    def due_in_s(self, now_s: float) -> float | None:
        """How soon there is something to say; None: nothing is known."""
        return min((report.at_s - now_s for report in self._reports.values()), default=None)

    def look(self, now_s: float) -> None:
        """Looks who has been starting for long."""
        handles = self._processes.handles
        starting: dict[int, Hashable] = {i: "starting" for i, h in handles.items() if h.is_starting}
        self._look_at_imports(now_s, starting)
        stuck = {i: h.idleness() for i, h in handles.items() if h.forked_beside}
        for worker, seconds in self._starting.look(now_s, starting):
            handle = handles[worker]
            self._report_later(
                handle,
                now_s,
                f"is still {handle.start_stage} after {seconds:.0f} s{_limit(handle)}",
            )
        at = {worker: what for worker, what in stuck.items() if what is not None}
        for worker, seconds in self._stuck.look(now_s, at):
            self._report_later(handles[worker], now_s, self._why_stuck(handles[worker], seconds))

    def _look_at_imports(self, now_s: float, starting: dict[int, Hashable]) -> None:
        """Says what is imported beforehand for long; who waits for that is not starting yet."""
        first: dict[str, int] = {}  # of those who wait for the same module
        for worker in tuple(starting):
            module = self._processes.importing_for(worker)
            if module:
                first.setdefault(module, worker)
                del starting[worker]
        modules = {worker: module for module, worker in first.items()}
        at: dict[int, Hashable] = dict.fromkeys(modules, "importing")
        for worker, seconds in self._importing.look(now_s, at):
            logger.warning(
                "what functors import is imported once, before workers are forked (preload= of "
                "run), for %.0f s so far: now the module %r, for worker %r and others; where that "
                "is follows on stderr",
                *(seconds, modules[worker], self._processes.handles[worker].name),
            )
            self._processes.ask_for_stack(worker)

    def _report_later(self, handle: WorkerHandle, now_s: float, text: str) -> None:
        if handle.vitals.start() > StartStage.NO_PROCESS:
            self._processes.ask_for_stack(handle.ident)
        self._reports[handle.ident] = _Report(now_s + STACK_S, text)

    def log_due(self, now_s: float) -> None:
        """Says what is to be said, with where the worker is."""
        for worker, report in list(self._reports.items()):
            if now_s < report.at_s:
                continue
            del self._reports[worker]
            handle = self._processes.handles[worker]
            if handle.final is not None:
                continue
            stack = handle.vitals.stack()
            where = f"; it is at:\n{stack}" if stack else ""
            logger.warning("worker %r (%s) %s%s", handle.name, handle.place, report.text, where)

    def _why_stuck(self, handle: WorkerHandle, seconds: float) -> str:
        item = item_in(self._processes.handles, handle, handle.vitals.signs())
        where = f"in its functor at {item}" if item else handle.start_stage
        return (
            f"has done nothing for {seconds:.0f} s {where}: {handle.why_forked}, so it was "
            "forked from this process while other threads ran "
            f"here ({', '.join(handle.forked_beside)}), and a lock that one of them held then "
            "stays locked in the worker for ever (Python 3.12 warns of such forks); make the "
            "functor picklable, or make what it holds in local_init"
        )


def _limit(handle: WorkerHandle) -> str:
    """What would end it, if nothing does."""
    declared = handle.segment.declared
    has_limit = declared is None or declared.start_timeout_s or declared.timeout_s
    return "" if has_limit else " (start_timeout_s would end that)"
