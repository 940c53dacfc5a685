"""The whole comparison: measures, prints the tables, writes them down, returns the verdicts."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.row import Row
from benchmarks.throughput import extras, plot, table, verdicts
from benchmarks.throughput.cells import measure
from benchmarks.throughput.contenders import PEERS, SIZES
from benchmarks.throughput.running import Peer

RESULTS = Path(__file__).parent.parent / "results"


def rows(
    *,
    save: bool = False,
    head: str = "",
    peers: Sequence[Peer] = PEERS,
    sizes: Sequence[str] = tuple(SIZES),
    cell_s: float = 4.0,
    repeats: int = 5,
    extent: extras.Extent | None = None,
) -> list[Row]:
    """The tables are printed, and saved if that is wanted; returns what must hold.

    Args:
        save: Writes throughput.md and throughput.png into the results.
        head: What the file begins with: the machine.
        peers: Who is compared.
        sizes: Names of sizes.
        cell_s: How long one peer may stream arrays of one size, all repeats together.
        repeats: At most so many; fewer for a peer that starts slowly.
        extent: How much is measured of MiniPipe alone; the default takes about a minute.
    """
    cells = {size: measure(peers, SIZES[size], cell_s=cell_s, repeats=repeats) for size in sizes}
    text = table.markdown(cells)
    print(text, end="\n\n", flush=True)
    found = verdicts.rows(cells) + extras.rows(extent or extras.Extent())
    if save:
        parts = [part for part in (head, text) if part]
        (RESULTS / "throughput.md").write_text("\n\n".join(parts) + "\n")
        try:
            plot.save(cells, RESULTS / "throughput.png")
        except ImportError as error:
            print(f"no throughput.png: {error} (pip install '.[bench]')", file=sys.stderr)
    return found
