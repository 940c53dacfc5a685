"""Timelines as a picture, by matplotlib (extra `viz`): who was at which item when."""

from __future__ import annotations

import colorsys
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from minipipe.errors import MissingExtraError
from minipipe.observe.timeline import Span, Timeline, Track
from minipipe.protocol.delivery.numbering import place_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BUSY, STARVED, BLOCKED, START = "#2f7dd1", "#d3d8de", "#e5a03c", "#eceef0"
FEW = 200  # so few items: each has a colour of its own
MOST = 4000  # spans of one worker in a picture: it has no more pixels
WIDE_INCHES, ROW_INCHES = 9.0, 0.30
HIGH, SLIM = 0.78, 0.34  # of a row: who works, who waits
DPI = 110
DIGIT = 0.0135  # of the width, for one digit of an item's number
LEGEND = "a colour: an item at work; grey: starved; orange: blocked"


def picture_of(
    timelines: Sequence[tuple[str, Timeline]], kind: str, axis: str = "seconds"
) -> bytes:
    """The file of a picture of these timelines, one below the other, on one scale.

    Args:
        timelines: each with its title; "" for none.
        kind: "png", "svg" or "pdf".
        axis: what stands below it.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("matplotlib", "a picture of the timeline", "viz") from error
    heights = [0.9 + ROW_INCHES * len(timeline.tracks) for _, timeline in timelines]
    figure = Figure(figsize=(WIDE_INCHES, sum(heights)), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    lasted_s = max((_lasted_ns(timeline) / 1e9 for _, timeline in timelines), default=1.0)
    all_axes: Any = figure.subplots(
        len(timelines), 1, squeeze=False, gridspec_kw={"height_ratios": heights}
    )
    for (title, timeline), axes in zip(timelines, all_axes[:, 0], strict=True):
        _draw(axes, timeline, lasted_s)
        axes.set_title(title.replace("$", r"\$"), loc="left", fontsize=11, fontweight="bold")
        axes.set_xlim(0, lasted_s)
    all_axes[-1, 0].set_xlabel(f"{axis} ({LEGEND})", fontsize=9)
    out = io.BytesIO()
    # Nothing of the machine or the time in it: the same run gives the same file.
    figure.savefig(out, format=kind, metadata={"Date": None} if kind == "svg" else None)
    return out.getvalue()


def _lasted_ns(timeline: Timeline) -> int:
    return max(1, timeline.ended_ns - timeline.began_ns)


def _draw(axes: Axes, timeline: Timeline, wide_s: float) -> None:
    items = sorted({s.number for t in timeline.tracks for s in t.spans if s.number is not None})
    place = {number: i for i, number in enumerate(items)} if len(items) <= FEW else {}
    for row, track in enumerate(timeline.tracks):
        _draw_track(axes, row, track, timeline, place, wide_s)
    axes.set_ylim(len(timeline.tracks) - 0.4, -0.6)
    names = [track.name.replace("$", r"\$") for track in timeline.tracks]
    axes.set_yticks(range(len(timeline.tracks)), names)
    axes.tick_params(left=False, labelsize=9)
    axes.set_axisbelow(True)
    axes.grid(axis="x", color="#e4e7ea", linewidth=0.8)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)


def _draw_track(
    axes: Axes,
    row: int,
    track: Track,
    timeline: Timeline,
    place: dict[int, int],
    wide_s: float,
) -> None:
    began_ns = timeline.began_ns
    if track.born_ns and track.spans:
        begin = (track.born_ns - began_ns) / 1e9
        lasted = (track.spans[0].begin_ns - track.born_ns) / 1e9
        axes.broken_barh([(begin, lasted)], (row - HIGH / 2, HIGH), color=START)
    works: list[tuple[tuple[float, float], str]] = []  # each with its colour
    waits: list[tuple[tuple[float, float], str]] = []
    for span in _pieces(track.spans, began_ns, _lasted_ns(timeline) // MOST):
        at = ((span.begin_ns - began_ns) / 1e9, span.lasted_ns / 1e9)
        match span.mostly:
            case "busy":
                number = None if span.number is None else place.get(span.number)
                works.append((at, BUSY if number is None else item_color(number)))
                text = "" if number is None else str(place_of(span.number or 0))
                if text and at[1] > DIGIT * len(text) * wide_s:
                    style: dict[str, Any] = {"ha": "center", "va": "center", "color": "white"}
                    axes.text(at[0] + at[1] / 2, row, text, fontsize=8, clip_on=True, **style)
            case "starved":
                waits.append((at, STARVED))
            case "blocked":
                waits.append((at, BLOCKED))
    for high, bars in ((SLIM, waits), (HIGH, works)):
        for is_long in (False, True):  # the seam between two long ones would hide short ones
            its = [bar for bar in bars if (bar[0][1] > wide_s / 150) == is_long]
            about: dict[str, Any] = {"facecolors": [color for _, color in its]}
            about |= {"edgecolor": "white", "linewidth": 0.6} if is_long else {"linewidth": 0.0}
            # One collection of all, as each takes milliseconds.
            axes.broken_barh([at for at, _ in its], (row - high / 2, high), **about)
    if track.end == "died" and track.gone_ns is not None:
        at_s = (track.gone_ns - began_ns) / 1e9
        axes.plot([at_s], [row], marker="x", color="#d1242f", markersize=7, markeredgewidth=2)


def _pieces(spans: Sequence[Span], began_ns: int, least_ns: int) -> Sequence[Span]:
    """The spans; where they are too short to be seen, several of them as one."""
    if len(spans) <= MOST:
        return spans
    out: list[Span] = []
    for span in spans:
        if out and span.end_ns - out[-1].begin_ns <= least_ns:
            last = out[-1]
            parts = (last.busy_ns + span.busy_ns, last.starved_ns + span.starved_ns)
            blocked_ns, calls = last.blocked_ns + span.blocked_ns, last.calls + span.calls
            out[-1] = Span(last.begin_ns, span.end_ns, *parts, blocked_ns, calls)
        else:
            out.append(span)
    return out


def item_color(place: int) -> str:
    """A colour for an item, far from those of its neighbours."""
    red, green, blue = colorsys.hls_to_rgb((place * 137.508 % 360) / 360, 0.52, 0.5)
    return f"#{round(255 * red):02x}{round(255 * green):02x}{round(255 * blue):02x}"
