"""`python -m tests.chaos [--faults N] [--seconds S] [--seed SEED]`: pipelines under fire.

Ends with exit code 1 if anything went wrong; each trial can be repeated by its own seed.
"""

from __future__ import annotations

import argparse
import logging
import random
import sys
import time
from collections import Counter

from tests.chaos.trial import trial
from tests.conftest import children, run_directories


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos")
    parser.add_argument("--faults", type=int, default=1000, help="how many to inject in all")
    parser.add_argument("--seconds", type=float, default=3600.0, help="how long at most")
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--each", type=int, default=12, help="faults in one trial, at most")
    options = parser.parse_args()
    seed = random.SystemRandom().getrandbits(32) if options.seed is None else options.seed
    print(f"seed {seed}", flush=True)
    logging.getLogger("minipipe").setLevel(logging.CRITICAL)  # it would say every death
    began_s = time.monotonic()
    faults: Counter[str] = Counter()
    wrong: list[str] = []
    trials = items = deaths = aside = repeated = 0
    # Exceptions are cheap: they do not count.
    while sum(faults.values()) - faults["exception"] < options.faults:
        if time.monotonic() - began_s > options.seconds:
            break
        report = trial(seed + trials, options.each)
        trials += 1
        faults += report.faults
        items += report.items
        deaths += report.deaths
        aside += report.set_aside
        repeated += report.repeated
        left = [*children(), *run_directories()]
        if left:
            report.wrong.append(f"left behind: {left}")
        for text in report.wrong:
            wrong.append(f"seed {report.seed}: {text}\n    {report.plan}")
            print(f"WRONG {wrong[-1]}", flush=True)
    took_s = time.monotonic() - began_s
    kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(faults.items()))
    print(
        f"{trials} pipelines in {took_s:.0f} s, {sum(faults.values())} faults ({kinds}), "
        f"{deaths} workers replaced, {items} items received, {aside} set aside as poison, "
        f"{repeated} done twice by function sinks that were killed, {len(wrong)} wrong"
    )
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
