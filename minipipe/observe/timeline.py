"""What every worker of a run did when: pure data, and how it is made of what workers wrote down."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from minipipe.observe.span_buffer import BEGIN, CALLS, END, ITEM, LATE, ORIGIN, Record

NEARLY_ALL = 0.9  # in a wait that is one, a worker looks up now and then
ACTIVITIES = ("busy", "starved", "blocked")


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of a worker's time, in nanoseconds; what is none of the three is MiniPipe itself.

    Attributes:
        calls: how many calls of the functor it has, as far as they were timed one by one.
        number: of the item, if it is one call.
        origin: the id of the worker that numbered it.
    """

    begin_ns: int
    end_ns: int
    busy_ns: int = 0
    starved_ns: int = 0
    blocked_ns: int = 0
    calls: int = 0
    number: int | None = None
    origin: int = 0

    @property
    def lasted_ns(self) -> int:
        """How long it is."""
        return self.end_ns - self.begin_ns

    @property
    def own_ns(self) -> int:
        """How long MiniPipe itself took in it."""
        return self.lasted_ns - self.busy_ns - self.starved_ns - self.blocked_ns

    @property
    def is_sampled(self) -> bool:
        """Whether it is several things, of which it only tells the shares."""
        longest_ns = max(self.busy_ns, self.starved_ns, self.blocked_ns)
        return self.calls > 1 or longest_ns < NEARLY_ALL * self.lasted_ns

    @property
    def mostly(self) -> str:
        """What most of it went to: one of ACTIVITIES, or "own"."""
        parts = dict(zip(ACTIVITIES, (self.busy_ns, self.starved_ns, self.blocked_ns), strict=True))
        return max({**parts, "own": self.own_ns}.items(), key=lambda part: part[1])[0]


@dataclass(frozen=True, slots=True)
class Track:
    """One worker, or one of the threads that call its functor.

    Attributes:
        ident: of the worker.
        born_ns: when it began to start; 0: it never came so far.
        gone_ns: when its process had ended; None: it is there still.
        end: how it ended ("gone", "died"), or "running".
        spans: in order, none over another.
        thread: of the worker's, from 1 on, whose calls alone these are; 0: it is all of the worker.
        host: the other machine that it runs on; empty: it runs on this one.
    """

    ident: int
    segment: str
    worker: str
    pid: int
    born_ns: int
    gone_ns: int | None
    end: str
    spans: tuple[Span, ...]
    thread: int = 0
    host: str = ""

    @property
    def name(self) -> str:
        """What it is called."""
        name = f"{self.worker} thread {self.thread}" if self.thread else self.worker
        return f"{name} on {self.host}" if self.host else name


@dataclass(frozen=True, slots=True)
class Timeline:
    """All workers of a run, those of a segment together, in the order of the pipeline.

    Attributes:
        began_ns: when the run did; all times are of one clock.
        ended_ns: when it had ended, or now.
        segments: their names.
        forgotten: workers that died, and whose spans there was no room for.
    """

    began_ns: int
    ended_ns: int
    segments: tuple[str, ...]
    tracks: tuple[Track, ...]
    forgotten: int = 0


def since_first_call(timeline: Timeline) -> Timeline:
    """The same from the first call of a functor to the last: without the start of processes."""
    busy = [span for track in timeline.tracks for span in track.spans if span.busy_ns]
    if not busy:
        return timeline
    began_ns, ended_ns = min(s.begin_ns for s in busy), max(s.end_ns for s in busy)
    tracks = []
    for track in timeline.tracks:
        spans = tuple(s for s in track.spans if s.end_ns > began_ns and s.begin_ns < ended_ns)
        tracks.append(replace(track, born_ns=0, spans=spans))
    return replace(timeline, began_ns=began_ns, ended_ns=ended_ns, tracks=tuple(tracks))


def resolved(records: Iterable[Record]) -> tuple[Span, ...]:
    """The spans that a worker's records come to: in order, none over another."""
    spans: list[Span] = []
    late: list[tuple[int, int, int]] = []
    until = 0
    for record in records:
        if record[ORIGIN] == LATE:
            late.append((record[BEGIN], record[END], record[2]))
            continue
        begin, end = max(record[BEGIN], until), record[END]
        if end <= begin:
            continue
        until = end
        busy, starved, blocked = _fitting(record[2:CALLS], end - begin)
        calls, item = record[CALLS], record[ITEM]
        number = item - 1 if calls == 1 and item else None
        times = (begin, end, busy, starved, blocked)
        spans.append(Span(*times, calls, number, record[ORIGIN]))
    for begin, end, busy_ns in late:
        spans = _spread(spans, begin, end, busy_ns)
    return tuple(spans)


def _fitting(parts: Sequence[int], room: int) -> list[int]:
    """The parts of a stretch of time, made smaller if they are longer together."""
    total = sum(parts)
    return list(parts) if total <= room else [part * room // total for part in parts]


def _spread(spans: list[Span], begin: int, end: int, busy_ns: int) -> list[Span]:
    """Busy time that was found out later, over what others left of the time it belongs to."""
    first = bisect_right(spans, begin, key=lambda span: span.end_ns)
    last = first
    while last < len(spans) and spans[last].begin_ns < end:
        last += 1
    covered = spans[first:last]
    stretches = _with_gaps(covered, begin, end)
    room = sum(_own_within(span, begin, end) for span in stretches)
    share = min(1.0, busy_ns / room) if room > 0 else 0.0
    filled = [
        replace(span, busy_ns=span.busy_ns + int(share * _own_within(span, begin, end)))
        for span in stretches
    ]
    filled = [span for span in filled if span.busy_ns or span.starved_ns or span.blocked_ns]
    return [*spans[:first], *filled, *spans[last:]]


def _with_gaps(spans: Sequence[Span], begin: int, end: int) -> list[Span]:
    """The spans, and one for each time between them, from `begin` to `end`."""
    out: list[Span] = []
    for span in spans:
        if span.begin_ns > begin:
            out.append(Span(begin, span.begin_ns))
        out.append(span)
        begin = span.end_ns
    if end > begin:
        out.append(Span(begin, end))
    return out


def _own_within(span: Span, begin: int, end: int) -> int:
    """How much of a span's own time is between these, if it is even."""
    inside = min(span.end_ns, end) - max(span.begin_ns, begin)
    return span.own_ns * max(0, inside) // span.lasted_ns
