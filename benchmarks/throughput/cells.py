"""One peer at one size: how many items it takes, then repeats that alternate among the peers."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from benchmarks.throughput.running import Measurement, Peer, PeerError, run

# The first try, and the most that one run may pass.
FIRST_BYTES, FIRST_ITEMS_AT_LEAST, FIRST_ITEMS_AT_MOST = 100_000_000, 6, 2000
ITEMS_AT_MOST = 2_000_000
# A first try may consist of what was buffered before its first item was taken: not to be trusted
# for more than this.
GROWTH_AT_MOST = 20.0
# A cell's wall time, start-ups included, in multiples of the seconds it may stream.
WALL_PER_STREAMED = 5.0


@dataclass
class Cell:
    """What was measured of one peer at one size; `error`, in one line, if it could not be."""

    items: int = 0
    runs: list[Measurement] = field(default_factory=list)
    peak_bytes: int | None = None
    error: str | None = None
    wall_s: float = 0.0

    def rate(self) -> float | None:
        """Median of the bytes a second."""
        return statistics.median(run.bytes_per_s for run in self.runs) if self.runs else None

    def items_per_s(self) -> float | None:
        """Median of the items a second."""
        return statistics.median(run.items_per_s for run in self.runs) if self.runs else None

    def cpu_s_per_gb(self) -> float | None:
        """Median of the processor seconds per 1e9 bytes; None if they cannot be known."""
        known = [run.cpu_s_per_gb for run in self.runs if run.cpu_s_per_gb is not None]
        return statistics.median(known) if known else None

    def version(self) -> str:
        """The version that the peer said."""
        return self.runs[0].version if self.runs else ""


def first_items(size_bytes: int) -> int:
    """How many items the first try passes."""
    return min(max(FIRST_BYTES // size_bytes, FIRST_ITEMS_AT_LEAST), FIRST_ITEMS_AT_MOST)


def next_items(items: int, took_s: float, wanted_s: float) -> int | None:
    """How many the next try passes; None if the last one was long enough."""
    if took_s >= wanted_s / 2 or items >= ITEMS_AT_MOST:
        return None
    return min(round(items * min(wanted_s / max(took_s, 1e-6), GROWTH_AT_MOST)), ITEMS_AT_MOST)


def calibrate(cell: Cell, peer: Peer, size_bytes: int, run_s: float) -> None:
    """The cell knows how many items take about `run_s` seconds, and the peak memory.

    These runs are watched, which the kernel charges to them: they do not count as throughput.
    """
    items: int | None = first_items(size_bytes)
    while items is not None:
        cell.items = items
        measured = run(peer, size_bytes, items, watch_memory=True)
        if measured.peak_bytes is not None:
            cell.peak_bytes = max(cell.peak_bytes or 0, measured.peak_bytes)
        items = next_items(items, measured.seconds, run_s)


def measure(
    peers: Iterable[Peer], size_bytes: int, *, cell_s: float, repeats: int
) -> dict[str, Cell]:
    """A cell for each peer, by its name.

    Round by round, so that what slows the machine down for a while hits all of them; a slow
    starter has fewer rounds, but always one.
    """
    cells = {peer: Cell() for peer in peers}
    for number in range(repeats + 1):
        for peer, cell in cells.items():
            spent = cell.runs and cell.wall_s > cell_s * WALL_PER_STREAMED
            if cell.error is not None or spent:
                continue
            print(
                f"... {peer.name}, {size_bytes} B, "
                + (f"round {number} of {repeats}" if number else "calibrating"),
                file=sys.stderr,
                flush=True,
            )
            began_s = time.monotonic()
            try:
                if number:
                    cell.runs.append(run(peer, size_bytes, cell.items))
                else:
                    calibrate(cell, peer, size_bytes, cell_s / repeats)
            except PeerError as error:
                cell.error = str(error)
            cell.wall_s += time.monotonic() - began_s
    return {peer.name: cell for peer, cell in cells.items()}
