"""A timeline in Chrome's trace format, which ui.perfetto.dev and chrome://tracing show.

(The format: "Trace Event Format", a document of the Chromium project.)  A segment is a process
there, and a worker a thread of it.  Times are microseconds since the run began.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from minipipe.observe.timeline import Span, Timeline, Track
from minipipe.protocol.delivery.numbering import pass_of, place_of
from minipipe.version import __version__

# By the names that Chrome has for colours.
COLORS = {"busy": "good", "starved": "grey", "blocked": "terrible", "own": "bad", "start": "white"}
Event = dict[str, Any]


def document(timeline: Timeline | None) -> Iterator[bytes]:
    """The file, in pieces; None: of a run that goes on, and about which nothing is known yet."""
    head = {"minipipe": __version__, "state": "ended"}
    if timeline is None:
        head["state"] = "running"
    elif timeline.forgotten:
        head["forgotten"] = f"{timeline.forgotten} workers that died early"
    yield b'{"displayTimeUnit":"ms","otherData":' + _json(head) + b',"traceEvents":['
    before = b"\n"
    for event in events(timeline) if timeline is not None else ():
        yield before + _json(event)
        before = b",\n"
    yield b"\n]}\n"


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def events(timeline: Timeline) -> Iterator[Event]:
    """What each worker was, and did."""
    for place, name in enumerate(timeline.segments, 1):
        about = {"ph": "M", "pid": place}
        yield {**about, "name": "process_name", "args": {"name": name}}
        yield {**about, "name": "process_sort_index", "args": {"sort_index": place}}
    names = {track.ident: track.worker for track in timeline.tracks}
    places = {name: place for place, name in enumerate(timeline.segments, 1)}
    next_tid = max(names, default=0) + 1  # of the threads of workers
    for place, track in enumerate(timeline.tracks):
        where = {"pid": places[track.segment], "tid": track.ident}
        if track.thread:
            where["tid"], next_tid = next_tid, next_tid + 1
        name = f"{track.name} (pid {track.pid})" if track.pid else track.name
        about = {"ph": "M", **where}
        yield {**about, "name": "thread_name", "args": {"name": name}}
        yield {**about, "name": "thread_sort_index", "args": {"sort_index": place}}
        yield from _events_of(track, where, timeline, names)


def _events_of(
    track: Track, where: Event, timeline: Timeline, names: dict[int, str]
) -> Iterator[Event]:
    began_ns = timeline.began_ns
    if track.born_ns:
        until_ns = track.spans[0].begin_ns if track.spans else track.gone_ns or timeline.ended_ns
        yield _slice("start", Span(track.born_ns, until_ns), where, began_ns, {})
    for span in track.spans:
        name, args = span.mostly, _args(span, track, names)
        yield _slice(f"{name} (sampled)" if span.is_sampled else name, span, where, began_ns, args)
    if track.end == "died" and track.gone_ns is not None:
        at_us = (track.gone_ns - began_ns) / 1e3
        yield {"ph": "i", **where, "name": "died", "s": "t", "ts": at_us}


def _slice(name: str, span: Span, where: Event, began_ns: int, args: Event) -> Event:
    about = {"ph": "X", **where, "name": name, "cname": COLORS[name.partition(" ")[0]]}
    times = {"ts": (span.begin_ns - began_ns) / 1e3, "dur": max(0, span.lasted_ns) / 1e3}
    return {**about, **times, "args": args} if args else {**about, **times}


def _args(span: Span, track: Track, names: dict[int, str]) -> Event:
    if span.number is not None:
        origin = names.get(span.origin or track.ident, "?")
        args: Event = {"item": place_of(span.number), "of": origin}
        if pass_of(span.number):
            args["pass"] = pass_of(span.number)
        return args
    if not span.is_sampled:
        return {}
    parts = {"busy": span.busy_ns, "starved": span.starved_ns, "blocked": span.blocked_ns}
    args = {f"{name} %": round(100 * part / span.lasted_ns, 1) for name, part in parts.items()}
    if span.calls:
        args["timed calls"] = span.calls
    return args
