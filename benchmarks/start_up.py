"""How long it takes until something flows."""

from __future__ import annotations

import subprocess
import sys
import time

import minipipe as mp
from benchmarks.row import Row, median_of

MANY = 128
SCRIPT = """
import minipipe as mp
pline = mp.PipeLine([mp.Source(range(100)), mp.Transform(lambda x: x)])
print(next(iter(pline)))
"""


class First:
    """Notes when its first item came."""

    def local_init(self) -> None:
        self.first_s: float | None = None

    def run(self, item: int) -> None:
        if self.first_s is None:
            self.first_s = time.monotonic()

    def local_term(self) -> float | None:
        return self.first_s


def first_item_s() -> float:
    pline = mp.PipeLine([mp.Source(range(10)), mp.Transform(abs), mp.Sink(First(), "first")])
    pline.build(log_lvl="WARNING")
    began_s = time.monotonic()
    return float(pline.run().close()["first"] - began_s)


def script_s() -> float:
    began_s = time.monotonic()
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, check=True)
    assert done.stdout == b"0\n", done
    return time.monotonic() - began_s


def many_s() -> float:
    """The same with `MANY` workers in between."""
    pline = mp.PipeLine([mp.Source(range(10 * MANY))])
    pline.add(mp.Transform(abs), n_processes=MANY)
    pline.add(mp.Sink(First(), "first"))
    pline.build(log_lvl="WARNING")
    began_s = time.monotonic()
    return float(pline.run().close()["first"] - began_s)


def rows() -> list[Row]:
    """Medians of several starts."""
    first_s, whole_s = median_of(first_item_s, 7), median_of(script_s, 5)
    all_s = median_of(many_s, 3)
    return [
        Row(
            "from run() to the first item at the sink, three segments",
            f"{first_s:.2f} s",
            "",
            first_s,
            " s",
            0.7,
            0.4,
        ),
        Row(
            "a script that does next(iter(pline)) and exits",
            f"{whole_s:.2f} s",
            "",
            whole_s,
            " s",
            1.2,
            None,
        ),
        Row(
            f"{MANY} workers: from run() to the first item at the sink",
            f"{all_s:.2f} s",
            "",
            all_s,
            " s",
            3.0,
            2.0,
        ),
    ]
