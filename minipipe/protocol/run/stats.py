"""What every worker counts, and the words that these numbers are shown in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class WorkerStats:
    """The counters of one worker at one moment; items since the start of the run."""

    worker: str
    segment: str
    pid: int
    state: str  # "starting", "running", "done", "gone", "died"
    items_in: int
    items_out: int
    dropped: int  # None, or a skipped failure: not passed on
    confirmed: int  # as a sender: settled by those who received; as a receiver: confirmed
    kept_items: int  # as a sender: sent and not yet confirmed
    kept_bytes: int
    kept_peak_items: int
    kept_peak_bytes: int
    parcels_out: int  # messages that its items went in
    queued_items: int  # arrived and not taken up
    item: int | None  # the number of the item in the functor now
    path: tuple[int, ...] = ()  # by which outputs of segments with several it came
    workers: int = 1  # those who died long ago, in one place, are counted together

    def plus(self, later: WorkerStats) -> WorkerStats:
        """This one and one that took its place later, who both died, as one."""
        return replace(
            later,
            items_in=self.items_in + later.items_in,
            items_out=self.items_out + later.items_out,
            dropped=self.dropped + later.dropped,
            confirmed=self.confirmed + later.confirmed,
            kept_peak_items=max(self.kept_peak_items, later.kept_peak_items),
            kept_peak_bytes=max(self.kept_peak_bytes, later.kept_peak_bytes),
            parcels_out=self.parcels_out + later.parcels_out,
            workers=self.workers + later.workers,
        )


@dataclass(frozen=True, slots=True)
class RunStats:
    """All workers of a run."""

    state: str
    seconds: float
    workers: tuple[WorkerStats, ...]

    def __iter__(self) -> Iterator[WorkerStats]:
        return iter(self.workers)

    def __getitem__(self, worker: str) -> WorkerStats:
        for stats in reversed(self.workers):  # the one that took the place of a dead one
            if stats.worker == worker:
                return stats
        raise KeyError(worker)

    def segment(self, name: str) -> tuple[WorkerStats, ...]:
        """The workers of one segment."""
        return tuple(w for w in self.workers if w.segment == name)

    def __str__(self) -> str:
        rows: list[tuple[str, ...]] = [
            ("worker", "state", "in", "out", "dropped", "confirmed", "kept", "queued")
        ]
        rows += [
            (
                w.worker,
                w.state if w.workers <= 1 else f"{w.state} ({w.workers})",
                *map(str, (w.items_in, w.items_out, w.dropped, w.confirmed)),
                *map(str, (w.kept_items, w.queued_items)),
            )
            for w in self.workers
        ]
        widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
        lines = [
            "  ".join(
                cell.ljust(width) if i < 2 else cell.rjust(width)
                for i, (cell, width) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in rows
        ]
        return "\n".join([f"{self.state} for {self.seconds:.1f} s", *lines])
