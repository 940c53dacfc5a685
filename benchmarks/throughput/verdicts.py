"""What must hold, of the cells that there are.

A result that is not a number holds nothing: that is how our own failing shows.
"""

from __future__ import annotations

import math
import statistics
import sys
from collections.abc import Mapping

from benchmarks.row import Row
from benchmarks.throughput.cells import Cell
from benchmarks.throughput.contenders import DATALOADER, IMAP, MEMCPY, MINIPIPE, PYZMQ
from benchmarks.throughput.running import Peer

# Size, peer, must, goal: how many times the peer's throughput.
THROUGHPUT: tuple[tuple[str, Peer, float, float | None], ...] = (
    ("38.5 MB", MEMCPY, 0.8, 0.95),
    ("38.5 MB", DATALOADER, 5.0, 7.0),
    ("1 MB", DATALOADER, 5.0, 8.0),
    ("64 kB", DATALOADER, 3.0, 6.0),
    ("64 kB", PYZMQ, 3.0, 5.0),
    ("16 kB", PYZMQ, 1.0, 2.0),
    ("100 B", IMAP, 10.0, 15.0),
)
# At the size of a usual batch: in smaller ones, a run is too short for the kernel's ticks.
CPU_SIZE, CPU_MUST, CPU_GOAL = "9.6 MB", 1.0, 0.333

Cells = Mapping[str, Mapping[str, Cell]]
"""By the name of the size, then by that of the peer."""


def rows(cells: Cells) -> list[Row]:
    """Those that could be measured, and those that our failing left open, as missed.

    What a peer's absence leaves open is left out, which is said on stderr.
    """
    found = []
    for size, peer, must, goal in THROUGHPUT:
        ours, theirs = _both(cells, size, peer)
        if ours is not None and theirs is not None:
            found.append(_throughput(size, peer, ours, theirs, must, goal))
    ours, theirs = _both(cells, CPU_SIZE, DATALOADER)
    if ours is not None and theirs is not None:
        found.append(_cpu(ours, theirs))
    return found


def _both(cells: Cells, size: str, peer: Peer) -> tuple[Cell | None, Cell | None]:
    """Our cell, which may have failed, and the peer's; None twice if there can be no verdict."""
    by_peer = cells.get(size, {})
    ours, theirs = by_peer.get(MINIPIPE.name), by_peer.get(peer.name)
    if ours is None or theirs is None:  # not asked for
        return None, None
    if not theirs.runs:
        print(f"no verdict on {size} against {peer.name}: {theirs.error}", file=sys.stderr)
        return None, None
    return ours, theirs


def _throughput(
    size: str, peer: Peer, ours: Cell, theirs: Cell, must: float, goal: float | None
) -> Row:
    # By round, as far as both went: what slows the machine down hits both sides of a ratio.
    ratios = [a.bytes_per_s / b.bytes_per_s for a, b in zip(ours.runs, theirs.runs, strict=False)]
    return Row(
        f"arrays of {size} through three segments",
        ours.error or _speed(ours),
        f"{peer.name} {_speed(theirs)}",
        math.nan if ours.error else statistics.median(ratios),
        "x",
        must,
        goal,
        larger_is_better=True,
    )


def _cpu(ours: Cell, theirs: Cell) -> Row:
    # Not a number: unknown, or too short for the kernel's ticks.
    own = math.nan if ours.error else ours.cpu_s_per_gb() or math.nan
    other = theirs.cpu_s_per_gb() or math.nan
    return Row(
        f"arrays of {CPU_SIZE} through three segments: processor time",
        ours.error or f"{own:.2f} CPU s/GB",
        f"{DATALOADER.name} {other:.2f} CPU s/GB",
        own / other,
        "x",
        CPU_MUST,
        CPU_GOAL,
    )


def _speed(cell: Cell) -> str:
    items, rate = cell.items_per_s(), cell.rate()
    assert items is not None and rate is not None, "a cell with runs has both"
    return f"{rate / 1e9:.2f} GB/s" if rate > 50e6 else f"{items:,.0f} items/s"
