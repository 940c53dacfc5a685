"""The zygotes of a run: one for each environment that its workers need."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence

from minipipe.supervisor.capture import Captured
from minipipe.supervisor.hosts.zygote import ZygoteClient
from minipipe.supervisor.output import OutputPump
from minipipe.supervisor.preloading import plan_of


class Zygotes:
    """Starts a zygote when it is needed first, and another one in the place of a lost one.

    Args:
        captured: the functors of all segments.
        preload: modules that zygotes import beforehand; None: not even those that functors name.
        tracker: where they write what they register with a resource tracker.
    """

    def __init__(
        self, captured: Mapping[int, Captured], preload: Sequence[str] | None, tracker: int
    ) -> None:
        self._captured = captured
        self._preload = preload
        self._tracker = tracker
        self._by_environment: dict[tuple[tuple[str, str], ...], ZygoteClient] = {}

    def __iter__(self) -> Iterator[ZygoteClient]:
        return iter(self._by_environment.values())

    def prepare(self, directory: str, pump: OutputPump) -> None:
        """Starts all that are needed, so that they import while the rest is prepared.

        There is always one, also if every functor is inherited: it is the guard of the run's
        directory.

        Args:
            directory: of the run.
            pump: takes what is printed while they import.

        Raises:
            StartError: an interpreter could not be started.
        """
        self._directory, self._pump = directory, pump
        for captured in self._captured.values():
            if captured.pickled is not None:
                for environment in captured.environments:
                    self.of(environment)
        if not self._by_environment:
            self.of(dict(os.environ))

    def of(self, environment: Mapping[str, str]) -> ZygoteClient:
        """The one of this environment.

        Raises:
            StartError: its interpreter could not be started.
        """
        key = tuple(sorted(environment.items()))
        known = self._by_environment.get(key)
        if known is not None and not known.lost:
            return known
        if known is not None:
            known.close()
        same = [one for one in self._captured.values() if environment in one.environments]
        plan = plan_of(same, self._captured.values(), self._preload)
        pipes = self._pump.open_pipes()
        try:
            made = ZygoteClient(environment, self._directory, self._tracker, plan, pipes)
        finally:
            for pipe in pipes:
                os.close(pipe)
        self._by_environment[key] = made
        return made

    def filenos(self) -> list[int]:
        """What is readable when one of them has news."""
        return [fd for zygote in self for fd in zygote.filenos()]
