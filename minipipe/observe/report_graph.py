"""The graph of a pipeline as SVG, made here: boxes from left to right, the hotter the busier."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass

from minipipe.observe.load import SegmentLoad
from minipipe.observe.progress import number

WIDE, HIGH = 164, 78  # of a box
APART, BETWEEN = 62, 26  # columns, and boxes of one column
MARGIN = 14
LONGEST = 20  # characters of a name; the tooltip has all of it
KINDS = {"caller": "your loop"}
PARTS = ("busy", "starved", "blocked", "own")


@dataclass(frozen=True, slots=True)
class Arrow:
    """From one segment to another, by their places; `is_back`: it closes a loop."""

    tail: int
    head: int
    is_back: bool = False


def columns(count: int, arrows: Sequence[Arrow]) -> list[int]:
    """The column of each segment: behind all that feed it, but by what closes a loop."""
    column = [0] * count
    forth = [arrow for arrow in arrows if not arrow.is_back and arrow.tail != arrow.head]
    for _ in range(count):  # as often as the longest way could need
        moved = False
        for arrow in forth:
            behind = column[arrow.tail] + 1
            if column[arrow.head] < behind < count:
                column[arrow.head], moved = behind, True
        if not moved:
            break
    return column


def rows(column: Sequence[int], arrows: Sequence[Arrow]) -> list[float]:
    """How far down each segment stands: as near to those that feed it as there is room."""
    row = [0.0] * len(column)
    for place in range(max(column, default=-1) + 1):
        members = [i for i, its in enumerate(column) if its == place]
        wish = {}
        for i in members:
            fed_by = [row[a.tail] for a in arrows if a.head == i and column[a.tail] < place]
            wish[i] = sum(fed_by) / len(fed_by) if fed_by else 0.0
        members.sort(key=lambda i: (wish[i], i))
        middle = sum(wish.values()) / len(wish) if wish else 0.0
        for j, i in enumerate(members):
            row[i] = middle + j - (len(members) - 1) / 2
    least = min(row, default=0.0)
    return [its - least for its in row]


def graph_svg(loads: Sequence[SegmentLoad], arrows: Sequence[Arrow], bottleneck: str) -> str:
    """The drawing.

    Args:
        loads: the segments, in the order of the pipeline.
        bottleneck: the name of one of them; "": none is.
    """
    column = columns(len(loads), arrows)
    row = rows(column, arrows)
    x = [float(MARGIN) + its * (WIDE + APART) for its in column]
    y = [MARGIN + its * (HIGH + BETWEEN) for its in row]
    loops = any(arrow.is_back for arrow in arrows)
    width = max(x, default=0) + WIDE + MARGIN
    height = max(y, default=0) + HIGH + MARGIN + 34 * loops
    parts = [
        f'<svg class="graph" viewBox="0 0 {width:g} {height:g}" width="{width:g}" '
        f'height="{height:g}" role="img" aria-label="the graph of the pipeline">',
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
        'markerHeight="7" orient="auto-start-reverse"><path d="M0 0L8 4L0 8z" class="tip"/>'
        "</marker></defs>",
    ]
    for arrow in arrows:
        tail, head = arrow.tail, arrow.head
        begin = (x[tail] + WIDE, y[tail] + HIGH / 2)
        end = (x[head], y[head] + HIGH / 2)
        if arrow.is_back or column[head] <= column[tail]:
            begin, end = (x[tail] + WIDE / 2, y[tail] + HIGH), (x[head] + WIDE / 2, y[head] + HIGH)
            low = max(begin[1], end[1]) + 30
            path = f"M{begin[0]:g} {begin[1]:g}C{begin[0]:g} {low:g} {end[0]:g} {low:g} "
            parts.append(f'<path class="arrow back" d="{path}{end[0]:g} {end[1] + 2:g}"/>')
            continue
        middle = (begin[0] + end[0]) / 2
        path = f"M{begin[0]:g} {begin[1]:g}C{middle:g} {begin[1]:g} {middle:g} {end[1]:g} "
        parts.append(f'<path class="arrow" d="{path}{end[0] - 2:g} {end[1]:g}"/>')
    for i, load in enumerate(loads):
        parts.append(_box(load, x[i], y[i], is_bottleneck=load.name == bottleneck))
    return "".join([*parts, "</svg>"])


def _box(load: SegmentLoad, x: float, y: float, *, is_bottleneck: bool) -> str:
    known = load.life_s > 0
    shares = {part: load.share(getattr(load, f"{part}_s")) for part in PARTS}
    about = [f"{load.name}: {KINDS.get(load.kind, load.kind)}, {_workers(load)}"]
    about += [f"{part} {share:.0%}" for part, share in shares.items() if known]
    kind = KINDS.get(load.kind, load.kind)
    under = f"{kind} × {load.workers}" if load.workers > 1 else kind  # noqa: RUF001 - for people
    lines = [
        f'<g class="node{" hot" if is_bottleneck else ""}" transform="translate({x:g} {y:g})">',
        f"<title>{html.escape(chr(10).join(about))}</title>",
        f'<rect class="card" width="{WIDE}" height="{HIGH}" rx="9"/>',
        f'<rect class="heat" width="{WIDE}" height="{HIGH}" rx="9" '
        f'fill-opacity="{0.75 * shares["busy"]:.3f}"/>',
        f'<text class="name" x="12" y="22">{html.escape(short(load.name))}</text>',
        f'<text class="kind" x="12" y="39">{html.escape(under)}</text>',
        f'<text class="kind" x="{WIDE - 12}" y="39" text-anchor="end">{_count(load)}</text>',
    ]
    if known:
        share = f"{shares['busy']:.0%} busy"
        lines.append(f'<text class="share" x="12" y="58">{share}</text>')
    at = 12.0
    for part, its in shares.items():
        wide = (WIDE - 24) * its
        if wide >= 0.5:
            lines.append(
                f'<rect class="{part}" x="{at:.1f}" y="65" width="{wide:.1f}" height="5"/>'
            )
        at += wide
    if is_bottleneck:
        lines.append(
            f'<text class="label" x="{WIDE - 12}" y="58" text-anchor="end">bottleneck</text>'
        )
    return "".join([*lines, "</g>"])


def _workers(load: SegmentLoad) -> str:
    return f"{load.workers} workers" if load.workers > 1 else "1 worker"


def _count(load: SegmentLoad) -> str:
    """How many items; of many, about how many."""
    for size, unit in ((10**9, "G"), (10**6, "M")):
        if load.items >= size:
            return f"{number(load.items / size)} {unit}"
    return f"{load.items:,}"


def short(name: str) -> str:
    """A name that fits into a box."""
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…"
