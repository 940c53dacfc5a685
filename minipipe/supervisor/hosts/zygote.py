"""The client of a zygote: starts the workers whose functor is pickled."""

from __future__ import annotations

import pickle
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from minipipe.errors import StartError
from minipipe.process.platforms import with_interpreter_lock
from minipipe.protocol.run.vital_signs import Call
from minipipe.supervisor.capture import Captured
from minipipe.supervisor.hosts.base import Descriptors, Exited, Refused, Report, Started, ZygoteLost
from minipipe.supervisor.hosts.condemned import Condemned
from minipipe.worker import zygote
from minipipe.worker.signals import held_back
from minipipe.worker.spec import WorkerSpec

END_S = 2.0  # a zygote gets so long to end

# Behind the standard library, and before whatever else is installed under our name.
_CODE = """
import sys
places = [i for i, path in enumerate(sys.path) if path.endswith(("-packages", "site-packages"))]
sys.path.insert(places[0] if places else len(sys.path), sys.argv[1])
from minipipe.worker.zygote import main
main(int(sys.argv[2]), sys.argv[3], int(sys.argv[4]))
"""


class ZygoteClient:
    """One zygote process, as the supervisor sees it (a `Host`)."""

    def __init__(self, environment: Mapping[str, str], directory: str, tracker: int) -> None:
        self._workers: dict[int, int] = {}  # worker -> pid; 0 until it is known
        self._condemned = Condemned(self)
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
        head = zygote.REQUEST.pack(zygote.FORK, spec.ident, len(body))
        self._workers[spec.ident] = 0
        self._condemned.watch(spec.ident, fds.page)
        try:
            socket.send_fds(
                self._control,
                [head],
                [fds.out, fds.err, fds.page.fd, fds.lifeline, *memory],
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
            self.lost = True
            code = None if self._ready else self._process.wait(1.0)
            never_ready = not self._ready and not self._killed
            yield ZygoteLost(
                {worker: self._condemned.last_of(worker) for worker in self._workers},
                never_ready,
                code,
            )
            self._workers.clear()
            return
        self._rest += chunk
        size = zygote.REPLY.size
        while len(self._rest) >= size:
            what, worker, value = zygote.REPLY.unpack(self._rest[:size])
            self._rest = self._rest[size:]
            if what == b"R":
                self._ready = True
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
            self._signal(worker, zygote.KILL)

    def call_off(self) -> None:
        self._condemned.call_off()

    def ask_for_stack(self, worker: int) -> None:
        self._signal(worker, zygote.STACK)

    def halt(self, worker: int) -> None:
        self._signal(worker, zygote.HALT)

    def resume(self, worker: int) -> None:
        self._signal(worker, zygote.RESUME)

    def _signal(self, worker: int, what: bytes) -> None:
        """Asks the zygote for it: it alone knows whose pid it is."""
        try:
            self._control.sendall(zygote.REQUEST.pack(what, worker, 0))
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
