"""Agents of a run, as processes of this machine, and what is left of them."""

from __future__ import annotations

import os
import re
import secrets
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from minipipe.protocol.hosts.token import parse_token
from tests.conftest import DEADLOCK_S, wait_until

_ROOT = str(Path(__file__).parents[2])
_MARK = "MINIPIPE_TESTED_AGENT"


class Agent:
    """One agent, and what it has said."""

    def __init__(self, process: subprocess.Popen[bytes], name: str, log: IO[bytes]) -> None:
        self.process, self.name, self._log = process, name, log
        self.was_told = False  # by the test to end

    @property
    def log(self) -> str:
        self._log.seek(0)
        return self._log.read().decode()

    @property
    def pid(self) -> int:
        return self.process.pid

    def says(self, text: str) -> None:
        """Waits until it has said this."""
        wait_until(
            lambda: text in self.log or self.process.poll() is not None,
            f"an agent to say {text!r}: {self.log}",
        )
        assert text in self.log, f"it has ended with {self.process.poll()}: {self.log}"

    def ends(self, code: int = 0, timeout_s: float = DEADLOCK_S) -> str:
        """Waits for its end with this exit code; what it has said."""
        try:
            self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"an agent goes on: {self.log}") from None
        assert self.process.returncode == code, (self.process.returncode, self.log)
        return self.log

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self._log.close()


class Agents:
    """Starts agents, and knows all processes that come of them, whoever has started those."""

    def __init__(self) -> None:
        self._mark = secrets.token_hex(8)
        self.all: list[Agent] = []

    def __enter__(self) -> Agents:
        return self

    def join(
        self,
        token: str,
        *arguments: str,
        port: int = 0,
        name: str = "far",
        before: Sequence[str] = (),
        first: str = "",
    ) -> Agent:
        """Has one join.

        Args:
            port: that it goes to, instead of that in the token.
            before: what stands before the command.
            first: Python code that it runs before anything else.
        """
        if port:
            token = with_port(token, port)
        log = tempfile.TemporaryFile()  # noqa: SIM115
        code = f"import sys\n{first}\nfrom minipipe.cli import main\nsys.exit(main())"
        program = ["-c", code] if first else ["-m", "minipipe"]
        command = [*before, sys.executable, "-P", *program, "agent", "--name", name]
        process = subprocess.Popen(
            [*command, *arguments],
            # (What tests hand to workers there is in modules of theirs; -P leaves out the cwd.)
            env={**os.environ, "PYTHONPATH": _ROOT, "MINIPIPE_TOKEN": token, _MARK: self._mark},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        self.all.append(Agent(process, name, log))
        return self.all[-1]

    def left(self) -> dict[int, str]:
        """The processes of all of them that are there, by pid: what runs there."""
        mark, found = f"{_MARK}={self._mark}".encode(), {}
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                if mark in (entry / "environ").read_bytes().split(b"\0"):
                    found[int(entry.name)] = (entry / "comm").read_text().strip()
            except OSError:
                continue  # it has ended, or is another user's
        return found

    def are_gone(self, timeout_s: float = DEADLOCK_S) -> None:
        """Waits until nothing is left of any."""
        wait_until(lambda: not self.left(), "all processes of agents to be gone", timeout_s)

    def __exit__(self, *_: object) -> None:
        try:
            for agent in self.all:
                agent.close()
            self.are_gone()
        finally:
            for pid in self.left():
                os.kill(pid, signal.SIGKILL)


def port_of(token: str) -> int:
    """The port that a token leads to."""
    return parse_token(token).endpoints[0].port


def with_port(token: str, port: int) -> str:
    """The same token with another port of this machine."""
    from dataclasses import replace

    from minipipe.protocol.hosts.endpoints import Endpoint

    return replace(parse_token(token), endpoints=(Endpoint("127.0.0.1", port),)).text


def gateways() -> list[int]:
    """The gateways of runs of this process."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = re.fullmatch(r"(\d+) \((.*)\) \S (\d+) .*", entry.read_text().strip())
        except OSError:
            continue
        if fields and fields[2] == "minipipe-gate" and int(fields[3]) == os.getpid():
            found.append(int(fields[1]))
    return found
