"""Runs a peer's script in a process of its own and reads what it measured."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.throughput.environments import HINT, python_of
from benchmarks.throughput.peers.process_tree import MARK, processes

SCRIPTS = Path(__file__).parent / "peers"
ROOT = Path(__file__).parent.parent.parent
TIMEOUT_S = 60.0


class PeerError(Exception):
    """A peer is missing or failed; the message, one line, is for the table."""


@dataclass(frozen=True)
class Peer:
    """What is compared: a script, and the environment that has what it needs."""

    name: str
    script: str
    environment: str | None = None
    """None is ours."""
    needs: str = ""
    """What ours may lack, and how to get it."""
    arguments: tuple[str, ...] = ()


@dataclass(frozen=True)
class Measurement:
    """One run, from the first to the last item at the consumer; the slowest, if several."""

    seconds: float
    items: int
    bytes: int
    cpu_s: float | None
    version: str
    peak_bytes: int | None = None

    @property
    def bytes_per_s(self) -> float:
        return self.bytes / self.seconds

    @property
    def items_per_s(self) -> float:
        return self.items / self.seconds

    @property
    def cpu_s_per_gb(self) -> float | None:
        return None if self.cpu_s is None else self.cpu_s / (self.bytes / 1e9)


def run(
    peer: Peer,
    size_bytes: int,
    items: int,
    *,
    watch_memory: bool = False,
    timeout_s: float = TIMEOUT_S,
) -> Measurement:
    """The peer has passed so many arrays of this size.

    Raises:
        PeerError: it is not installed, it failed, or it took too long.
    """
    python = python_of(peer.environment)
    if python is None:
        raise PeerError(f"not installed: {HINT}")
    mark = uuid.uuid4().hex
    # Without PYTHONPATH: our package could stand before another's.
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    command = [str(python), str(SCRIPTS / f"{peer.script}.py"), str(size_bytes), str(items)]
    with _watched(mark if watch_memory else None) as peak:
        process = subprocess.Popen(
            [*command, *peer.arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment | {MARK: mark},
            cwd=SCRIPTS,
        )
        try:
            out, err = process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            raise PeerError(f"{items} items took longer than {timeout_s:.0f} s") from None
        finally:
            _kill(process, mark)
    lines = [json.loads(line) for line in out.splitlines() if line.startswith('{"seconds"')]
    if process.returncode or not lines:
        raise PeerError(_reason(err, process.returncode, peer))
    slowest = max(lines, key=lambda line: float(line["seconds"]))
    return Measurement(**slowest, peak_bytes=peak[0] if peak else None)


def _reason(err: str, code: int, peer: Peer) -> str:
    """The last line of what it wrote to stderr, or what to install."""
    if "ModuleNotFoundError" in err and peer.needs:
        return f"not installed: {peer.needs}"
    last = [line.strip() for line in err.splitlines() if line.strip()]
    # A bar would end a field of the table.
    return last[-1][:160].replace("|", "/") if last else f"ended with {code} and said nothing"


def _kill(process: subprocess.Popen[str], mark: str) -> None:
    """Nothing of the run is left, whatever it started."""
    for pid in processes(mark):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:  # it has just ended
            continue
    process.wait()


@contextmanager
def _watched(mark: str | None) -> Iterator[list[int]]:
    """The list holds the peak afterwards; empty if nothing was to be watched."""
    peak: list[int] = []
    if mark is None:
        yield peak
        return
    watcher = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.throughput.memory", mark],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    try:
        yield peak
    finally:
        out, _ = watcher.communicate()
        if out.strip():
            peak.append(int(out))
