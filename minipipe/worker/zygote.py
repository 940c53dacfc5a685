"""The zygote: a small process that forks workers, and outlives nobody.

It imports what every worker needs once and then forks a worker in milliseconds; it has one
thread, so forking is safe.  There is one for each environment that workers need, since
environment variables must be set before an interpreter starts.

It is also the guard: when the supervisor ends, however that happens, its socket to here is
closed, and the zygote kills all workers and removes the run's directory.
"""

from __future__ import annotations

import atexit
import errno
import gc
import os
import pickle
import select
import shutil
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import NoReturn

from minipipe.worker.child import become_worker, die_with_parent
from minipipe.worker.descendants import become_subreaper, collect, collect_adopted, end_adopted
from minipipe.worker.ending import close_files, end_born, remember_modules
from minipipe.worker.preloading import Preloading
from minipipe.worker.rehearsal import rehearse
from minipipe.worker.signals import PARENT_ENDED, take_no_notice
from minipipe.worker.tracker import use_tracker
from minipipe.worker.zygote_words import (
    CANNOT_IMPORT,
    FORK,
    IMPORTS,
    KILL,
    REPLY,
    REQUEST,
    SIGNALS,
)

FDS = 6  # at most: the last one, a functor's memory, not every worker has
ADOPTED_S = 1.0  # at the end, what workers had started gets so long to be gone


def main(
    fd: int, directory: str, tracker: int, plan: str, out: int, err: int, *leave_out: str
) -> NoReturn:
    """Serves the supervisor over the socket `fd` until that is closed.

    In a worker that was forked it lives that one's life, and ends it.

    Args:
        directory: of the run.
        tracker: where is written what is registered with a resource tracker.
        plan: the file that says what to import beforehand.
        out, err: where what that prints goes to.
        leave_out: modules that were found not to be imported beforehand.
    """
    preloading = Preloading(plan, out, err, leave_out)
    control = socket.socket(fileno=fd)
    use_tracker(tracker)
    become_subreaper()
    atexit.register(close_files)  # of a worker: the first one registered is called last
    try:
        refused = preloading.run(partial(_tell, control, IMPORTS))
    except FileNotFoundError:
        if os.path.isdir(directory):
            raise
        os._exit(1)  # the run was over, and all of it removed, before this process had begun
    if refused is not None:
        _tell(control, CANNOT_IMPORT, refused)
        os._exit(1)
    zygote = Zygote(control, directory)
    born: Born | None = None
    code = 1
    try:
        born = zygote.serve()
        zygote.supervisor_left = True
        code = 0
    finally:
        if born is None:
            zygote.end()
            os._exit(code)
    del zygote, control
    end_born(born())


def _tell(control: socket.socket, what: bytes, text: str) -> None:
    said = text.encode("utf-8", "replace")
    with suppress(BrokenPipeError, ConnectionResetError):  # the supervisor is gone
        control.sendall(REPLY.pack(what, 0, len(said)) + said)


# What a worker does from its birth on; gives its exit code.
Born = Callable[[], int]


