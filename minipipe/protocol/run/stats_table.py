"""The counters of a run as two tables that fit a terminal of 80 columns.

(The column of machines, which is there if there are several, may take some more.)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

NAME = 15  # columns of a name, at most
HOST = 12  # columns of a machine, at most
QUICK_NOTE = "p50, p95, p99: of a sample of the calls, where these take less than 50 us"
SAMPLED = 0.9  # fewer of its items were timed: it was a sample
_TIMES = ("in", "out", "busy", "starved", "blocked", "own", "p50", "p95", "p99")
_REST = ("state", "drop", "fail", "queue", "kept", "died", "B in", "B out", "memory", "cpu")


class Counted(Protocol):
    """A worker, or a segment."""

    @property
    def worker(self) -> str: ...
    @property
    def state(self) -> str: ...
    @property
    def host(self) -> str: ...
    @property
    def items_in(self) -> int: ...
    @property
    def items_out(self) -> int: ...
    @property
    def dropped(self) -> int: ...
    @property
    def failed(self) -> int: ...
    @property
    def queued_items(self) -> int: ...
    @property
    def kept_items(self) -> int: ...
    @property
    def restarts(self) -> int: ...
    @property
    def bytes_in(self) -> int: ...
    @property
    def bytes_out(self) -> int: ...
    @property
    def memory_bytes(self) -> int: ...
    @property
    def cpu_s(self) -> float: ...
    @property
    def shares(self) -> tuple[str, ...]: ...
    @property
    def timed_calls(self) -> int: ...
    @property
    def p50_s(self) -> float | None: ...
    @property
    def p95_s(self) -> float | None: ...
    @property
    def p99_s(self) -> float | None: ...


class Segment(Protocol):
    """A segment, with its workers."""

    @property
    def name(self) -> str: ...
    @property
    def total(self) -> Counted: ...
    @property
    def workers(self) -> Sequence[Counted]: ...


def table(segments: Sequence[Segment]) -> list[str]:
    """Lines: what each segment, and each of several workers, did in its time; then the rest."""
    rows = [row for segment in segments for row in _rows(segment)]
    times = [(name, *_times(of)) for name, of in rows]
    titles: tuple[str, ...] = ("segment", *_REST)
    rest = [(name, *_rest(of)) for name, of in rows]
    if len({w.host for segment in segments for w in segment.workers if w.host}) > 1:
        titles = (*titles, "host")
        hosts = (_short(of.host, HOST) or "-" for _, of in rows)
        rest = [(*row, host) for row, host in zip(rest, hosts, strict=True)]
    lines = [*_aligned(("segment", *_TIMES), times), "", *_aligned(titles, rest)]
    if any(_is_sampled(segment.total) for segment in segments):
        lines += ["", QUICK_NOTE]
    return lines


def _rows(segment: Segment) -> Iterator[tuple[str, Counted]]:
    yield _short(segment.name), segment.total
    if len(segment.workers) > 1:
        for worker in segment.workers:
            place = worker.worker.removeprefix(segment.name) or worker.worker
            yield f"  {_short(place, NAME - 2)}", worker


def shown_hosts(hosts: Sequence[str]) -> str:
    """The machines of a segment, in a column.

    >>> shown_hosts(["local"]), shown_hosts(["a", "b"]), shown_hosts([])
    ('local', '2 hosts', '')
    """
    return f"{len(hosts)} hosts" if len(hosts) > 1 else "".join(hosts)


def _short(name: str, limit: int = NAME) -> str:
    return name if len(name) <= limit else f"{name[: limit - 1]}…"


def _times(of: Counted) -> tuple[str, ...]:
    quantiles = (of.p50_s, of.p95_s, of.p99_s)
    return (count(of.items_in), count(of.items_out), *of.shares, *map(seconds, quantiles))


def _rest(of: Counted) -> tuple[str, ...]:
    counts = (of.dropped, of.failed, of.queued_items, of.kept_items, of.restarts)
    sizes = (of.bytes_in, of.bytes_out, of.memory_bytes)
    return (of.state, *map(count, counts), *map(count, sizes), f"{count(round(of.cpu_s))}s")


def _is_sampled(of: Counted) -> bool:
    return 0 < of.timed_calls < SAMPLED * max(of.items_in, of.items_out)


def _aligned(titles: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(titles, *rows, strict=True)]
    return [
        " ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in (titles, *rows)
    ]


def count(number: int) -> str:
    """In five characters at most.

    >>> count(99_999), count(1_234_567), count(2_500_000_000)
    ('99999', '1.23M', '2.5G')
    """
    if number < 100_000:
        return str(number)
    for unit in ("k", "M", "G", "T", "P"):
        number_of = number / 1000
        if number_of < 999.5 or unit == "P":
            return f"{number_of:.3g}{unit}"
        number = int(number_of)
    return str(number)


def seconds(value: float | None) -> str:
    """In six characters at most.

    >>> [seconds(value) for value in (None, 5e-7, 0.00123, 0.25, 12.3, 3600.0)]
    ['-', '0.5us', '1.2ms', '250ms', '12s', '3600s']
    """
    if value is None:
        return "-"
    for unit, factor in (("us", 1e6), ("ms", 1e3)):
        scaled = value * factor
        if scaled < 999.5:
            return f"{scaled:.1f}{unit}" if scaled < 9.95 else f"{scaled:.0f}{unit}"
    return f"{value:.1f}s" if value < 9.95 else f"{value:.0f}s"
