"""Pipelines drawn at random over several hosts, under fire: longer than the tests do it."""

from __future__ import annotations

import logging
import time
from collections import Counter

from tests.chaos.trial import trial
from tests.conftest import children, run_directories
from tests.hosts.neighbours import Neighbours

EACH = 12  # faults in one trial, at most


def under_fire(seed: int, faults: int, cuts: int, until_s: float) -> list[str]:
    """Runs pipelines until there were so many faults, and so many cuts of lines; what was wrong."""
    level = logging.getLogger("minipipe").level
    logging.getLogger("minipipe").setLevel(logging.CRITICAL)  # it would say every death
    counts: Counter[str] = Counter()
    wrong: list[str] = []
    trials = cut = items = deaths = 0
    # Exceptions are cheap: they do not count.
    while (counts.total() - counts["exception"] < faults or cut < cuts) and (
        time.monotonic() < until_s
    ):
        report = trial(seed + trials, EACH, Neighbours(seed + trials))
        if left := [*children(), *run_directories()]:
            report.wrong.append(f"left behind: {left}")
        trials += 1
        counts += report.faults
        cut += report.cuts
        items += report.items
        deaths += report.deaths
        for text in report.wrong:
            wrong.append(f"seed {report.seed}: {text}\n    {report.plan}")
            print(f"WRONG {wrong[-1]}", flush=True)
        if trials % 10 == 0:
            hits = counts.total() - counts["exception"]
            print(f"{trials} pipelines, {hits} faults, {cut} cuts", flush=True)
    logging.getLogger("minipipe").setLevel(level)
    kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items()) if count)
    print(
        f"{trials} pipelines, faults: {kinds}; {cut} cuts, "
        f"{deaths} workers replaced, {items} items received, {len(wrong)} wrong",
        flush=True,
    )
    return wrong
