"""The other machines of a pipeline under fire: agents behind proxies, and what happens to them.

One stands between an agent and the run, one between it and other agents.
"""

from __future__ import annotations

import os
import random
import signal
import time
from contextlib import ExitStack, suppress
from typing import Any

from tests.chaos.plan import Plan
from tests.hosts.agents import Agent, Agents, gateways
from tests.hosts.beside import Beside
from tests.hosts.proxy import Proxy

LOST_AFTER_S = 15.0
SOON_S = 4.0  # on a machine that is full, this is too little for who is there
END_S = LOST_AFTER_S + 10.0  # who is cut off just when the run ends has to find out by itself
NARROW_BYTES = 10_000_000  # what is more does not go through a narrow line
PULLED_S = 5.0  # longer than a connection may be silent, and perhaps than a machine


class Neighbours:
    """One to three agents, each behind proxies of its own.

    One of them may be safe, which is never killed: workers with state run there.
    """

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self._count = self.rng.choice((1, 1, 2, 2, 3))
        self._has_safe = self.rng.random() < 0.6
        is_hasty = not self._has_safe and self.rng.random() < 0.5
        self._lost_after_s = SOON_S if is_hasty else LOST_AFTER_S
        self._agents = Agents()
        self._behind: dict[Agent, Beside] = {}
        self._last = ExitStack()
        self._token = ""
        self._line: dict[str, float] = {}
        self.longest_s = 0.0  # that a line was out

    def place(self, mortal: bool) -> str | None:
        """Where the workers of a segment are to run."""
        if mortal:
            return self.rng.choice((None, "far", "far", "local"))
        return "safe" if self._has_safe and self.rng.random() < 0.4 else None

    def options(self, plan: Plan) -> dict[str, Any]:
        """Of the run."""
        self._line["delay_s"] = self.rng.choice((0.0, 0.0, 0.001, 0.005, 0.02))
        if plan.size_bytes < NARROW_BYTES:
            self._line["bytes_per_s"] = self.rng.choice((30e6, 3e6, 3e7))
        may_pickle = plan.kind == "script" or self.rng.random() < 0.3
        ship, security = self.rng.random() < 0.2, self.rng.choice(("curve", "curve", "none"))
        plan.words.append(
            f"| {self._count} agents, {self._line} {may_pickle=} {self._has_safe=} {security} "
            f"{self._lost_after_s:g} s"
        )
        return {
            "bind": "tcp://127.0.0.1:0",
            "lost_after_s": self._lost_after_s,
            "state_lost_after_s": self._lost_after_s,
            "security": security,
            "allow_pickle": may_pickle,
            "ship": ship,
        }

    def begin(self, token: str) -> None:
        """They join."""
        self._token = token
        for number in range(self._count):
            self._join("safe,far" if self._has_safe and not number else "far")

    def _join(self, tags: str) -> None:
        options = ["--slots", "24", "--tags", tags]
        name = tags.split(",")[0]
        beside = Beside(self._agents, self._last, self._token, name, *options, **self._line)
        self._behind[beside.agent] = beside

    def strike(self, pause_s: float) -> str:
        """One of them, or its line, is hit; "": nothing came of that."""
        self.tend()
        living = [agent for agent in self._behind if not agent.was_told]
        agent = self.rng.choice(living)
        beside, draw = self._behind[agent], self.rng.random()
        proxy: Proxy = self.rng.choice((beside.to_run, beside.to_others))
        if draw < 0.6:
            proxy.cut(self.rng.choice((1, 40, 300, 2000, 20_000, 200_000)))
            return ""  # it is counted when it comes to that
        if draw < 0.7:
            often = 0.2 if proxy is beside.to_run else 0.5  # (there is another way)
            stalled_s = PULLED_S if self.rng.random() < often else pause_s * 2
            self.longest_s = max(self.longest_s, stalled_s)
            proxy.stalls = True
            time.sleep(stalled_s)
            proxy.stalls = False
            return "pulled"
        if draw < 0.85:
            return self._halt([*gateways(), agent.pid], pause_s)
        if agent.name == "safe":
            return ""
        number = self.rng.choice((signal.SIGKILL, signal.SIGTERM))
        agent.was_told = True
        with suppress(ProcessLookupError):
            agent.signal(number)
        self._join("far")
        return f"agent {number.name}"

    def tend(self) -> None:
        """Another one joins for each that has been given up: that is no fault of anybody."""
        for agent in list(self._behind):
            may_be = self._lost_after_s == SOON_S and agent.process.poll() == 1
            if may_be and not agent.was_told and "is lost: " in agent.log:
                agent.was_told = True
                self._join("far")

    def _halt(self, pids: list[int], pause_s: float) -> str:
        pid = self.rng.choice(pids)
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
            time.sleep(pause_s)
            os.kill(pid, signal.SIGCONT)
        return "halted"

    @property
    def cuts(self) -> int:
        """How often a connection was reset."""
        return sum(proxy.resets for one in self._behind.values() for proxy in one.proxies)

    def wrong(self) -> list[str]:
        """Agents that have ended although the run went on."""
        return [
            f"agent {agent.name!r} has ended with {agent.process.returncode}: {agent.log}"
            for agent in self._behind
            if not agent.was_told and agent.process.poll() is not None
        ]

    def end(self) -> list[str]:
        """All of them end by themselves when the run has; what is wrong with that."""
        wrong, until_s = [], time.monotonic() + END_S
        for agent in self._behind:
            while agent.process.poll() is None and time.monotonic() < until_s:
                time.sleep(0.02)
            code, log = agent.process.poll(), agent.log
            may_fail = "could not join" in log or "is lost" in log
            if not agent.was_told and code != 0 and not (code == 1 and may_fail):
                wrong.append(f"agent {agent.name!r} ends with {code}: {log}")
            if "Traceback" in log:
                wrong.append(f"agent {agent.name!r}: {log}")
        while self._agents.left() and time.monotonic() < until_s + 5.0:
            time.sleep(0.02)
        if left := self._agents.left():
            wrong.append(f"processes of agents are left: {left}")
        self._last.close()
        with suppress(AssertionError):
            self._agents.__exit__()
        return wrong
