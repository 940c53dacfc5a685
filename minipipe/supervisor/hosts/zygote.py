"""The client of a zygote: starts the workers whose functor is pickled."""

from __future__ import annotations

import pickle
import socket
import subprocess
from collections.abc import Iterator, Mapping

from minipipe.errors import StartError
from minipipe.protocol.run.vital_signs import Call
from minipipe.supervisor.capture import Captured
from minipipe.supervisor.hosts.base import Descriptors, Exited, Refused, Report, Started, ZygoteLost
from minipipe.supervisor.hosts.condemned import Condemned
from minipipe.supervisor.hosts.interpreter import start_interpreter
from minipipe.supervisor.preloading import write
from minipipe.worker.plan import Plan
from minipipe.worker.spec import WorkerSpec
from minipipe.worker.stack import STACK_SIGNAL
from minipipe.worker.zygote_words import (
    CANNOT_IMPORT,
    FORK,
    HALT,
    IMPORTS,
    KILL,
    REPLY,
    REQUEST,
    RESUME,
    STACK,
)

END_S = 2.0  # a zygote gets so long to end

_CODE = """
from minipipe.worker.zygote import main
fd, directory, tracker, plan, out, err, *leave_out = sys.argv[2:]
main(int(fd), directory, int(tracker), plan, int(out), int(err), *leave_out)
"""


class ZygoteClient:
    """One zygote process, as the supervisor sees it (a `Host`).

    Args:
        environment: of the process, whole.
        directory: of the run.
        tracker: where it writes what it registers with a resource tracker.
        plan: what it imports before it forks workers.
        pipes: what it prints meanwhile goes to; to be closed by who has opened them.
    """

    def __init__(
        self,
        environment: Mapping[str, str],
        directory: str,
        tracker: int,
        plan: Plan,
        pipes: tuple[int, int],
    ) -> None:
        self._workers: dict[int, int] = {}  # worker -> pid; 0 until it is known
        self._condemned = Condemned(self)
        self.lost = False
        self._ready = False
        self._killed = False  # by us
        self._rest = b""
        self._why = ""  # it could not import what it was to import
        self.importing = ""  # what it imports just now, before it forks anybody
        self._plan = plan
        path = write(plan, directory)
        fds = [tracker, *pipes]
        arguments = [directory, str(tracker), path, *map(str, pipes)]
        self._process, self._control = start_interpreter(_CODE, arguments, environment, fds)

    def filenos(self) -> list[int]:
        return [] if self.lost else [self._control.fileno()]

    @property
    def look_every_s(self) -> float | None:
        return self._condemned.due_in_s

    def has(self, worker: int) -> bool:
        return not self.lost and worker in self._workers

    def start(self, spec: WorkerSpec, captured: Captured, fds: Descriptors) -> None:
        body = pickle.dumps((spec, captured.pickled), protocol=5)
        memory = [] if captured.memory is None else [captured.memory.fd]
        head = REQUEST.pack(FORK, spec.ident, len(body))
        self._workers[spec.ident] = 0
        self._condemned.watch(spec.ident, fds.page)
        try:
            socket.send_fds(
                self._control,
                [head],
                [fds.out, fds.err, fds.side, fds.page.fd, fds.control, *memory],
            )
            self._control.sendall(body)
        except (BrokenPipeError, ConnectionResetError):
            pass  # it is gone; `reports` will say so
        except OSError as error:
            raise StartError(
                f"cannot hand pipes to the process that starts workers (SCM_RIGHTS): {error}"
            ) from error

    def reports(self, readable: list[int]) -> Iterator[Report]:
        if self.lost:
            return
        self._condemned.look()
        if self._control.fileno() not in readable:
            return
        try:
            chunk = self._control.recv(65_536)
        except ConnectionResetError:
            chunk = b""
        if not chunk:
            self.lost, self.importing = True, ""
            code = None if self._ready else self._process.wait(1.0)
            never_ready = not self._ready and not self._killed
            yield ZygoteLost(
                {worker: self._condemned.last_of(worker) for worker in self._workers},
                never_ready,
                code,
                self._why,
            )
            self._workers.clear()
            return
        self._rest += chunk
        size = REPLY.size
        while len(self._rest) >= size:
            what, worker, value = REPLY.unpack(self._rest[:size])
            if what in (IMPORTS, CANNOT_IMPORT):
                text, end = self._rest[size : size + value], size + value
                if len(text) < value:
                    return
                self._rest = self._rest[end:]
                self._told(what, text.decode("utf-8", "replace"))
                continue
            self._rest = self._rest[size:]
            if what == b"R":
                self._ready, self.importing = True, ""
            elif what == b"S":
                self._workers[worker] = value
                self._condemned.runs(worker, value)
                yield Started(worker, value)
            elif what == b"X":
                self._workers.pop(worker, None)
                self._condemned.last_of(worker)
                yield Refused(worker, value)
            elif what == b"E":
                self._workers.pop(worker, None)
                yield Exited(worker, value, self._condemned.last_of(worker))

    def _told(self, what: bytes, text: str) -> None:
        if what == IMPORTS:
            self.importing = text
        else:
            self._why = text

    def kill(self, worker: int, *, call: Call | None = None, hard: bool = False) -> None:
        """SIGKILL; `Exited` follows.

        Args:
            call: only if it is still at this call.
            hard: to the zygote, which did not carry it out (somebody has stopped it); its workers
                die with it, and `ZygoteLost` follows.
        """
        if call is not None:
            self._condemned.condemn(worker, call)
        elif hard:
            self._killed = True
            self._process.kill()
        else:
            self._signal(worker, KILL)

    def call_off(self) -> None:
        self._condemned.call_off()

    def ask_for_stack(self, worker: int) -> None:
        """Of the zygote itself, on stderr, while it imports, and there is no worker yet."""
        if self.importing:
            self._process.send_signal(STACK_SIGNAL)
        else:
            self._signal(worker, STACK)

    def halt(self, worker: int) -> None:
        self._signal(worker, HALT)

    def resume(self, worker: int) -> None:
        self._signal(worker, RESUME)

    def _signal(self, worker: int, what: bytes) -> None:
        """Asks the zygote for it: it alone knows whose pid it is."""
        try:
            self._control.sendall(REQUEST.pack(what, worker, 0))
        except (BrokenPipeError, ConnectionResetError):
            pass  # it is gone, and its workers with it

    def close(self) -> None:
        """Ends it, and whatever it may still have."""
        try:
            # Others may have inherited the socket (a fork of the user's): closing is not enough.
            self._control.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # the zygote is gone
        self._control.close()
        try:
            self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
