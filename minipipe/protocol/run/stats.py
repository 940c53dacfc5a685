"""What every worker counts, and the words that these numbers are shown in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import reduce
from typing import Any

from minipipe.protocol.delivery.membership import LOCAL_HOST
from minipipe.protocol.run.durations import plus, quantile_s
from minipipe.protocol.run.link_use import LinkUse
from minipipe.protocol.run.stats_table import shown_hosts, table

TIMES = ("busy", "starved", "blocked", "own")


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
    # Seconds since its work began; together, all of them.  0 inline, where there is nobody else.
    busy_s: float = 0.0  # in the user's code
    starved_s: float = 0.0  # it waited for input
    blocked_s: float = 0.0  # it waited for room downstream, or until what it sent was taken up
    own_s: float = 0.0  # MiniPipe itself: messages, encoding, decoding
    wakeups: int = 0  # how often it has waited
    messages_in: int = 0
    messages_out: int = 0
    # Of its process, as seen last; 0 of the caller's loop, and inline.
    cpu_s: float = 0.0  # of all its threads, since its start
    memory_bytes: int = 0  # of its own: without what lies in files and shared memory
    core_wait_s: float = 0.0  # its main thread was ready to run, and had no core; 0: unknown, too
    bytes_in: int = 0  # what came, as it lies in memory: of a slot of shared memory all of it
    bytes_out: int = 0  # what it has sent
    failed: int = 0  # calls that raised, and items that could not be read, or not be sent
    skipped: int = 0  # of these, what the run went on after; and poison
    restarts: int = 0  # how many workers have died in its place before it
    # How many calls of the functor took how long (`protocol.run.durations`); where it takes less
    # than 50 us, of a sample of them.  None of the caller's loop, and inline.
    durations: tuple[int, ...] = ()
    # Of the time in the user's code, and known of a worker at its end: copying arrays to pinned
    # memory, as `minipipe.torch` does where a GPU cannot copy from where they are.
    staged_s: float = 0.0
    own_copies: int = 0  # 1: its process uses CUDA, and `minipipe.torch` has copied nothing to it
    workers: int = 1  # those who died long ago, in one place, are counted together
    host: str = LOCAL_HOST  # the machine that it runs on; empty: it has no process yet

    @property
    def shares(self) -> tuple[str, ...]:
        """What its time went to, in the order of `TIMES`; adds up to 100 %, but for rounding."""
        times_s = (self.busy_s, self.starved_s, self.blocked_s, self.own_s)
        all_s = sum(times_s)
        return tuple(f"{time_s / all_s:.0%}" if all_s else "-" for time_s in times_s)

    @property
    def timed_calls(self) -> int:
        """Of how many calls the quantiles are."""
        return sum(self.durations)

    @property
    def p50_s(self) -> float | None:
        """Half of the calls of its functor took no longer; None: there was no call."""
        return quantile_s(self.durations, 0.5)

    @property
    def p95_s(self) -> float | None:
        """95 % of the calls of its functor took no longer."""
        return quantile_s(self.durations, 0.95)

    @property
    def p99_s(self) -> float | None:
        """99 % of the calls of its functor took no longer."""
        return quantile_s(self.durations, 0.99)

    def as_dict(self) -> dict[str, Any]:
        """All of it in plain types, as for JSON."""
        known = {field.name: getattr(self, field.name) for field in fields(self)}
        del known["durations"]
        known["path"] = list(self.path)
        quantiles = {"p50_s": self.p50_s, "p95_s": self.p95_s, "p99_s": self.p99_s}
        return {**known, "timed_calls": self.timed_calls, **quantiles}

    def plus(self, later: WorkerStats) -> WorkerStats:
        """This one and one that took its place later, as one."""
        return replace(
            later,
            items_in=self.items_in + later.items_in,
            items_out=self.items_out + later.items_out,
            dropped=self.dropped + later.dropped,
            confirmed=self.confirmed + later.confirmed,
            kept_peak_items=max(self.kept_peak_items, later.kept_peak_items),
            kept_peak_bytes=max(self.kept_peak_bytes, later.kept_peak_bytes),
            parcels_out=self.parcels_out + later.parcels_out,
            busy_s=self.busy_s + later.busy_s,
            starved_s=self.starved_s + later.starved_s,
            blocked_s=self.blocked_s + later.blocked_s,
            own_s=self.own_s + later.own_s,
            wakeups=self.wakeups + later.wakeups,
            messages_in=self.messages_in + later.messages_in,
            messages_out=self.messages_out + later.messages_out,
            cpu_s=self.cpu_s + later.cpu_s,
            core_wait_s=self.core_wait_s + later.core_wait_s,
            bytes_in=self.bytes_in + later.bytes_in,
            bytes_out=self.bytes_out + later.bytes_out,
            failed=self.failed + later.failed,
            skipped=self.skipped + later.skipped,
            staged_s=self.staged_s + later.staged_s,
            durations=plus(self.durations, later.durations),
            workers=self.workers + later.workers,
        )


@dataclass(frozen=True, slots=True)
class SegmentStats:
    """The workers of one segment, those that are gone included.

    Attributes:
        total: their counters together; of memory, that of the living ones.
        workers: each of them.
        hosts: the machines that they are on, this one first; of dead ones, if all are dead.
    """

    name: str
    total: WorkerStats
    workers: tuple[WorkerStats, ...]

    @property
    def hosts(self) -> tuple[str, ...]:
        return hosts_of(self.workers)

    def as_dict(self) -> dict[str, Any]:
        """All of it in plain types, as for JSON."""
        total = self.total.as_dict()
        for one in ("worker", "segment", "pid", "item", "path", "workers", "host"):
            del total[one]
        total["hosts"] = list(self.hosts)
        return {"name": self.name, **total, "workers": [w.as_dict() for w in self.workers]}


@dataclass(frozen=True, slots=True)
class RunStats:
    """All workers of a run, and the links to other machines, if there are any."""

    state: str
    seconds: float
    workers: tuple[WorkerStats, ...]
    links: tuple[LinkUse, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "workers", _with_restarts(self.workers))

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

    @property
    def segments(self) -> tuple[SegmentStats, ...]:
        """The workers of each segment, and their counters together."""
        names = dict.fromkeys(w.segment for w in self.workers)
        return tuple(SegmentStats(n, _total(self.segment(n)), self.segment(n)) for n in names)

    @property
    def hosts(self) -> tuple[str, ...]:
        """The machines that workers are on, this one first."""
        return hosts_of(self.workers)

    def as_dict(self) -> dict[str, Any]:
        """All of it in plain types, as for JSON."""
        segments = [segment.as_dict() for segment in self.segments]
        about = {"state": self.state, "seconds": self.seconds, "hosts": list(self.hosts)}
        return {**about, "links": [asdict(link) for link in self.links], "segments": segments}

    def __str__(self) -> str:
        lines = [f"{self.state} for {self.seconds:.1f} s", *table(self.segments)]
        if self.links:
            lines += ["", *map(str, self.links)]
        return "\n".join(lines)


def _with_restarts(workers: Sequence[WorkerStats]) -> tuple[WorkerStats, ...]:
    """Each with the number of those that have died in its place before."""
    died: dict[str, int] = {}
    counted = []
    for worker in workers:
        before = died.get(worker.worker, 0)
        counted.append(replace(worker, restarts=before) if before else worker)
        if worker.state == "died":
            died[worker.worker] = before + worker.workers
    return tuple(counted)


def hosts_of(workers: Sequence[WorkerStats]) -> tuple[str, ...]:
    """The machines that workers are on, this one first; of dead ones, if all are dead."""
    living = [w for w in workers if w.state != "died"]
    names = {w.host for w in living or workers if w.host}
    return tuple(sorted(names, key=lambda name: (name != LOCAL_HOST, name)))


def _total(workers: Sequence[WorkerStats]) -> WorkerStats:
    """The workers of a segment as one."""
    last = {w.worker: w for w in workers}  # in each place
    living = [w for w in last.values() if w.state not in ("gone", "died")]
    total = reduce(WorkerStats.plus, workers)
    return replace(
        total,
        worker=total.segment,
        state=(living or list(last.values()))[0].state,
        pid=0,
        item=None,
        path=(),
        workers=len(living) or len(last),
        host=shown_hosts(hosts_of(workers)),
        restarts=sum(w.restarts for w in last.values()),
        queued_items=sum(w.queued_items for w in workers),
        kept_items=sum(w.kept_items for w in workers),
        kept_bytes=sum(w.kept_bytes for w in workers),
        memory_bytes=sum(w.memory_bytes for w in living),
    )
