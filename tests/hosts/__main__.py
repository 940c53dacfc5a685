"""Links between hosts, cut at random and with their cable pulled, and pipelines over several hosts.

python -m tests.hosts --faults 300 --cuts 200 --seconds 1200 --seed 1

All of it goes on longer than in the tests.  Exit code 1: something was wrong; each pipeline can be
repeated by its own seed (`python -m tests.hosts --pipeline SEED`).
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from random import Random

from tests.hosts.cables import survives
from tests.hosts.conftest import Hosts, cut_up, pulled
from tests.hosts.machines import why_not
from tests.hosts.under_fire import under_fire

PULLED_S, STOPPED_S = 5.0, 20.0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.hosts", description=__doc__)
    parser.add_argument("--faults", type=int, default=300, help="that pipelines are to survive")
    parser.add_argument("--cuts", type=int, default=200, help="of links, and of pipelines' lines")
    parser.add_argument("--seconds", type=float, default=1200.0, help="no round begins after that")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--pipeline", type=int, metavar="SEED", help="this one alone")
    arguments = parser.parse_args()
    until_s = time.monotonic() + arguments.seconds
    if arguments.pipeline is not None:
        return bool(under_fire(arguments.pipeline, 1, 0, until_s))
    wrong = under_fire(arguments.seed, arguments.faults, arguments.cuts, until_s)
    links(Random(arguments.seed), arguments.cuts, until_s)
    if not why_not():
        with tempfile.TemporaryDirectory() as place:
            survives(Path(place), pulled_s=PULLED_S, stopped_s=STOPPED_S)
        print(
            f"a run whose cable was pulled for {PULLED_S:.0f} s, and whose supervisor was stopped "
            f"for {STOPPED_S:.0f} s, has gone on"
        )
    return bool(wrong)


def links(random: Random, most: int, until_s: float) -> None:
    """Cuts links; raises if anything is lost or repeated."""
    cuts = connections = 0
    while cuts < most and time.monotonic() < until_s:
        counts = (random.randrange(150, 400), random.randrange(150, 400))
        drawn = {"seed": random.randrange(1 << 30), "cuts": random.randrange(1, 21)}
        delay_s = random.choice((0.0, 0.001, 0.005, 0.05))
        print(f"{cuts} cuts; now {drawn}, counts={counts}, delay_s={delay_s}", flush=True)
        with ExitStack() as stack:
            connections += cut_up(Hosts(stack), **drawn, counts=counts, delay_s=delay_s)
        cuts += drawn["cuts"]
    print(f"{cuts} cuts, {connections} connections: nothing lost, nothing repeated", flush=True)
    if why := why_not():
        print(f"no cable was pulled: {why}")
        return
    for _ in range(3):
        with ExitStack() as stack:
            began_s = time.monotonic()
            made = pulled(
                Hosts(stack), seed=random.randrange(999), lost_after_s=15.0, pulled_s=PULLED_S
            )
        took_s = time.monotonic() - began_s
        print(
            f"a cable pulled for {PULLED_S:.0f} s: {took_s:.1f} s, {made} connections", flush=True
        )


if __name__ == "__main__":
    sys.exit(main())
