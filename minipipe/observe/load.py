"""How much of a segment's time went to what: what verdicts and views are made of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from minipipe.protocol.delivery.membership import LOCAL_HOST
from minipipe.protocol.frozen import frozen
from minipipe.protocol.run.stats import RunStats, WorkerStats, hosts_of


@frozen
class SegmentFacts:
    """What is known of a segment before it runs.

    Attributes:
        kind: "source", "transform", "regulator", "sink" or "caller".
        scalable: whether it may have more workers than it has.
        length: how many items it makes, where a Source knows.
        writable: it gets copies of arrays, to write into.
        asked: how many workers it is to have; 0: unknown.
    """

    name: str
    kind: str
    scalable: bool = True
    length: int | None = None
    writable: bool = False
    asked: int = 0


@frozen
class SegmentLoad:
    """What all workers of a segment have done together; seconds are sums over them."""

    name: str
    kind: str
    scalable: bool
    workers: int
    items_in: int
    items_out: int
    busy_s: float = 0.0  # in the user's code
    starved_s: float = 0.0
    blocked_s: float = 0.0
    own_s: float = 0.0  # MiniPipe itself
    cpu_s: float = 0.0
    core_wait_s: float = 0.0  # ready to run, without a core
    queued: int = 0
    dropped: int = 0
    deaths: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    writable: bool = False
    hosts: tuple[str, ...] = ()  # the machines that its workers are on, this one first
    staged_s: float = 0.0  # copying to pinned memory, for a GPU
    own_copies: bool = False  # a worker uses CUDA, and copies to it without `minipipe.torch`
    cpu_elsewhere_s: float = 0.0  # of cpu_s, what was used on other machines
    missing: int = 0  # workers that it is to have beside these: they wait for a machine

    @property
    def items(self) -> int:
        """How many it has worked on."""
        return self.items_in or self.items_out

    @property
    def life_s(self) -> float:
        """How long its workers were at work, one after the other."""
        return self.busy_s + self.starved_s + self.blocked_s + self.own_s

    @property
    def cpu_here_s(self) -> float:
        """What it has used of this machine's cores."""
        return self.cpu_s - self.cpu_elsewhere_s

    def share(self, part_s: float) -> float:
        """What part of its workers' time this is."""
        return part_s / self.life_s if self.life_s else 0.0

    def minus(self, earlier: SegmentLoad) -> SegmentLoad:
        """What it has done since then."""
        return SegmentLoad(
            self.name,
            self.kind,
            self.scalable,
            self.workers,
            self.items_in - earlier.items_in,
            self.items_out - earlier.items_out,
            max(0.0, self.busy_s - earlier.busy_s),
            max(0.0, self.starved_s - earlier.starved_s),
            max(0.0, self.blocked_s - earlier.blocked_s),
            max(0.0, self.own_s - earlier.own_s),
            max(0.0, self.cpu_s - earlier.cpu_s),
            max(0.0, self.core_wait_s - earlier.core_wait_s),
            self.queued,
            self.dropped,
            self.deaths,
            self.bytes_in - earlier.bytes_in,
            self.bytes_out - earlier.bytes_out,
            self.writable,
            self.hosts,
            max(0.0, self.staged_s - earlier.staged_s),
            self.own_copies,
            max(0.0, self.cpu_elsewhere_s - earlier.cpu_elsewhere_s),
            self.missing,
        )


def loads(stats: RunStats, facts: Sequence[SegmentFacts]) -> tuple[SegmentLoad, ...]:
    """The load of each segment since the start of the run, in the order of `facts`."""
    by_name: Mapping[str, list[WorkerStats]] = {fact.name: [] for fact in facts}
    for worker in stats.workers:
        if worker.segment in by_name:
            by_name[worker.segment].append(worker)
    return tuple(_load(fact, by_name[fact.name]) for fact in facts)


def _load(fact: SegmentFacts, workers: Iterable[WorkerStats]) -> SegmentLoad:
    workers = list(workers)
    # One that has no machine yet is none: 64, of which two had one, were busy for 3 %.
    count = sum(w.state != "died" and w.host != "" for w in workers) or len(workers)
    return SegmentLoad(
        fact.name,
        fact.kind,
        fact.scalable,
        # A dead one has one in its place, unless it was the end of the run.
        count,
        sum(w.items_in for w in workers),
        sum(w.items_out for w in workers),
        sum(w.busy_s for w in workers),
        sum(w.starved_s for w in workers),
        sum(w.blocked_s for w in workers),
        sum(w.own_s for w in workers),
        sum(w.cpu_s for w in workers),
        sum(w.core_wait_s for w in workers),
        sum(w.queued_items for w in workers),
        sum(w.dropped for w in workers),
        sum(w.workers for w in workers if w.state == "died"),
        sum(w.bytes_in for w in workers),
        sum(w.bytes_out for w in workers),
        fact.writable,
        hosts_of(workers),
        sum(w.staged_s for w in workers),
        any(w.own_copies for w in workers),
        sum(w.cpu_s for w in workers if w.host not in ("", LOCAL_HOST)),
        max(0, fact.asked - count),
    )
