"""Tables of runs as plain text, for any width, where nothing can be drawn.

Pure functions of what was counted.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any

from minipipe.observe.progress import Row, Sight, duration, number

NARROW = 72  # columns; in a narrower terminal some give way
LEAST = 8  # characters of a name, however narrow it is
GAP = "  "
ON = 16  # characters for the machines of a segment, where the terminal has them beside NARROW


def table(head: Sequence[str], rows: Sequence[Sequence[str]], width: int, named: int) -> list[str]:
    """A table in lines: names on the left, numbers on the right.

    Args:
        width: of the terminal; one column is cut off to fit.
        named: the column that is.
    """
    cells = [tuple(map(visible, row)) for row in (head, *rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(head))]
    over = sum(widths) + len(GAP) * (len(widths) - 1) - width
    if over > 0:
        widths[named] = max(min(LEAST, widths[named]), widths[named] - over)
    lines = []
    for row in cells:
        parts = [
            short(cell, cut).ljust(cut) if i == named else cell.rjust(cut)
            for i, (cell, cut) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append(GAP.join(parts).rstrip())
    return lines


def visible(text: str) -> str:
    """Text that leaves the terminal as it is."""
    return "".join(c if c.isprintable() else "?" for c in text)


def short(text: str, width: int) -> str:
    """Text in so many characters: its end is what tells it from others."""
    return text if len(text) <= width else f"..{text[2 - width :]}"


def of_run(sight: Sight, verdict: str, width: int) -> list[str]:
    """One run: a line for each segment."""
    wide = width >= NARROW
    head = ["segment", "items", "items/s"]
    head += ["queued", "workers", "busy", "starved", "blocked"] if wide else ["busy"]
    rows = [_row(row, wide) for row in sight.rows]
    if width >= NARROW + 2 + ON and sight.is_spread:
        head.append("on")
        rows = [(*cells, on(row)) for cells, row in zip(rows, sight.rows, strict=True)]
    lines = table(head, rows, width, 0)
    for row in sight.rows:
        if row.dropped or row.deaths:
            words = [f"{row.dropped:,} dropped"] if row.dropped else []
            words += [f"{row.deaths} died"] if row.deaths else []
            lines += textwrap.wrap(f"{visible(row.name)}: {', '.join(words)}", width)
    if sight.total:
        line = f"{sight.done:,} of {sight.total:,} ({sight.done / sight.total:.0%})"
        left = "" if sight.left_s is None else f", {duration(sight.left_s)} left"
        lines += textwrap.wrap(line + left, width)
    return lines + textwrap.wrap(visible(verdict), width)


def _row(row: Row, wide: bool) -> tuple[str, ...]:
    counts = row.name, f"{row.items:,}", number(row.rate)
    if not wide:
        return *counts, f"{row.busy:.0%}"
    shares = (f"{share:.0%}" for share in (row.busy, row.starved, row.blocked))
    return *counts, f"{row.queued:,}", str(row.workers), *shares


def on(row: Row) -> str:
    """The machines that a segment is on, in a few characters."""
    names = ", ".join(row.hosts)
    return names if len(names) <= ON else f"{len(row.hosts)} hosts"


def of_runs(runs: Sequence[tuple[str, int, str, Sight | None]], width: int) -> list[str]:
    """Several runs, a line for each.

    Args:
        runs: name, pid, program, and how far it is; None: it does not answer.
    """
    wide = width >= NARROW
    head = ["program", "pid", *(("run",) if wide else ()), "for", "items/s"]
    head += ["busiest"] if wide else []
    rows = []
    for ident, pid, script, sight in runs:
        name = [ident] if wide else []
        if sight is None:
            row = [script, str(pid or "?"), *name, "no answer", "", *([""] if wide else [])]
        else:
            rate = number(max((row.rate for row in sight.rows), default=0.0))
            row = [script, str(pid), *name, duration(sight.elapsed_s), rate]
            row += [sight.bottleneck] if wide else []
        rows.append(row)
    return table(head, rows, width, 0)


def as_dict(sight: Sight) -> dict[str, Any]:
    """One run, for other programs: a dict for each segment."""
    return {
        "seconds": sight.elapsed_s,
        "total": sight.total,
        "segments": [
            {
                "name": row.name,
                "workers": row.workers,
                "items": row.items,
                "items_per_s": row.rate,
                "busy": row.busy,
                "starved": row.starved,
                "blocked": row.blocked,
                "queued": row.queued,
                "dropped": row.dropped,
                "deaths": row.deaths,
                "hosts": list(row.hosts),
            }
            for row in sight.rows
        ],
    }
