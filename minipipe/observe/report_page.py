"""The report of a run: one page that needs nothing else, no network either."""

from __future__ import annotations

import html
import json
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from minipipe.observe.load import SegmentLoad
from minipipe.observe.progress import duration
from minipipe.observe.report_graph import Arrow, graph_svg
from minipipe.observe.timeline import Timeline, Track
from minipipe.protocol.delivery.numbering import in_words
from minipipe.protocol.run.stats import TIMES, RunStats, WorkerStats
from minipipe.version import __version__

MIB = 2**20
NO_TIMELINE = (
    "Nobody has asked for a timeline of this run: <code>pline.run(trace=True)</code> has it shown "
    'here, <code>pline.run(trace="trace.json")</code> writes it to a file, too.'
)


ENDS = {
    "failed": "failed after",
    "interrupted": "was interrupted after",
    "stopped": "was stopped after",
}


@dataclass(frozen=True, slots=True)
class Report:
    """All that the page is about.

    Attributes:
        loads: the segments, in the order of the pipeline.
        timeline: None: nobody has asked for one.
        when: when the run began, in words.
        outcome: how it has ended; "": not yet.
    """

    loads: tuple[SegmentLoad, ...]
    arrows: tuple[Arrow, ...]
    stats: RunStats
    verdict: str
    bottleneck: str
    timeline: Timeline | None
    when: str
    outcome: str = ""


def page(report: Report) -> str:
    """The page, as HTML; whatever users call their segments is text in it."""
    names = " → ".join(load.name for load in report.loads)
    title = f"MiniPipe: {names if len(names) <= 80 else f'{len(report.loads)} segments'}"
    stats = report.stats
    state = ENDS.get(report.outcome, "took") if stats.state == "ended" else f"is {stats.state}, for"
    about = (
        f"{report.when}: the run {state} {_seconds(stats.seconds)}; "
        f"{sum(worker.workers for worker in stats.workers)} workers; MiniPipe {__version__}"
    )
    verdict = html.escape(report.verdict or "Nothing stands out as the bottleneck.")
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; \
style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:">
<link rel="icon" href="data:,">
<title>{html.escape(title)}</title>
<style>
{_asset("report.css")}</style>
</head>
<body>
<main>
<h1>{html.escape(title)}</h1>
<p class="about">{html.escape(about)}</p>
<p class="verdict">{verdict[:1].upper() + verdict[1:]}</p>
<section>
<h2>Segments</h2>
<div class="scroll">{graph_svg(report.loads, report.arrows, report.bottleneck)}</div>
{_legend()}
</section>
<section>
<h2>Timeline</h2>
{_timeline(report.timeline)}
</section>
<section>
<h2>Workers</h2>
<div class="scroll">{_table(stats)}</div>
</section>
</main>
</body>
</html>
"""


def _asset(name: str) -> str:
    return files("minipipe.observe").joinpath(name).read_text(encoding="utf-8")


def _seconds(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 60 else duration(seconds)


def _legend() -> str:
    words = {
        "busy": "in your functor",
        "starved": "waits for items",
        "blocked": "waits for room downstream",
        "own": "MiniPipe itself",
    }
    items = [f'<span><i class="{name}"></i>{name}: {text}</span>' for name, text in words.items()]
    return f'<p class="legend">{"".join(items)}</p>'


# ----------------------------------------------------------------------- the table
Cell = Callable[[WorkerStats], str]
_COLUMNS: tuple[tuple[str, Cell], ...] = (
    ("worker", lambda w: w.worker),
    ("state", lambda w: w.state if w.workers <= 1 else f"{w.state} ({w.workers})"),
    ("pid", lambda w: str(w.pid or "")),
    ("in", lambda w: f"{w.items_in:,}"),
    ("out", lambda w: f"{w.items_out:,}"),
    ("dropped", lambda w: f"{w.dropped:,}"),
    ("queued", lambda w: f"{w.queued_items:,}"),
    *((name, lambda w, place=place: w.shares[place]) for place, name in enumerate(TIMES)),
    ("CPU", lambda w: f"{w.cpu_s:.1f} s" if w.cpu_s else ""),
    ("memory", lambda w: f"{w.memory_bytes / MIB:.0f} MiB" if w.memory_bytes else ""),
)
TEXTS = 2  # so many of them are no numbers
_HOST: tuple[str, Cell] = ("host", lambda w: w.host)  # behind the name, if there are several


def _table(stats: RunStats) -> str:
    columns, texts = _COLUMNS, TEXTS
    if len(stats.hosts) > 1:
        columns, texts = (columns[0], _HOST, *columns[1:]), TEXTS + 1
    head = "".join(f'<th scope="col">{name}</th>' for name, _ in columns)
    body = []
    for worker in stats.workers:
        cells = [html.escape(cell(worker)) for _, cell in columns]
        tags = [f"<td>{text}</td>" for text in cells[1:texts]]
        tags += [f'<td class="number">{text}</td>' for text in cells[texts:]]
        body.append(f'<tr><th scope="row">{cells[0]}</th>{"".join(tags)}</tr>')
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table>"


# -------------------------------------------------------------------- the timeline
def _timeline(timeline: Timeline | None) -> str:
    if timeline is None:
        return f'<p class="hint">{NO_TIMELINE}</p>'
    lost = "Pale: a worker starts. A cross: it died."
    if timeline.forgotten:
        lost += f" {timeline.forgotten} workers that died early are not shown."
    # In a script element nothing but its end tag, and what begins like a comment, would end it.
    data = json.dumps(timeline_data(timeline), separators=(",", ":")).replace("<", "\\u003c")
    return f"""<div class="tools" role="toolbar" aria-label="timeline">
