"""Starts worker processes: through a zygote where the functor is pickled, by fork where not."""

from __future__ import annotations

import logging
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from minipipe.errors import StartError
from minipipe.process.platforms import with_interpreter_lock
from minipipe.supervisor.capture import Captured
from minipipe.worker import zygote
from minipipe.worker.child import become_forked_worker, flush
from minipipe.worker.descendants import collect, kill_group
from minipipe.worker.signals import held_back
from minipipe.worker.spec import WorkerSpec

LOG_LOCK_S = 0.5  # a log may be written to for as long as it likes, a fork waits no longer

# Behind the standard library, and before whatever else is installed under our name.
_CODE = """
import sys
places = [i for i, path in enumerate(sys.path) if path.endswith(("-packages", "site-packages"))]
sys.path.insert(places[0] if places else len(sys.path), sys.argv[1])
from minipipe.worker.zygote import main
main(int(sys.argv[2]), sys.argv[3], int(sys.argv[4]))
"""


ORPHANS_S = 1.0  # at the end, what forked workers had started gets so long to be gone
LOOK_S = 0.05  # forks without a pidfd are looked at this often


@dataclass(frozen=True)
class Started:
    """A worker's process exists."""

    worker: int
    pid: int
    beside: tuple[str, ...] = ()  # other threads that ran here when it was forked from here
    dead: tuple[int, ...] = ()


@dataclass(frozen=True)
class Exited:
    """A worker's process is gone, with this wait status."""

    worker: int
    status: int

    @property
    def dead(self) -> tuple[int, ...]:
        return (self.worker,)


@dataclass(frozen=True)
class Refused:
    """A worker's process could not be made, for this reason (an errno)."""

    worker: int
    reason: int

    @property
    def dead(self) -> tuple[int, ...]:
        return (self.worker,)


@dataclass(frozen=True)
class ZygoteLost:
    """A zygote is gone, and with it the workers that it had started."""

    workers: tuple[int, ...]
    never_ready: bool = False  # it had not even begun
    code: int | None = None  # what it ended with, then

    @property
    def dead(self) -> tuple[int, ...]:
        return self.workers


Report = Started | Refused | Exited | ZygoteLost


@dataclass(frozen=True)
class Descriptors:
    """What a worker is given; its own ends, to be closed here once it has them."""

    out: int
    err: int
    page: int
    lifeline: int


