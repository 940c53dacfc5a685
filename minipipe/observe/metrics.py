"""The counters of a run as Prometheus reads them, served on loopback.

Names are by its conventions (base units, `_total` for what only grows).  Labels have a value for
each segment, and each machine where others may join, and no more: nothing by item, process or
worker, which would grow without bound.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

from minipipe.errors import MissingExtraError, OptionError
from minipipe.observe.load import SegmentFacts
from minipipe.protocol.delivery.membership import LOCAL_HOST
from minipipe.protocol.run.durations import by_powers_of_four, plus, sum_s
from minipipe.protocol.run.stats import TIMES, RunStats, WorkerStats

if TYPE_CHECKING:
    from threading import Thread
    from wsgiref.simple_server import WSGIServer

    from prometheus_client.core import Metric

LOOPBACK = "127.0.0.1"
STATES = ("starting", "running", "done")


class Server(Protocol):
    """What serves metrics, until it is closed."""

    port: int

    def close(self) -> None:
        """Serves nothing any more."""


class Collector:
    """Gives all metrics of one run, whenever it is asked (a collector of prometheus-client's).

    Args:
        has_hosts: other machines may join the run.  From the beginning, as a counter that gets one
            more label is another one to Prometheus, which starts again at nothing.
    """

    def __init__(
        self,
        stats: Callable[[], RunStats],
        facts: Sequence[SegmentFacts],
        has_hosts: bool = False,
    ) -> None:
        self._stats = stats
        self._segments = tuple(fact.name for fact in facts)
        self._has_hosts = has_hosts
        self._names = ("segment", "host") if has_hosts else ("segment",)

    def collect(self) -> Iterator[Metric]:
        from prometheus_client.core import (
            CounterMetricFamily,
            GaugeMetricFamily,
            HistogramMetricFamily,
        )

        stats = self._stats()
        groups = self._groups(stats)
        for name, text, count in _COUNTERS:
            family = CounterMetricFamily(f"minipipe_{name}", text, labels=self._names)
            for labels, workers in groups.items():
                family.add_metric(labels, sum(count(w) for w in workers))
            yield family
        times = CounterMetricFamily(
            "minipipe_worker_seconds",
            "What the time of workers went to: the functor (busy), waiting for input (starved) or "
            "for room downstream (blocked), MiniPipe itself (own).",
            labels=(*self._names, "activity"),
        )
        for labels, workers in groups.items():
            for activity in TIMES:
                spent_s = sum(getattr(w, f"{activity}_s") for w in workers)
                times.add_metric([*labels, activity], spent_s)
        yield times
        calls = HistogramMetricFamily(
            "minipipe_functor_seconds",
            "How long calls of the functor took (a sample of them, if they take less than 50 us).",
            labels=self._names,
        )
        for labels, workers in groups.items():
            counts: tuple[int, ...] = ()
            for worker in workers:
                counts = plus(counts, worker.durations)
            buckets = [(str(end_s), float(n)) for end_s, n in by_powers_of_four(counts)]
            calls.add_metric(labels, [*buckets, ("+Inf", float(sum(counts)))], sum_s(counts))
        yield calls
        for name, text, count in _GAUGES:
            gauge = GaugeMetricFamily(f"minipipe_{name}", text, labels=self._names)
            for labels, workers in groups.items():
                living = [w for w in workers if w.state in STATES]
                gauge.add_metric(labels, sum(count(w) for w in living))
            yield gauge
        there = GaugeMetricFamily(
            "minipipe_workers", "Workers by how far they are.", labels=(*self._names, "state")
        )
        for labels, workers in groups.items():
            for state in STATES:
                there.add_metric([*labels, state], sum(w.state == state for w in workers))
        yield there
        if self._has_hosts:
            yield from _links(stats)
        yield GaugeMetricFamily(
            "minipipe_run_seconds", "How long the run has taken so far.", value=stats.seconds
        )

    def _groups(self, stats: RunStats) -> dict[tuple[str, ...], list[WorkerStats]]:
        """All workers, those of one segment (on one machine) together, by what they are labelled.

        (A worker that is being started here has no process yet, and so is on no machine.)
        """
        if not self._has_hosts:
            return {(name,): list(stats.segment(name)) for name in self._segments}
        groups: dict[tuple[str, ...], list[WorkerStats]] = {}
        for name in self._segments:
            for worker in stats.segment(name):
                groups.setdefault((name, worker.host or LOCAL_HOST), []).append(worker)
        return groups


def _links(stats: RunStats) -> Iterator[Metric]:
    from prometheus_client.core import CounterMetricFamily

    names = ("host", "direction")
    sent = CounterMetricFamily(
        "minipipe_link_bytes",
        "What went over the link to a machine (to), and from it to all others (from).",
        None,
        names,
    )
    busy = CounterMetricFamily(
        "minipipe_link_seconds", "How long something was under way on that link.", None, names
    )
    for link in stats.links:
        sent.add_metric([link.host, "to"], link.to_bytes)
        sent.add_metric([link.host, "from"], link.from_bytes)
        busy.add_metric([link.host, "to"], link.to_s)
        busy.add_metric([link.host, "from"], link.from_s)
    yield sent
    yield busy


Count = Callable[[WorkerStats], float]
_COUNTERS: tuple[tuple[str, str, Count], ...] = (
    ("items_in", "Items taken into work.", lambda w: w.items_in),
    ("items_out", "Items passed on.", lambda w: w.items_out),
    ("items_dropped", "Items that were not passed on: None, or skipped.", lambda w: w.dropped),
    ("items_failed", "Items at which the functor failed.", lambda w: w.failed),
    ("items_skipped", "Items that were left out: failures, and poison.", lambda w: w.skipped),
    ("received_bytes", "Size of items that came, as they lie in memory.", lambda w: w.bytes_in),
    ("sent_bytes", "Size of items passed on.", lambda w: w.bytes_out),
    ("messages", "Messages sent.", lambda w: w.messages_out),
    ("worker_cpu_seconds", "Processor time of workers.", lambda w: w.cpu_s),
    (
        "worker_core_wait_seconds",
        "Time that main threads of workers were ready to run and had no core.",
        lambda w: w.core_wait_s,
    ),
    (
        "worker_deaths",
        "Workers that died.",
        lambda w: w.workers if w.state == "died" else 0,
    ),
)
_GAUGES: tuple[tuple[str, str, Count], ...] = (
    ("queued_items", "Items that have arrived and wait for a worker.", lambda w: w.queued_items),
    ("kept_items", "Items sent and not yet confirmed by who keeps them.", lambda w: w.kept_items),
    (
        "worker_memory_bytes",
        "Memory of workers' own, without files and shared memory.",
        lambda w: w.memory_bytes,
    ),
)


def serve(
    stats: Callable[[], RunStats], facts: Sequence[SegmentFacts], port: int, has_hosts: bool
) -> Server:
    """Serves the metrics of a run on loopback, by a thread of its own.

    Args:
        has_hosts: as of `Collector`.
        port: 0: any that is free.

    Raises:
        MissingExtraError: prometheus-client is not installed.
        OptionError: the port is taken.
    """
    try:
        from prometheus_client import CollectorRegistry, start_http_server
    except ImportError as error:
        raise MissingExtraError("prometheus-client", "run(metrics_port=...)", "metrics") from error
    registry = CollectorRegistry()
    registry.register(Collector(stats, facts, has_hosts))
    try:
        server, thread = start_http_server(port, addr=LOOPBACK, registry=registry)
    except OSError as error:
        raise OptionError(
            f"metrics_port={port} of run cannot be had: {error.strerror or error} (does another "
            "run serve its metrics there?)"
        ) from error
    thread.name = "minipipe-metrics"
    return _Http(server, thread)


class _Http:
    def __init__(self, server: WSGIServer, thread: Thread) -> None:
        self._server = server
        self._thread = thread
        self.port: int = server.server_port

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
