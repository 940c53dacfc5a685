"""The measurements as a picture: throughput over the size of an array, both logarithmic."""

from __future__ import annotations

from itertools import cycle
from pathlib import Path

from benchmarks.throughput.contenders import MEMCPY, MINIPIPE, SIZES
from benchmarks.throughput.verdicts import Cells

MARKERS = "osD^v<>PX*"
# matplotlib's own without the red, which is ours.
COLORS = ("C0", "C1", "C2", "C4", "C5", "C6", "C7", "C8", "C9")


def save(cells: Cells, path: Path) -> None:
    """The picture is in the file.

    Raises:
        ImportError: without matplotlib, of the extra `bench`.
    """
    # A backend class instead of pyplot: needs no display and no global state.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 5.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    names = dict.fromkeys(name for by_peer in cells.values() for name in by_peer)
    markers, colors = cycle(MARKERS), cycle(COLORS)
    for name in names:
        points = [
            (SIZES[size], rate / 1e9)
            for size, by_peer in cells.items()
            if name in by_peer and (rate := by_peer[name].rate()) is not None
        ]
        if not points:
            continue
        own, limit = name == MINIPIPE.name, name == MEMCPY.name
        axes.plot(
            *zip(*points, strict=True),
            label=name,
            marker="" if limit else next(markers),
            linestyle="--" if limit else "-",
            color="black" if limit else "crimson" if own else next(colors),
            linewidth=2.5 if own else 1.3,
            zorder=3 if own else 2,
        )
    axes.set(xscale="log", yscale="log", xlabel="size of an array", ylabel="GB/s")
    axes.set_xticks(list(SIZES.values()), labels=list(SIZES), rotation=30)
    axes.set_xticks([], minor=True)
    axes.set_title("Arrays through source, transform and consumer")
    axes.grid(alpha=0.3)
    figure.legend(loc="outside right center", frameon=False)
    figure.savefig(path, dpi=150)
