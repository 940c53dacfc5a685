"""What hits a pipeline while it runs: signals to its workers, what happens to other machines."""

from __future__ import annotations

import os
import random
import signal
import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Protocol

import minipipe as mp
from tests.chaos.plan import Plan

Pipeline = mp.PipeLine | mp.PipeSystem


class Elsewhere(Protocol):
    """The other machines of a run."""

    longest_s: float  # that one of them was out of reach

    @property
    def cuts(self) -> int:
        """How often a connection to them was cut."""

    def place(self, mortal: bool) -> str | None:
        """Where the workers of a segment are to run (`Plan.places`)."""

    def options(self, plan: Plan) -> dict[str, Any]:
        """Of `run`."""

    def begin(self, token: str) -> None:
        """They join."""

    def strike(self, pause_s: float) -> str:
        """Something happens to them: what; "": nothing."""

    def tend(self) -> None:
        """Sees to it that there are some."""

    def wrong(self) -> list[str]:
        """What should not have happened so far."""

    def end(self) -> list[str]:
        """The run is over; what is wrong, or left of them."""


@dataclass
class Report:
    """What came of one trial."""

    seed: int
    plan: str
    faults: Counter[str] = field(default_factory=Counter)
    items: int = 0
    deaths: int = 0
    set_aside: int = 0
    repeated: int = 0  # by function sinks, within the contract
    cuts: int = 0  # of connections between machines
    wrong: list[str] = field(default_factory=list)


class Fire(threading.Thread):
    """Hits workers, and other machines, at random until the run has ended."""

    def __init__(
        self,
        pline: Pipeline,
        plan: Plan,
        report: Report,
        faults: int,
        elsewhere: Elsewhere | None,
    ) -> None:
        super().__init__(daemon=True)
        self.elsewhere = elsewhere
        self.pline = pline
        self.plan = plan
        self.report = report
        self.left = faults
        self.rng = random.Random(report.seed + 1)
        self.ending = threading.Event()

    def run(self) -> None:
        try:
            self._fire()
            while self.elsewhere is not None and not self.ending.wait(0.2):
                self.elsewhere.tend()
        except Exception as error:
            self.report.wrong.append(f"the fire: {error!r}")

    def _fire(self) -> None:
        while self.left and not self.ending.wait(self.rng.expovariate(15.0)):
            if self.elsewhere is not None and self.rng.random() < 0.6:
                if hit := self.elsewhere.strike(self.rng.uniform(0.01, 0.3)):
                    self.report.faults[hit] += 1
                    self.left -= 1
                continue
            workers = [w for w in self.pline.stats().workers if w.pid and w.pid != os.getpid()]
            workers = [w for w in workers if w.state in ("starting", "running")]
            if not workers:
                continue
            victim = self.rng.choice(workers)
            mortal = victim.segment.split("/")[-1] in self.plan.mortal
            if mortal and self.rng.random() < 0.8:
                self._hit(victim.pid, signal.SIGKILL)
            elif self._hit(victim.pid, signal.SIGSTOP):
                self.ending.wait(self.rng.uniform(0.01, 0.3))
                try:
                    os.kill(victim.pid, signal.SIGCONT)
                except ProcessLookupError:
                    pass  # the run has ended meanwhile

    def _hit(self, pid: int, number: signal.Signals) -> bool:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return False
        self.report.faults[number.name] += 1
        self.left -= 1
        return True
