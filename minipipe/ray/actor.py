"""An agent on a node of Ray, as an actor has it: a process of its own, started anew if it dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import IO, NamedTuple

from minipipe.transport.token_text import VARIABLE

STOP_S = 10.0
_KEPT_LINES = 5

# The MiniPipe of the actor, wherever Ray has found that: where its driver has it, say.
_ROOT = str(Path(__file__).parents[__name__.count(".")])
_CODE = """
import sys
root = sys.argv.pop(1)
if root not in sys.path:
    sys.path.insert(0, root)
from minipipe.ray.process import main
main()
"""


class Result(NamedTuple):
    """How an agent has ended.

    Attributes:
        code: its exit status; below 0: the signal that has killed it.
        said: the last that it has said.
    """

    code: int
    said: str


def is_started_again(code: int, *, has_joined: bool, left: int) -> bool:
    """Whether another agent takes the place of one that has ended so.

    One that could not join would be told the same again.
    """
    return left > 0 and (code < 0 or (code == 1 and has_joined))


class AgentActor:
    """What Ray runs: the process of one agent.

    An actor that Ray starts anew makes a new one by that.

    Args:
        token: of the run.
        arguments: of `minipipe agent`.
        max_restarts: so many times another process is started, if the first one dies.
    """

    def __init__(self, token: str, arguments: Sequence[str], max_restarts: int) -> None:
        self._token, self._arguments = token, list(arguments)
        self._left, self._is_stopping = max_restarts, False
        self._lock = threading.Lock()
        self._begin()

    def pid(self) -> int:
        """Of the agent's process."""
        return self._process.pid

    def wait(self) -> Result:
        """Waits until the agent has ended, and no other takes its place."""
        while True:
            process = self._process
            code = process.wait()
            assert process.stdin is not None
            process.stdin.close()
            self._reader.join(1.0)  # what the process has started may hold the other end longer
            with self._lock:
                again = is_started_again(code, has_joined=self._has_joined, left=self._left)
                if self._is_stopping or not again:
                    return Result(code, "; ".join(self._said))
                self._left -= 1
                self._begin()

    def stop(self) -> None:
        """The agent leaves the run, and ends."""
        with self._lock:
            self._is_stopping = True
            process = self._process
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()

    def _begin(self) -> None:
        self._said: deque[str] = deque(maxlen=_KEPT_LINES)
        self._has_joined = False
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", _CODE, _ROOT, *self._arguments],
            env={**os.environ, VARIABLE: self._token},
            stdin=subprocess.PIPE,  # its end is the end of this actor
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        )
        assert self._process.stderr is not None
        self._reader = threading.Thread(
            target=self._read, args=(self._process.stderr, self._said), daemon=True
        )
        self._reader.start()

    def _read(self, stderr: IO[str], said: deque[str]) -> None:
        with stderr:
            for line in stderr:
                if "has joined run" in line:
                    self._has_joined = True
                said.append(line.strip())
                sys.stderr.write(line)  # Ray shows it to its user
                sys.stderr.flush()