<button id="in" title="zoom in (+)">+</button>
<button id="out" title="zoom out (-)">&minus;</button>
<button id="all" title="all of it (0, or double click)">all</button>
<button id="colors" title="each item has a colour of its own (c)" aria-pressed="false">\
items in colour</button>
<span class="hint">wheel or pinch: zoom; drag: move; hover: what it is</span>
</div>
<div id="timeline"><canvas tabindex="0" role="img" aria-label="the timeline of each worker">\
</canvas><div id="tip" hidden></div></div>
<p class="hint">{lost}</p>
<noscript><p class="hint">The timeline is drawn by JavaScript.</p></noscript>
<script id="data" type="application/json">{data}</script>
<script>
{_asset("report.js")}</script>"""


def timeline_data(timeline: Timeline) -> dict[str, Any]:
    """What the page's script draws; times are whole microseconds since the run began.

    Of each span seven numbers: begin, how long, how long of that busy, starved, blocked, how many
    calls, and of one call the place of its item in `items`, + 1.
    """
    items: dict[str, int] = {}
    names = {track.ident: track.worker for track in timeline.tracks}
    tracks = [_track_data(track, timeline, names, items) for track in timeline.tracks]
    return {
        "end": _us(timeline.ended_ns - timeline.began_ns),
        "segments": list(timeline.segments),
        "tracks": tracks,
        "items": list(items),
    }


def _us(time_ns: int) -> int:
    return max(0, round(time_ns / 1000))


def _track_data(
    track: Track, timeline: Timeline, names: dict[int, str], items: dict[str, int]
) -> dict[str, Any]:
    began_ns = timeline.began_ns
    spans: list[int] = []
    for span in track.spans:
        item = 0
        if span.number is not None:
            origin = names.get(span.origin or track.ident, "?")
            name = f"item {in_words(span.number)} of {origin}"
            item = items.setdefault(name, len(items)) + 1
        times = (span.lasted_ns, span.busy_ns, span.starved_ns, span.blocked_ns)
        spans += (_us(span.begin_ns - began_ns), *map(_us, times), span.calls, item)
    gone_ns = timeline.ended_ns if track.gone_ns is None else track.gone_ns
    return {
        "segment": timeline.segments.index(track.segment),
        "name": track.name,
        "pid": track.pid,
        "born": _us(track.born_ns - began_ns) if track.born_ns else -1,
        "gone": _us(gone_ns - began_ns),
        "end": track.end,
        "spans": spans,
    }
