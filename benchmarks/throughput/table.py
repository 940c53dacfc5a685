"""The measurements in Markdown: one table for each size."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.throughput.cells import Cell
from benchmarks.throughput.contenders import MEMCPY
from benchmarks.throughput.verdicts import Cells

HEAD = """\
| | GB/s | items/s | of memcpy | CPU s/GB | peak PSS, MB | runs |
|---|--:|--:|--:|--:|--:|--:|"""
NOTES = """\
A source that has the arrays, an identity in a worker, a consumer that looks at one byte of each
page. GB are 1e9 bytes. Medians of the runs, which alternate. Time and CPU time (all processes, user
and system) are those between the first and the last item at the consumer; memory is PSS, all
processes together, interpreters and the source's own arrays (up to 77 MB) included, in a run of its
own. SPDL passes references between threads of one process; memcpy looks at nothing."""


def markdown(cells: Cells) -> str:
    """All tables, the versions, and what the numbers mean."""
    parts = [NOTES]
    for size, by_peer in cells.items():
        limit = by_peer[MEMCPY.name].rate() if MEMCPY.name in by_peer else None
        lines = [f"### {size}", "", HEAD]
        lines += [_line(name, cell, limit) for name, cell in by_peer.items()]
        parts.append("\n".join(lines))
    parts.append("Versions: " + ", ".join(_versions(cells)) + ".")
    return "\n\n".join(parts)


def _line(name: str, cell: Cell, limit: float | None) -> str:
    rate, items, cpu = cell.rate(), cell.items_per_s(), cell.cpu_s_per_gb()
    if rate is None or items is None:
        return f"| {name} | {cell.error or 'not measured'} | | | | | |"
    fields = [
        name,
        f"{rate / 1e9:.3g}",
        f"{items:,.0f}",
        f"{rate / limit:.2f}" if limit else "",
        f"{cpu:.3g}" if cpu is not None else "unknown",
        f"{cell.peak_bytes / 1e6:.0f}" if cell.peak_bytes is not None else "",
        f"{len(cell.runs)}{'' if cell.error is None else f', then: {cell.error}'}",
    ]
    return "| " + " | ".join(fields) + " |"


def _versions(cells: Mapping[str, Mapping[str, Cell]]) -> list[str]:
    """Each once, in the order of the peers."""
    found = [cell.version() for by_peer in cells.values() for cell in by_peer.values()]
    return list(dict.fromkeys(version for version in found if version))
