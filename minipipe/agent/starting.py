"""How an agent starts workers: by zygotes, one for each environment that they need."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace

from minipipe.agent.hosted import Hosted
from minipipe.protocol.run.vital_signs import Call
from minipipe.supervisor.capture import Captured
from minipipe.supervisor.hosts.base import Descriptors, Report
from minipipe.supervisor.hosts.gateway_words import Package
from minipipe.supervisor.hosts.zygote import ZygoteClient
from minipipe.supervisor.tracking import Tracking
from minipipe.transport import Buffer
from minipipe.transport.hosts.local_inbox import gateway_address
from minipipe.worker.spec import Task, current_directory
from minipipe.worker.unpacking import Unpacked, Unpacker

_NO_TASK = Task(None, {}, ())


class Code:
    """The user's code on this machine, and what workers here are told.

    Args:
        host: the name of this machine in the run.
        directory: of the run, on this machine.
    """

    def __init__(self, host: str, directory: str) -> None:
        self._host, self._directory = host, directory
        self._place = os.path.join(directory, "code")
        self._unpacked: Unpacked | None = None

    def receive(self, manifest: Buffer, packed: Buffer) -> None:
        """Unpacks it.

        Raises:
            StartError: that is not possible (a full disk): no worker can be started here.
            WireFormatError: it is damaged.
        """
        unpacker = Unpacker(self._place, self._host)
        self._unpacked = unpacker.unpack(bytes(manifest), bytes(packed))

    def here(self, package: Package) -> Package:
        """What is needed to start a worker, as it is on this machine."""
        own, functor, plan = tuple(sys.path), package.functor, package.plan
        unpacked = self._unpacked
        if unpacked is not None:
            functor = replace(functor, main=unpacked.main_of(functor.main))
            if plan.main is not None:
                plan = replace(plan, main=unpacked.main_of(plan.main))
        spec = replace(
            package.spec,
            host=self._host,
            base=f"ipc://{self._directory}",
            directory=self._directory,
            gateway=gateway_address(self._directory),
            cwd=current_directory(),
            sys_path=own if unpacked is None else unpacked.sys_path(own),
            shipped="" if unpacked is None else unpacked.directory,
        )
        return replace(package, spec=spec, functor=functor, plan=plan)


class _Memory:
    """What is large of a functor, in memory that all of its workers here share."""

    def __init__(self, content: bytes) -> None:
        self.fd = os.memfd_create("minipipe-functor", os.MFD_CLOEXEC)
        try:
            os.posix_fallocate(self.fd, 0, max(1, len(content)))
            with open(self.fd, "wb", closefd=False) as file:
                file.write(content)
        except OSError:
            self.close()
            raise

    def close(self) -> None:
        os.close(self.fd)


class Zygotes:
    """The zygotes of an agent.

    Args:
        directory: of the run, on this machine; the zygotes guard it.
    """

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._tracking = Tracking()
        self._clients: dict[tuple[tuple[str, str], ...], ZygoteClient] = {}

    def start(self, package: Package, fds: Descriptors) -> None:
        """Asks for a worker's process.

        Raises:
            StartError, OSError: that is not possible.
        """
        memory = None if package.memory is None else _Memory(package.memory)
        captured = Captured(package.functor, _NO_TASK, {}, memory=memory)
        try:
            self._of(package).start(package.spec, captured, fds)
        finally:
            if memory is not None:
                memory.close()

    def _of(self, package: Package) -> ZygoteClient:
        environment = {**os.environ, **package.environment}
        key = tuple(sorted(environment.items()))
        known = self._clients.get(key)
        if known is not None and not known.lost:
            return known
        if known is not None:
            known.close()
        plan = package.plan
        if plan.sys_path:
            plan = replace(plan, sys_path=package.spec.sys_path, cwd=package.spec.cwd)
        out, err = os.dup(1), os.dup(2)
        try:
            tracker = self._tracking.fd
            client = ZygoteClient(environment, self._directory, tracker, plan, (out, err))
        finally:
            os.close(out)
            os.close(err)
        self._clients[key] = client
        return client

    @property
    def look_every_s(self) -> float | None:
        """How often to ask for `reports`, whatever is readable; None: `filenos` are enough."""
        times = [client.look_every_s for client in self._clients.values()]
        return min((time_s for time_s in times if time_s is not None), default=None)

    def filenos(self) -> list[int]:
        """What is readable when `reports` has news."""
        own = self._tracking.filenos()
        return own + [fd for client in self._clients.values() for fd in client.filenos()]

    def reports(self, readable: list[int]) -> Iterator[Report]:
        """What has happened to workers."""
        for client in self._clients.values():
            yield from client.reports(readable)
        self._tracking.pass_on()

    def _with(self, worker: int) -> Iterator[ZygoteClient]:
        return (client for client in self._clients.values() if client.has(worker))

    def kill(self, worker: int, *, call: Call | None, hard: bool) -> None:
        """Kills a worker, as `Host.kill` says."""
        for client in self._with(worker):
            client.kill(worker, call=call, hard=hard)

    def call_off(self) -> None:
        """Nobody is killed for a call any more."""
        for client in self._clients.values():
            client.call_off()

    def ask_for_stack(self, worker: int) -> None:
        """Has a worker write down where it is."""
        for client in self._with(worker):
            client.ask_for_stack(worker)

    def halt(self, workers: Iterable[int]) -> None:
        """Stops these until `resume`: none of them begins anything."""
        for worker in workers:
            for client in self._with(worker):
                client.halt(worker)

    def resume(self, workers: Iterable[int]) -> None:
        """Lets them go on."""
        for worker in workers:
            for client in self._with(worker):
                client.resume(worker)

    def close(self) -> None:
        """Ends all of them, with their workers."""
        for client in self._clients.values():
            client.close()
        self._tracking.close()


def launch(package: Package, zygotes: Zygotes) -> Hosted:
    """Asks for a worker's process, with all that is forwarded of it.

    Raises:
        StartError, OSError: that is not possible.
    """
    hosted = Hosted(package.spec)
    try:
        zygotes.start(package, hosted.descriptors)
    except BaseException:
        hosted.close()
        raise
    hosted.started()
    return hosted
