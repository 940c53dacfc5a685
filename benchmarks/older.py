"""The programs of minipipe 0.1.9, run with 0.1.9 and with this MiniPipe, as whole scripts."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.row import Row

REPEATS = 3
PROGRAMS = Path(__file__).parent / "programs"
# The older package has our import name, so it needs an environment of its own.
PEER = Path(__file__).parent.parent / ".venv" / "peers" / "minipipe-0.1.9"
# Items for each, and as few as start it: what is over is not the start.
COUNTS = {"toy": 40, "graph": 1500, "stateful": 3000, "fib": 2000, "search": 500}


def peer_python() -> Path | None:
    """The interpreter that has minipipe 0.1.9; None if it cannot be installed."""
    python = PEER / "bin" / "python"
    if python.exists():
        return python
    install = [str(python), "-m", "pip", "install", "--quiet", "minipipe==0.1.9", "numpy"]
    try:
        subprocess.run([sys.executable, "-m", "venv", str(PEER)], check=True)
        subprocess.run(install, check=True, stderr=subprocess.DEVNULL)
    except subprocess.CalledProcessError:
        return None
    return python


def seconds(python: Path, name: str, count: int) -> float:
    """How long the whole script takes."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    began_s = time.monotonic()
    subprocess.run(
        [str(python), str(PROGRAMS / f"{name}.py"), str(count)],
        check=True,
        stdout=subprocess.DEVNULL,
        env=environment,
        cwd=PROGRAMS,  # not where our package lies
        timeout=120,
    )
    return time.monotonic() - began_s


def rows() -> list[Row]:
    """Alternating; what remains when our own start-up is taken off, against theirs."""
    peer = peer_python()
    if peer is None:
        print("minipipe 0.1.9 cannot be installed here: left out", file=sys.stderr)
        return []
    own = Path(sys.executable)
    table = []
    for name, count in COUNTS.items():
        start_s = statistics.median(seconds(own, name, 1) for _ in range(REPEATS))
        pairs = [(seconds(own, name, count), seconds(peer, name, count)) for _ in range(REPEATS)]
        ours_s = statistics.median(a for a, _ in pairs)
        theirs_s = statistics.median(b for _, b in pairs)
        table.append(
            Row(
                f"0.1.9's program {name!r}, {count} items, as a script",
                f"{ours_s:.2f} s, of it {start_s:.2f} s to start",
                f"0.1.9 {theirs_s:.2f} s",
                (ours_s - start_s) / theirs_s,
                "x without the start",
                1.0,
                None,
            )
        )
    return table
