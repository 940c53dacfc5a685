"""All that starts workers of a run: zygotes and forks here, agents on other machines."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace

from minipipe.protocol.hosts.names import LOCAL
from minipipe.protocol.run.link_use import LinkUse
from minipipe.protocol.run.placement import Placement
from minipipe.protocol.run.room import Wanted
from minipipe.protocol.run.vital_signs import Call
from minipipe.segments.gpus import VARIABLE
from minipipe.supervisor.capture import Captured
from minipipe.supervisor.hosts.base import Descriptors, Exited, Host, Report, ZygoteLost
from minipipe.supervisor.hosts.elsewhere import Elsewhere, Pending
from minipipe.supervisor.hosts.fork import Forks
from minipipe.supervisor.hosts.gateway_client import GatewayClient
from minipipe.supervisor.hosts.zygotes import Zygotes
from minipipe.supervisor.output import OutputPump
from minipipe.supervisor.preloading import plan_of
from minipipe.worker.spec import WorkerSpec


class AllHosts:
    """The hosts of a run's workers.

    Args:
        captured: the functors of all segments.
        preload: what zygotes import beforehand; None: not even what functors name.
        tracker: where workers write what they register with a resource tracker.
        not_for_forks: the descriptors that a fork closes first of all.
    """

    def __init__(
        self,
        captured: Mapping[int, Captured],
        preload: Sequence[str] | None,
        tracker: int,
        not_for_forks: Callable[[], list[int]],
    ) -> None:
        self._captured, self._preload = captured, preload
        self._zygotes = Zygotes(captured, preload, tracker)
        self._forks = Forks(tracker, not_for_forks)
        self._elsewhere: Elsewhere | None = None

    def prepare(self, directory: str, pump: OutputPump) -> None:
        """Has zygotes import, while the rest is prepared; raises as `Zygotes.prepare`."""
        self._zygotes.prepare(directory, pump)

    def let_others_join(
        self,
        gateway: GatewayClient,
        placement: Placement,
        *,
        placed: Callable[[int, str], object],
        lost_after_s: Callable[[int], float],
    ) -> None:
        """From now on workers may run on other machines, as these join.

        Args:
            placed: is told of each worker that goes to another machine.
            lost_after_s: how long the machine of this worker may be silent.
        """
        self._elsewhere = Elsewhere(
            gateway,
            placement,
            plan_of=lambda one: plan_of([one], self._captured.values(), self._preload),
            start_here=self._start_here,
            placed=placed,
            lost_after_s=lost_after_s,
        )

    def start(
        self, spec: WorkerSpec, captured: Captured, index: int, fds: Descriptors, wanted: Wanted
    ) -> Iterator[Report]:
        """Starts a worker, or asks for one.

        Args:
            index: of it, in its segment.
            wanted: where it may run, if there are other machines.

        Raises:
            StartError: that is not possible.
        """
        elsewhere = self._elsewhere
        if captured.pickled is None:
            started = self._forks.start(spec, captured, fds)
            if elsewhere is not None:
                elsewhere.took_here(replace(wanted, place=LOCAL))
            yield started
        elif elsewhere is None:
            environment = captured.environment_of(index)
            self._zygotes.of(environment).start(spec, captured, fds)
        else:
            elsewhere.start(wanted, index, spec, captured, fds)
            yield from elsewhere.settle()

    def _start_here(self, pending: Pending, gpus: str | None) -> None:
        environment = pending.captured.environment_of(pending.index)
        if gpus is not None:
            environment = {**environment, VARIABLE: gpus}
        self._zygotes.of(environment).start(pending.spec, pending.captured, pending.fds)

    @property
    def _here(self) -> list[Host]:
        return [*self._zygotes, self._forks]

    @property
    def _all(self) -> list[Host | Elsewhere]:
        return [*self._here, *([] if self._elsewhere is None else [self._elsewhere])]

    def _those_of(self, worker: int) -> list[Host | Elsewhere]:
        return [host for host in self._all if host.has(worker)]

    def not_for_forks(self) -> list[int]:
        """What would keep a zygote, or a gateway, from noticing the end of this process."""
        there = [] if self._elsewhere is None else self._elsewhere.filenos()
        return [*self._zygotes.filenos(), *there]

    def filenos(self) -> list[int]:
        """What is readable when `reports` has news."""
        return [fd for host in self._all for fd in host.filenos()]

    @property
    def look_every_s(self) -> float | None:
        """How often to ask for `reports`, whatever is readable; None: `filenos` are enough."""
        times = [host.look_every_s for host in self._all]
        return min((time_s for time_s in times if time_s is not None), default=None)

    def reports(self, readable: list[int]) -> Iterator[Report]:
        """What has happened to processes."""
        for host in self._here:
            for report in host.reports(readable):
                if self._elsewhere is not None and isinstance(report, Exited | ZygoteLost):
                    for worker in report.dead:
                        self._elsewhere.ended_here(worker)
                yield report
        if self._elsewhere is not None:
            yield from self._elsewhere.reports(readable)

    @property
    def links(self) -> tuple[LinkUse, ...]:
        """What has gone over the links to other machines."""
        return () if self._elsewhere is None else tuple(self._elsewhere.links.values())

    def forget(self, worker: int) -> None:
        """A worker is over, and what it had is given back."""
        if self._elsewhere is not None:
            self._elsewhere.forget(worker)

    def ask_for_stack(self, worker: int) -> None:
        """Has a worker write down where it is, whatever it does (`Vitals.stack`)."""
        for host in self._those_of(worker):
            host.ask_for_stack(worker)

    def importing_for(self, worker: int) -> str:
        """The module that its zygote imports before it forks anybody; empty: none."""
        return next((z.importing for z in self._zygotes if z.importing and z.has(worker)), "")

    def call_off(self) -> None:
        """Nobody is killed for a call any more."""
        for host in self._all:
            host.call_off()

    def kill(self, worker: int, *, call: Call | None = None, hard: bool = False) -> None:
        """SIGKILL, as `Host.kill` says; an `Exited` follows."""
        for host in self._those_of(worker):
            host.kill(worker, call=call, hard=hard)

    def close(self) -> None:
        """Ends all of them, and whatever they may still have."""
        with ExitStack() as last:  # each of these, even if another one fails
            for host in self._all:
                last.callback(host.close)
