"""How far a run is, in numbers and in words: pure functions of its counters at two moments."""

from __future__ import annotations

from collections.abc import Sequence

from minipipe.observe.load import SegmentLoad
from minipipe.protocol.frozen import frozen

WINDOW_S = 3.0  # rates and shares are of the last seconds


@frozen
class Row:
    """A segment, as it is shown."""

    name: str
    items: int
    rate: float  # items a second
    busy: float  # of the time of its workers, the part in the user's code
    starved: float
    blocked: float
    queued: int
    workers: int
    dropped: int
    deaths: int
    hosts: tuple[str, ...] = ()  # the machines that it is on


@frozen
class Sight:
    """A run at one moment."""

    rows: tuple[Row, ...]
    elapsed_s: float
    total: int | None  # how many items its source makes
    done: int  # how many of them it has made
    left_s: float | None  # until it has made all, at this pace

    @property
    def is_spread(self) -> bool:
        """Whether it is on more than one machine."""
        return len({host for row in self.rows for host in row.hosts}) > 1

    @property
    def bottleneck(self) -> str:
        """The segment that is busiest; empty: none has begun."""
        return max(self.rows, key=lambda row: row.busy).name if self.rows else ""


class Progress:
    """Follows a run.

    Args:
        total: how many items its source makes, if that is known.
    """

    def __init__(self, total: int | None = None) -> None:
        self._total = total
        self._past: list[tuple[float, tuple[SegmentLoad, ...]]] = []

    def look(self, segments: Sequence[SegmentLoad], now_s: float) -> Sight:
        """Takes in the counters since the start.

        Args:
            now_s: since the start of the run.
        """
        self._past.append((now_s, tuple(segments)))
        while len(self._past) > 2 and self._past[1][0] <= now_s - WINDOW_S:
            self._past.pop(0)
        then_s, then = self._past[0]
        lasted_s = now_s - then_s
        if lasted_s <= 0:
            then_s, then, lasted_s = 0.0, tuple(s.minus(s) for s in segments), now_s
        rows = tuple(_row(s, s.minus(e), lasted_s) for s, e in zip(segments, then, strict=True))
        done = max((s.items for s in segments if s.kind == "source"), default=0)
        return Sight(rows, now_s, self._total, done, self._left_s(rows, segments, done))

    def _left_s(
        self, rows: Sequence[Row], segments: Sequence[SegmentLoad], done: int
    ) -> float | None:
        """By the source's pace, which all behind it set, but for what is under way."""
        rates = [row.rate for row, s in zip(rows, segments, strict=True) if s.kind == "source"]
        if self._total is None or not rates or max(rates) <= 0:
            return None
        return max(0, self._total - done) / max(rates)


def _row(now: SegmentLoad, lately: SegmentLoad, lasted_s: float) -> Row:
    return Row(
        now.name,
        now.items,
        max(0, lately.items) / lasted_s if lasted_s else 0.0,
        lately.share(lately.busy_s),
        lately.share(lately.starved_s),
        lately.share(lately.blocked_s),
        now.queued,
        now.workers,
        now.dropped,
        now.deaths,
        now.hosts,
    )


def in_words(sight: Sight) -> str:
    """A run at one moment, in one line."""
    parts = [f"running for {duration(sight.elapsed_s)}"]
    if sight.total:
        parts.append(f"{sight.done} of {sight.total} items ({sight.done / sight.total:.0%})")
        if sight.left_s is not None:
            parts.append(f"{duration(sight.left_s)} left")
    parts += [f"{row.name} {number(row.rate)}/s, {row.busy:.0%} busy" for row in sight.rows]
    return "; ".join(parts)


def duration(seconds: float) -> str:
    """Such as 12 s, 3:05, or 2:03:05."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def number(value: float) -> str:
    """With three digits that count, and thousands apart."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2g}"
