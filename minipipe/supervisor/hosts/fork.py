"""Forks of this process: workers whose functor cannot be pickled."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from minipipe.protocol.run.vital_signs import Call
from minipipe.supervisor.capture import Captured
from minipipe.supervisor.hosts.base import Descriptors, Exited, Report, Started
from minipipe.supervisor.hosts.condemned import Condemned
from minipipe.worker.descendants import collect, kill_group
from minipipe.worker.signals import held_back
from minipipe.worker.spec import WorkerSpec
from minipipe.worker.zygote_words import HALT, RESUME, SIGNALS, STACK

LOG_LOCK_S = 0.5  # a log may be written to for as long as it likes, a fork waits no longer
ORPHANS_S = 1.0  # at the end, what forked workers had started gets so long to be gone
LOOK_S = 0.05  # forks without a pidfd are looked at this often


class Forks:
    """Workers that were forked from this very process (a `Host`).

    Args:
        tracker: where they write what they register with a resource tracker.
        not_for_them: the descriptors that a fork closes first of all.
    """

    def __init__(self, tracker: int, not_for_them: Callable[[], list[int]]) -> None:
        self._tracker = tracker
        self._not_for_them = not_for_them
        self._pids: dict[int, int] = {}
        self._condemned = Condemned(self)
        self._groups: set[int] = set()  # of dead workers: their orphans are ours if we are PID 1
        self._pidfds: dict[int, int] = {}

    def start(self, spec: WorkerSpec, captured: Captured, fds: Descriptors) -> Started:
        # Only here: all that a worker needs, where most runs have no worker of this kind.
        from minipipe.worker.child import become_forked_worker, flush

        parent, not_for_it = os.getpid(), self._not_for_them()
        # Or the child would have, and write once more, what is in them.
        flush(sys.stdout, sys.stderr, *captured.files)
        beside = _other_threads(is_first=not spec.is_late)
        with warnings.catch_warnings(), held_back(), quiet_logging() as quiet:
            # Python 3.12 warns of threads.  Ours hold no lock that the child needs; what others
            # may hold is said if the child does not come to its end (`starts.py`).
            warnings.simplefilter("ignore", DeprecationWarning)
            pid = os.fork()
            if pid == 0:
                quiet.pop_all()  # made anew in the child, by logging itself
                for fd in not_for_it:
                    os.close(fd)
                become_forked_worker(
                    spec,
                    lambda: captured.payload,
                    files=captured.files,
                    out=fds.out,
                    err=fds.err,
                    side=fds.side,
                    page=fds.page.fd,
                    control=fds.control,
                    parent=parent,
                    tracker=self._tracker,
                )
        self._pids[spec.ident] = pid
        self._condemned.watch(spec.ident, fds.page)
        self._condemned.runs(spec.ident, pid)
        try:
            self._pidfds[spec.ident] = os.pidfd_open(pid)
        except (AttributeError, OSError):
            pass  # an old kernel, a container that refuses it, macOS: `look_every_s`
        return Started(spec.ident, pid, beside)

    def filenos(self) -> list[int]:
        return list(self._pidfds.values())

    @property
    def look_every_s(self) -> float | None:
        # A fork without a pidfd makes nothing readable when it ends.
        times = [None if len(self._pidfds) == len(self._pids) else LOOK_S, self._condemned.due_in_s]
        return min((time_s for time_s in times if time_s is not None), default=None)

    def reports(self, readable: list[int]) -> Iterator[Report]:
        self._condemned.look()
        self._collect_orphans()
        for worker, pid in list(self._pids.items()):
            status = collect(pid)
            if status is None:
                continue
            self._groups.add(pid)
            del self._pids[worker]
            fd = self._pidfds.pop(worker, None)
            if fd is not None:
                os.close(fd)
            yield Exited(worker, status, self._condemned.last_of(worker))

    def has(self, worker: int) -> bool:
        return worker in self._pids

    def kill(self, worker: int, *, call: Call | None = None, hard: bool = False) -> None:
        if call is not None:
            self._condemned.condemn(worker, call)
            return
        self._signal(worker, signal.SIGKILL)  # its group follows when it is collected

    def call_off(self) -> None:
        self._condemned.call_off()

    def ask_for_stack(self, worker: int) -> None:
        self._signal(worker, SIGNALS[STACK])

    def halt(self, worker: int) -> None:
        self._signal(worker, SIGNALS[HALT])

    def resume(self, worker: int) -> None:
        self._signal(worker, SIGNALS[RESUME])

    def _signal(self, worker: int, number: int) -> None:
        pid = self._pids.get(worker)
        if pid is not None:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass  # collected by somebody else; the next look at it says so

    def _collect_orphans(self) -> None:
        """Collects what dead workers had started, where that is for this process to do."""
        for group in list(self._groups):
            try:
                while os.waitpid(-group, os.WNOHANG)[0]:
                    pass
            except ChildProcessError:
                self._groups.discard(group)  # there is no more, or none was ever ours

    def close(self) -> None:
        """Kills and collects what is left."""
        for worker, pid in list(self._pids.items()):
            try:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                kill_group(pid)
                self._groups.add(pid)
            except (ProcessLookupError, ChildProcessError):
                pass  # somebody else in this process has collected it
            fd = self._pidfds.pop(worker, None)
            if fd is not None:
                os.close(fd)
        self._pids.clear()
        until_s = time.monotonic() + ORPHANS_S
        self._collect_orphans()
        while self._groups and time.monotonic() < until_s:
            time.sleep(0.005)
            self._collect_orphans()


def _other_threads(*, is_first: bool) -> tuple[str, ...]:
    """The names of threads that run beside ours, and might hold a lock when a worker is forked.

    Args:
        is_first: it is the start of the run, for which the caller's thread waits.
    """
    ours = [threading.current_thread(), *([threading.main_thread()] if is_first else [])]
    return tuple(
        thread.name
        for thread in threading.enumerate()
        if thread not in ours and not thread.name.startswith("minipipe-")
    )


@contextmanager
def quiet_logging() -> Iterator[ExitStack]:
    """No other thread is in the middle of writing to a log meanwhile.

    The locks of logging itself are made anew in a forked child, but not those of the files below:
    one that was being written to stayed locked there, so that the worker's first word to the log
    never returned.
    """
    with ExitStack() as held:
        locks = [logging._lock, *(h.lock for ref in logging._handlerList if (h := ref()))]  # type: ignore[attr-defined]
        for lock in locks:
            if lock is not None and lock.acquire(timeout=LOG_LOCK_S):
                held.callback(lock.release)
        yield held