class Zygote:
    """Forks workers, reports their ends."""

    def __init__(self, control: socket.socket, directory: str) -> None:
        self._control = control
        self._directory = directory
        self._pid, self._supervisor = os.getpid(), os.getppid()
        self._ended = False
        self.supervisor_left = False
        self._workers: dict[int, int] = {}  # pid -> worker id
        self._wake, wake_write = os.pipe()
        for end in (self._wake, wake_write):
            os.set_blocking(end, False)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        take_no_notice()
        signal.signal(PARENT_ENDED, self._on_parents_end)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        rehearse()
        remember_modules()
        gc.collect()
        gc.freeze()  # what is there now is shared with the workers: no page of it is touched

    def _on_parents_end(self, number: int, frame: object) -> None:
        # The conductor's thread is gone, so the run is.  (Of a supervisor that is killed other
        # threads may be there for another moment, so that it still looks like our parent.)
        self.supervisor_left = True
        self.end()
        os._exit(1)

    def serve(self) -> Born | None:
        """Forks workers on request, until the supervisor's end.

        Returns:
            In a worker, its life; it is lived by whoever has called, so that nothing of the zygote
            is in its way.
        """
        die_with_parent(PARENT_ENDED)
        self._reply(b"R", 0, os.getpid())
        poll = select.poll()
        poll.register(self._control, select.POLLIN)
        poll.register(self._wake, select.POLLIN)
        while True:
            for fd, _ in poll.poll():
                if fd == self._wake:
                    os.read(self._wake, 4096)
                    self._reap()
                elif isinstance(answer := self._request(), bool):
                    if not answer:
                        return None
                else:
                    return answer

    def _reply(self, what: bytes, worker: int, value: int) -> None:
        try:
            self._control.sendall(REPLY.pack(what, worker, value))
        except (BrokenPipeError, ConnectionResetError):
            pass  # the supervisor is gone; the poll tells, and everything ends

    def _request(self) -> bool | Born:
        """Reads one request and forks; False at the supervisor's end; in the child, its life."""
        try:
            head, fds, flags, _ = socket.recv_fds(self._control, REQUEST.size, FDS)
            if not head:
                return False
            head += self._read(REQUEST.size - len(head))
            what, worker, size = REQUEST.unpack(head)
            runner = self._read(size)
        except (ConnectionResetError, EOFError):
            return False
        if what != FORK:
            self._signal(worker, what)
            return True
        # Descriptors are cut off where this process may have no more of them.
        pid, refused = 0, errno.EMFILE if flags & socket.MSG_CTRUNC else 0
        try:
            pid = pid if refused else os.fork()
        except OSError as error:  # no memory, or too many processes: others are not to suffer
            refused = error.errno or errno.EAGAIN
        if pid == 0 and not refused:
            return self._child(runner, fds)
        for fd in fds:
            os.close(fd)
        if refused:
            self._reply(b"X", worker, refused)
            return True
        self._workers[pid] = worker
        self._reply(b"S", worker, pid)
        return True

    def _read(self, size: int) -> bytes:
        chunks = []
        while size:
            chunk = self._control.recv(min(size, 1 << 20))
            if not chunk:
                raise EOFError
            chunks.append(chunk)
            size -= len(chunk)
        return b"".join(chunks)

    def _child(self, runner: bytes, fds: list[int]) -> Born:
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(PARENT_ENDED, signal.SIG_DFL)
            self._control.close()
            for fd in fds:  # what comes by a socket goes to all programs that a functor starts
                os.set_inheritable(fd, False)
            spec, functor = pickle.loads(runner)
            out, err, side, page, control, *memory = fds
        except BaseException:
            if len(fds) > 1:
                os.dup2(fds[1], 2)
            traceback.print_exc(file=sys.__stderr__)
            os._exit(1)
        load, parent = lambda: functor.load(*memory), self._pid
        return lambda: become_worker(
            spec, load, out=out, err=err, side=side, page=page, control=control, parent=parent
        )

    def _reap(self) -> None:
        """Reports every worker that has ended, and ends what it had started itself."""
        for pid in list(self._workers):
            status = collect(pid, is_subreaper=True)
            if status is not None:
                self._reply(b"E", self._workers.pop(pid), status)
        collect_adopted(self._workers)

    def _signal(self, worker: int, what: bytes) -> None:
        for pid, ident in self._workers.items():
            if ident == worker:
                if what == KILL:
                    os.kill(pid, signal.SIGKILL)  # its group follows when it is collected
                else:
                    os.kill(pid, SIGNALS[what])

    def end(self) -> None:
        """Kills and collects all workers; removes the run's directory if nobody else can.

        (While the supervisor lives it goes on with other zygotes, whose workers are there.)
        """
        signal.signal(PARENT_ENDED, signal.SIG_IGN)  # one comes for each thread that ends
        if self._ended or os.getpid() != self._pid:
            return
        self._ended = True
        try:
            for pid in self._workers:
                with suppress(ProcessLookupError):  # collected just when the signal came
                    os.kill(pid, signal.SIGKILL)
            while self._workers:
                with suppress(ChildProcessError):
                    os.waitpid(self._workers.popitem()[0], 0)
            end_adopted(ADOPTED_S)
        finally:
            if self.supervisor_left or os.getppid() != self._supervisor:
                shutil.rmtree(self._directory, ignore_errors=True)
