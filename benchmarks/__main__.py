"""`python -m benchmarks [NAME ...]`: runs all benchmarks, or those named; prints a table."""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import msgpack
import numpy as np
import zmq

import minipipe
from benchmarks import (
    broadcast,
    codec,
    dataset_loader,
    hosts,
    kinds,
    latency,
    loader,
    many_to_many,
    older,
    passes,
    predictions,
    real_functors,
    recovery,
    samples,
    sharing,
    sleeps,
    small_items,
    start_up,
    tracing,
    wakeups,
    windows,
)
from benchmarks.row import Row
from benchmarks.throughput import suite as throughput
from minipipe.version import core

SUITES: dict[str, Callable[..., list[Row]]] = {
    "sleeps": sleeps.rows,
    "sharing": sharing.rows,
    "many": many_to_many.rows,
    "functors": real_functors.rows,
    "wakeups": wakeups.rows,
    "windows": windows.rows,
    "small": small_items.rows,
    "kinds": kinds.rows,
    "samples": samples.rows,
    "codec": codec.rows,
    "loader": loader.rows,
    "dataset": dataset_loader.rows,
    "start": start_up.rows,
    "passes": passes.rows,
    "latency": latency.rows,
    "broadcast": broadcast.rows,
    "hosts": hosts.rows,
    "recovery": recovery.rows,
    "older": older.rows,
    "predictions": predictions.rows,
    "tracing": tracing.rows,
    "throughput": throughput.rows,
}
RESULTS = Path(__file__).parent / "results" / "spine.md"


def machine() -> str:
    """What the numbers were measured on."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [s for s in cpuinfo.read_text().splitlines() if s.startswith("model name")]
        model = names[0].partition(":")[2].strip() if names else model
    return (
        f"{os.cpu_count()} cores ({model}), {platform.system()} {platform.release()}, "
        f"Python {platform.python_version()}, MiniPipe {minipipe.__version__} ({core()}), "
        f"pyzmq {zmq.pyzmq_version()} (libzmq {zmq.zmq_version()}), "
        f"msgpack {'.'.join(map(str, msgpack.version))}, NumPy {np.__version__}; "
        f"{time.strftime('%Y-%m-%d')}"
    )


def table(rows: list[Row]) -> list[str]:
    """The lines of the table, in Markdown."""
    return [
        "| what | measured | compared with | result | must | goal | |",
        "|---|---|---|---|---|---|---|",
        *(row.line() for row in rows),
    ]


def main() -> int:
    """Runs the benchmarks; exit code 1 if a number that must hold does not."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(SUITES)}")
    parser.add_argument("--save", action="store_true", help=f"write {RESULTS.name} as well")
    arguments = parser.parse_args()
    unknown = set(arguments.names) - set(SUITES)
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)} (known: {', '.join(SUITES)})")
    # These write down tables of their own.
    suites = SUITES | {
        "predictions": partial(predictions.rows, save=arguments.save, head=machine()),
        "throughput": partial(throughput.rows, save=arguments.save, head=machine()),
    }
    rows: list[Row] = []
    for name in arguments.names or SUITES:
        print(f"... {name}", file=sys.stderr, flush=True)
        rows += suites[name]()
    text = "\n".join([machine(), "", *table(rows)])
    print(text)
    if arguments.save:
        RESULTS.write_text(text + "\n")
    return 0 if all(row.holds for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
