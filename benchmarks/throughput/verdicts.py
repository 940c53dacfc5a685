"""What must hold, of the cells that there are."""

from __future__ import annotations

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
    ("64 kB", PYZMQ, 1.0, None),
    ("100 B", IMAP, 10.0, 15.0),
)
# At the size of a usual batch: in smaller ones, a run is too short for the kernel's ticks.
CPU_SIZE, CPU_MUST, CPU_GOAL = "9.6 MB", 1.0, 0.333

Cells = Mapping[str, Mapping[str, Cell]]
"""By the name of the size, then by that of the peer."""


def rows(cells: Cells) -> list[Row]:
    """Those whose two sides were measured; what is left out is said on stderr."""
    found = []
    for size, peer, must, goal in THROUGHPUT:
        both = _both(cells, size, peer)
        if both is not None:
            found.append(_throughput(size, peer, *both, must, goal))
    both = _both(cells, CPU_SIZE, DATALOADER)
    if both is not None:
        found += _cpu(*both)
    return found


def _both(cells: Cells, size: str, peer: Peer) -> tuple[Cell, Cell] | None:
    """Ours and the peer's; None if one of them has no runs."""
    if size not in cells:
        return None
    found = []
    for name in (MINIPIPE.name, peer.name):
        cell = cells[size].get(name)
        if cell is None or not cell.runs:
            why = "not measured" if cell is None else cell.error
            print(f"no verdict on {size} against {peer.name}: {name}: {why}", file=sys.stderr)
            return None
        found.append(cell)
    return found[0], found[1]


def _throughput(
    size: str, peer: Peer, ours: Cell, theirs: Cell, must: float, goal: float | None
) -> Row:
    # By round, as far as both went: what slows the machine down hits both sides of a ratio.
    pairs = zip(ours.runs, theirs.runs, strict=False)
    return Row(
        f"arrays of {size} through three segments",
        _speed(ours),
        f"{peer.name} {_speed(theirs)}",
        statistics.median(a.bytes_per_s / b.bytes_per_s for a, b in pairs),
        "x",
        must,
        goal,
        larger_is_better=True,
    )


def _cpu(ours: Cell, theirs: Cell) -> list[Row]:
    own, other = ours.cpu_s_per_gb(), theirs.cpu_s_per_gb()
    if own is None or not other:
        return []
    return [
        Row(
            f"arrays of {CPU_SIZE} through three segments: processor time",
            f"{own:.2f} CPU s/GB",
            f"{DATALOADER.name} {other:.2f} CPU s/GB",
            own / other,
            "x",
            CPU_MUST,
            CPU_GOAL,
        )
    ]


def _speed(cell: Cell) -> str:
    items, rate = cell.items_per_s(), cell.rate()
    assert items is not None and rate is not None, "a cell with runs has both"
    return f"{rate / 1e9:.2f} GB/s" if rate > 50e6 else f"{items:,.0f} items/s"
