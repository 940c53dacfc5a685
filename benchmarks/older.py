"""The programs of minipipe 0.1.9, run with 0.1.9 and with this MiniPipe, as whole scripts."""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.row import Row

REPEATS = 3
PATIENCE_S = 30.0
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


def seconds(python: Path, name: str, count: int) -> float | None:
    """How long the whole script takes; None if it does not come to its end."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    began_s = time.monotonic()
    with subprocess.Popen(
        [str(python), str(PROGRAMS / f"{name}.py"), str(count)],
        stdout=subprocess.DEVNULL,
        env=environment,
        cwd=PROGRAMS,  # not where our package lies
        start_new_session=True,
    ) as process:
        try:
            code = process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            code = None
        took_s = time.monotonic() - began_s
        try:
            os.killpg(process.pid, signal.SIGKILL)  # 0.1.9 may leave processes that spin
        except ProcessLookupError:
            pass
    return took_s if code == 0 else None


def rows() -> list[Row]:
    """Alternating; what remains when our own start-up is taken off, against theirs."""
    peer = peer_python()
    if peer is None:
        print("minipipe 0.1.9 cannot be installed here: left out", file=sys.stderr)
        return []
    own = Path(sys.executable)
    table = []
    for name, count in COUNTS.items():
        starts = [seconds(own, name, 1) for _ in range(REPEATS)]
        pairs = [(seconds(own, name, count), seconds(peer, name, count)) for _ in range(REPEATS)]
        start_s, ours_s = _median(starts), _median([a for a, _ in pairs])
        theirs_s = _median([b for _, b in pairs])
        if start_s is None or ours_s is None:
            raise RuntimeError(f"our own run of {name!r} did not come to its end")
        ended = theirs_s is not None
        table.append(
            Row(
                f"0.1.9's program {name!r}, {count} items, as a script",
                f"{ours_s:.2f} s, of it {start_s:.2f} s to start",
                f"0.1.9 {theirs_s:.2f} s" if ended else f"0.1.9 does not end in {PATIENCE_S:g} s",
                (ours_s - start_s) / (PATIENCE_S if theirs_s is None else theirs_s),
                "x without the start",
                1.0,
                None,
            )
        )
    return table


def _median(times: list[float | None]) -> float | None:
    """The median of the runs that ended; None if most did not."""
    ended = [t for t in times if t is not None]
    return statistics.median(ended) if 2 * len(ended) > len(times) else None
