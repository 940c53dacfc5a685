"""`python -m tests.soak [--deaths N] [--passes N] [--seconds S]`: does anything pile up?

Ends with exit code 1 if it does, or if anything is left behind.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time

from tests.conftest import children, run_directories
from tests.soak.measure import Growth
from tests.soak.runs import many_deaths, many_passes, steady


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak")
    parser.add_argument("--deaths", type=int, default=1000, help="of workers in one run")
    parser.add_argument("--passes", type=int, default=1000, help="runs of one process")
    parser.add_argument("--seconds", type=float, default=3600.0, help="of a run that goes on")
    options = parser.parse_args()
    wrong = 0
    with tempfile.TemporaryDirectory() as directory:
        began_s = time.monotonic()
        growth, deaths = many_deaths(directory, options.deaths, limit_s=float("inf"))
        wrong += say(f"{deaths} deaths", growth, began_s)
    began_s = time.monotonic()
    growth, passes = many_passes(options.passes, limit_s=float("inf"))
    wrong += say(f"{passes} passes", growth, began_s)
    began_s = time.monotonic()
    wrong += say("one run that goes on", steady(options.seconds), began_s)
    left = [*children(), *run_directories()]
    if left:
        print(f"left behind: {left}")
    return bool(wrong or left)


def say(what: str, growth: Growth, began_s: float) -> int:
    """Prints what has come of it; how many processes have more than before."""
    piled_up = growth.piled_up()
    verdict = f"PILED UP: {piled_up}" if piled_up else "nothing has piled up"
    print(f"{what} in {time.monotonic() - began_s:.0f} s: {verdict}\n{growth}", flush=True)
    return len(piled_up)


if __name__ == "__main__":
    sys.exit(main())
