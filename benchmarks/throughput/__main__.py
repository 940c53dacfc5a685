"""`python -m benchmarks.throughput`: the comparison alone, in full or in part."""

from __future__ import annotations

import argparse
import sys

from benchmarks.__main__ import machine, table
from benchmarks.throughput.contenders import PEERS, SIZES
from benchmarks.throughput.extras import Extent
from benchmarks.throughput.suite import RESULTS, rows


def main() -> int:
    """Runs it; exit code 1 if a number that must hold does not."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.throughput")
    parser.add_argument(
        "--peers",
        default="",
        metavar="TEXT,...",
        help="only peers whose name contains one of these, in any case",
    )
    parser.add_argument("--sizes", nargs="+", choices=list(SIZES), default=list(SIZES))
    parser.add_argument(
        "--seconds", type=float, default=4.0, help="streamed per peer and size, repeats together"
    )
    parser.add_argument("--repeats", type=int, default=5, help="at most, of everything")
    parser.add_argument(
        "--items", type=int, default=Extent.items, help="of 9.6 MB, in runs of MiniPipe alone"
    )
    parser.add_argument(
        "--gigabytes", type=float, default=4.0, help="of the long stream; 20 is the full length"
    )
    parser.add_argument("--save", action="store_true", help="write throughput.md and .png as well")
    arguments = parser.parse_args()
    texts = arguments.peers.lower().split(",")
    peers = [peer for peer in PEERS if any(text in peer.name.lower() for text in texts)]
    if not peers:
        parser.error(
            f"unknown: {arguments.peers} (known: {', '.join(peer.name for peer in PEERS)})"
        )
    if arguments.repeats < 1 or arguments.items < 2:
        parser.error("expected --repeats of 1 and --items of 2, or more")
    found = rows(
        save=arguments.save,
        head=machine(),
        peers=peers,
        sizes=arguments.sizes,
        cell_s=arguments.seconds,
        repeats=arguments.repeats,
        extent=Extent(arguments.repeats, arguments.items, arguments.gigabytes * 1e9),
    )
    verdicts = "\n".join(table(found))
    print(verdicts)
    if arguments.save:
        with (RESULTS / "throughput.md").open("a") as file:
            file.write(f"\n{verdicts}\n")
    return 0 if all(row.holds for row in found) else 1


if __name__ == "__main__":
    sys.exit(main())
