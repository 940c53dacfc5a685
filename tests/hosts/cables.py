"""A run over two machines whose cable is pulled."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.conftest import DEADLOCK_S, wait_until
from tests.hosts.agents import Agents
from tests.hosts.machines import PREFIX, Machines

SCRIPT = """
import os, sys, time
import minipipe as mp

class Source:
    def run(self):
        n = 0
        while not os.path.exists(stop):
            yield n
            n += 1

class Last:
    def local_init(self):
        self.count = 0

    def run(self, item):
        assert item[0] == self.count, f"{item[0]} is not {self.count}"
        self.count += 1
        return *item, os.getppid()

def work(item):
    time.sleep(0.005)
    return item, os.getppid()

bind, lost_after_s, has_state, stop = sys.argv[1:]
on = "safe" if has_state == "True" else "local"
if __name__ == "__main__":
    pline = mp.PipeLine([
        mp.Source(Source(), on=on),
        mp.Transform(work, "work", n_processes=2, ordered=True, on="far", max_restarts=99),
        mp.Transform(Last(), "last", on=on),
    ])
    pline.run(bind=bind, lost_after_s=float(lost_after_s), token_file="token")
    count = 0
    for item, zygote, _ in pline:
        assert item == count, f"{item} is not {count}"
        count += 1
        print(zygote, flush=True)
    print("over", flush=True)
"""


class Cabled:
    """The run on the first machine."""

    def __init__(self, machines: Machines, place: Path, lost_after_s: float, state: bool) -> None:
        script, self._stop = place / "script.py", place / "stop"
        script.write_text(SCRIPT)
        arguments = [f"tcp://{PREFIX}.1:0", str(lost_after_s), str(state), str(self._stop)]
        self._process = subprocess.Popen(
            [*machines.on(0), sys.executable, str(script), *arguments],
            cwd=place,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        token = place / "token"
        wait_until(lambda: token.exists() and token.read_text().strip(), "the token")
        self.token = token.read_text().strip()

    def line(self) -> str:
        """What it prints next: whose child the worker of an item was."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise AssertionError(f"it has ended: {self._process.communicate()[1]}")
        return line.strip()

    def until_not(self, known: str) -> str:
        """The first line that is another one."""
        until_s = time.monotonic() + 3 * DEADLOCK_S
        while (line := self.line()) == known:
            assert time.monotonic() < until_s, "nothing else comes"
        return line

    def halt(self) -> None:
        """Stops the process of the supervisor, as a debugger does."""
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def ends(self) -> None:
        """Ends it well: its loop has seen that nothing was lost or repeated."""
        self._stop.touch()
        while self.line() != "over":
            pass
        said = self._process.communicate(timeout=DEADLOCK_S)[1]
        assert self._process.returncode == 0, said

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()


@contextmanager
def cabled(
    place: Path, *, lost_after_s: float, state: bool = False
) -> Iterator[tuple[Machines, Cabled, Agents]]:
    """A run on one machine, and what starts agents; afterwards nothing is left of either."""
    with Machines() as machines, Agents() as agents:
        run = Cabled(machines, place, lost_after_s, state)
        try:
            yield machines, run, agents
            agents.are_gone()
        finally:
            run.close()


def survives(place: Path, *, pulled_s: float = 0.0, stopped_s: float = 0.0) -> None:
    """A run with state on both machines, whose cable is pulled, and whose supervisor is stopped."""
    with cabled(place, lost_after_s=15.0, state=True) as (machines, run, agents):
        far = ["--tags", "safe,far", "--slots", "8"]
        agent = agents.join(run.token, *far, before=machines.on(1))
        there = run.line()
        for for_s, begin, end in (
            (pulled_s, machines.pull, machines.plug),
            (stopped_s, run.halt, run.go_on),
        ):
            begin()
            time.sleep(for_s)  # (this is what is tested: that so long is not too long)
            end()
            for _ in range(200):
                assert run.line() == there, "somebody has taken its place"
        run.ends()
        agent.ends(0)