class ZygoteClient:
    """One zygote process, as the supervisor sees it."""

    def __init__(self, environment: Mapping[str, str], directory: str, tracker: int) -> None:
        self.workers: dict[int, int] = {}  # worker -> pid; 0 until it is known
        self.lost = False
        self._ready = False
        self._killed = False  # by us
        self._rest = b""
        ours, theirs = socket.socketpair()
        root = str(Path(__file__).parents[__name__.count(".")])  # it has the package in it
        flags = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]
        # -P: nothing is imported from the current directory.
        arguments = [root, str(theirs.fileno()), directory, str(tracker)]
        command = [sys.executable, *flags, "-P", "-c", _CODE, *arguments]
        try:
            with held_back():
                self._process = subprocess.Popen(
                    command,
                    env=with_interpreter_lock(dict(environment)),
                    pass_fds=[theirs.fileno(), tracker],
                    stdin=subprocess.DEVNULL,
                    start_new_session=True,  # a Ctrl-C in the terminal is not for it
                )
        except OSError as error:
            ours.close()
            raise StartError(f"cannot start {sys.executable!r}: {error}") from error
        finally:
            theirs.close()
        self._control = ours

    def fileno(self) -> int:
        return self._control.fileno()

    def start(self, spec: WorkerSpec, captured: Captured, fds: Descriptors) -> None:
        """Asks for a worker; `Started` follows."""
        body = pickle.dumps((spec, captured.pickled), protocol=5)
        memory = [] if captured.memory is None else [captured.memory.fd]
        head = zygote.REQUEST.pack(zygote.FORK, spec.ident, len(body))
        self.workers[spec.ident] = 0
        try:
            socket.send_fds(
                self._control,
                [head],
                [fds.out, fds.err, fds.page, fds.lifeline, *memory],
            )
            self._control.sendall(body)
        except (BrokenPipeError, ConnectionResetError):
            pass  # it is gone; `reports` will say so
        except OSError as error:
            raise StartError(
                f"cannot hand pipes to the process that starts workers (SCM_RIGHTS): {error}"
            ) from error

    def reports(self) -> Iterator[Report]:
        """What it has said since last asked; call when its socket is readable."""
        try:
            chunk = self._control.recv(65_536)
        except ConnectionResetError:
            chunk = b""
        if not chunk:
            self.lost = True
            code = None if self._ready else self._process.wait(1.0)
            never_ready = not self._ready and not self._killed
            yield ZygoteLost(tuple(self.workers), never_ready, code)
            self.workers.clear()
            return
        self._rest += chunk
        size = zygote.REPLY.size
        while len(self._rest) >= size:
            what, worker, value = zygote.REPLY.unpack(self._rest[:size])
            self._rest = self._rest[size:]
            if what == b"R":
                self._ready = True
            elif what == b"S":
                self.workers[worker] = value
                yield Started(worker, value)
            elif what == b"X":
                self.workers.pop(worker, None)
                yield Refused(worker, value)
            elif what == b"E":
                self.workers.pop(worker, None)
                yield Exited(worker, value)

    def signal(self, worker: int, what: bytes) -> None:
        """Kills a worker (`Exited` follows), halts it, lets it go on, or has it show its stack.

        The zygote does it: it alone knows whose pid it is.
        """
        try:
            self._control.sendall(zygote.REQUEST.pack(what, worker, 0))
        except (BrokenPipeError, ConnectionResetError):
            pass  # it is gone, and its workers with it

    def kill_itself(self) -> None:
        """Kills the zygote, and with it its workers; `ZygoteLost` follows."""
        self._killed = True
        self._process.kill()

    def close(self, timeout_s: float) -> None:
        """Ends it, and whatever it may still have."""
        try:
            # Others may have inherited the socket (a fork of the user's): closing is not enough.
            self._control.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # the zygote is gone
        self._control.close()
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class Forks:
    """Workers that were forked from this very process."""

    def __init__(self) -> None:
        self._pids: dict[int, int] = {}
        self._groups: set[int] = set()  # of dead workers: their orphans are ours if we are PID 1
        self._pidfds: dict[int, int] = {}

    def start(
        self,
        spec: WorkerSpec,
        captured: Captured,
        fds: Descriptors,
        not_for_it: list[int],
        tracker: int,
    ) -> Started:
        """Forks a worker; it closes the descriptors `not_for_it` first of all."""
        parent = os.getpid()
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
                    page=fds.page,
                    lifeline=fds.lifeline,
                    parent=parent,
                    tracker=tracker,
                )
        self._pids[spec.ident] = pid
        try:
            self._pidfds[spec.ident] = os.pidfd_open(pid)
        except (AttributeError, OSError):
            pass  # an old kernel, a container that refuses it, macOS: `look_every_s`
        return Started(spec.ident, pid, beside)

    def filenos(self) -> list[int]:
        return list(self._pidfds.values())

    @property
    def look_every_s(self) -> float | None:
        """How often to ask for `reports`, as some ends make nothing readable; None: all do."""
        return None if len(self._pidfds) == len(self._pids) else LOOK_S

    def reports(self) -> Iterator[Report]:
        """Those that have ended since last asked."""
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
            yield Exited(worker, status)

    def kill(self, worker: int) -> None:
        pid = self._pids.get(worker)
        if pid is not None:
            try:
                os.kill(pid, signal.SIGKILL)  # its group follows when it is collected
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

    def signal(self, worker: int, what: bytes) -> None:
        """Halts a worker, lets it go on, or has it show its stack."""
        pid = self._pids.get(worker)
        if pid is not None:
            try:
                os.kill(pid, zygote.SIGNALS[what])
            except ProcessLookupError:
                pass  # collected by somebody else; the next look at it says so

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
