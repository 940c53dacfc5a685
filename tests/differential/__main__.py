"""`python -m tests.differential [--seconds S] [--seed SEED]`: inline and processes on more graphs.

Ends with exit code 1 if they differ; each graph can be repeated by its own seed.
"""

from __future__ import annotations

import argparse
import itertools
import logging
import random
import sys
import time

from tests.differential.compare import compare


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.differential")
    parser.add_argument("--seconds", type=float, default=600.0, help="how long")
    parser.add_argument("--graphs", type=int, default=10**9, help="how many at most")
    parser.add_argument("--seed", type=int, default=None)
    options = parser.parse_args()
    first = random.SystemRandom().getrandbits(32) if options.seed is None else options.seed
    print(f"seed {first}", flush=True)
    logging.getLogger("minipipe").setLevel(logging.CRITICAL)  # it would say every failure
    until_s = time.monotonic() + options.seconds
    graphs = items = letters = failures = different = 0
    for seed in itertools.islice(itertools.count(first), options.graphs):
        if time.monotonic() > until_s:
            break
        report = compare(seed)
        graphs += 1
        items += report.items
        letters += report.letters
        failures += report.failure is not None
        if report.differences:
            different += 1
            print(f"DIFFERENT seed {seed}: {report.plan}", flush=True)
            for text in report.differences:
                print(f"    {text}", flush=True)
    print(
        f"{graphs} graphs: {items} items at their ends, {letters} dead letters, {failures} runs "
        f"that failed; {different} different"
    )
    return bool(different)


if __name__ == "__main__":
    sys.exit(main())
