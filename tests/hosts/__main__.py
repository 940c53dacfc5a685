"""Links between hosts, cut at random and with their cable pulled: longer than the tests do it.

python -m tests.hosts --cuts 200 --seconds 600 --seed 1
"""

from __future__ import annotations

import argparse
import time
from contextlib import ExitStack
from random import Random

from tests.hosts.conftest import Hosts, cut_up, pulled
from tests.hosts.machines import why_not

PULLED_S = 5.0


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.hosts", description=__doc__)
    parser.add_argument("--cuts", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=600.0, help="no round begins after that")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    random, began_s, cuts, connections = Random(arguments.seed), time.monotonic(), 0, 0
    while cuts < arguments.cuts and time.monotonic() - began_s < arguments.seconds:
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
    main()
