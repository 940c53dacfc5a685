"""Other programs for the tests: started here, and ended with them."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

PROGRAM = Path(__file__).parent / "program.py"
LIMIT_S = 60.0


class Program:
    """One process of `program.py`, and what it has said."""

    def __init__(self, **plan: Any) -> None:
        # Isolated, so that it finds no package of ours.
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
        self.process = subprocess.Popen(
            [sys.executable, "-P", PROGRAM, json.dumps(plan)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )

    def next(self) -> dict[str, Any]:
        """The next thing that it says."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, f"it has ended with {self.process.wait()}"
        said: dict[str, Any] = json.loads(line)
        return said

    def until(self, word: str) -> dict[str, Any]:
        while word not in (said := self.next()):
            pass
        return said

    def end(self) -> None:
        """Ends it as it would by itself, or else kills it."""
        for stream in (self.process.stdin, self.process.stdout):
            assert stream is not None
        try:
            self.process.communicate(timeout=LIMIT_S)
        finally:
            self.kill()

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()


Start = Callable[..., Program]


@pytest.fixture
def start() -> Iterator[Start]:
    programs: list[Program] = []

    def started(does: str, pattern: str, address: str, **plan: Any) -> Program:
        programs.append(Program(does=does, pattern=pattern, address=address, **plan))
        return programs[-1]

    yield started
    for program in programs:
        if not program.process.stdin.closed:  # type: ignore[union-attr]
            program.kill()


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory with a path short enough for sockets."""
    made = tempfile.mkdtemp(prefix="mpp", dir="/tmp")
    yield Path(made)
    shutil.rmtree(made)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(params=["ipc", "tcp"])
def address(request: pytest.FixtureRequest, place: Path) -> str:
    if request.param == "ipc":
        return f"ipc://{place}/socket"
    return f"tcp://127.0.0.1:{free_port()}"
