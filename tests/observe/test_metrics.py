"""Metrics, as Prometheus would scrape them."""

from __future__ import annotations

import json
import re
import socket
import sys
import threading
import time
import urllib.request
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

import minipipe as mp
from minipipe.observe.load import SegmentFacts
from minipipe.observe.metrics import LOOPBACK, Collector
from minipipe.protocol.run.link_use import LinkUse
from minipipe.protocol.run.stats import RunStats, WorkerStats
from minipipe.supervisor.counts import KEPT, LATE_S, Counts
from tests.conftest import wait_until

EXAMPLES = Path(__file__).parents[2] / "examples"


def work(item: int) -> int | None:
    time.sleep(0.01)
    return item if item % 2 else None


def scraped(port: int) -> dict[tuple[str, tuple[str, ...]], float]:
    """Every sample by its name and the values of its labels."""
    with urllib.request.urlopen(f"http://{LOOPBACK}:{port}/metrics", timeout=20) as answer:
        text = answer.read().decode()
    return {
        (sample.name, tuple(v for _, v in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def port_of(caplog: pytest.LogCaptureFixture) -> int:
    """Where the run that began last says that its metrics are."""
    said = [text for text in caplog.messages if text.startswith("metrics: ")]
    return int(said[-1].removesuffix("/metrics").rpartition(":")[2])


def test_counters_are_served_while_it_runs_and_not_afterwards(
    caplog: pytest.LogCaptureFixture,
) -> None:
    pline: Any = mp.PipeLine([mp.Source(range(40))])
    pline.add(mp.Transform(work, "work"), n_processes=2)
    pline.build(log_lvl="INFO").run(metrics_port=0)
    port = port_of(caplog)
    assert sorted(pline) == list(range(1, 40, 2))
    with pytest.raises(OSError, match="refused"):
        scraped(port)
    pline.run(metrics_port=0)
    port = port_of(caplog)
    loop = iter(pline)
    next(loop)
    made = ("minipipe_items_out_total", ("Source",))
    wait_until(lambda: scraped(port)[made] >= 1, "the Source's counter")  # it tells at times
    found = scraped(port)
    assert found["minipipe_workers", ("work", "running")] == 2
    assert found["minipipe_worker_seconds_total", ("busy", "work")] > 0
    assert found["minipipe_worker_memory_bytes", ("work",)] > 2**20
    assert found["minipipe_worker_deaths_total", ("work",)] == 0
    assert found["minipipe_run_seconds", ()] > 0
    assert found["minipipe_sent_bytes_total", ("Source",)] > 0
    assert found["minipipe_functor_seconds_bucket", ("+Inf", "work")] > 0
    assert found["minipipe_functor_seconds_bucket", ("0.004194304", "work")] == 0  # it sleeps 10 ms
    for _ in loop:
        pass
    with pytest.raises(OSError, match="refused"):
        scraped(port)
    assert not [t for t in threading.enumerate() if t.name == "minipipe-metrics"]


def test_the_dashboard_asks_for_what_there_is() -> None:
    dashboard = json.loads((EXAMPLES / "monitoring" / "grafana.json").read_text())
    asked = {
        name
        for panel in dashboard["panels"]
        for target in panel["targets"]
        for name in re.findall(r"minipipe_\w+", target["expr"])
    }
    workers = (worker("f/0", "f", "local"),)
    stats = RunStats("running", 1.0, workers, (LinkUse("node-7"),))
    families = Collector(lambda: stats, [SegmentFacts("f", "sink")], has_hosts=True)
    known = {sample.name for family in families.collect() for sample in family.samples}
    assert asked and asked <= known
    assert {name for name in known if name.endswith("_total")} - asked == {
        "minipipe_messages_total"
    }


def worker(
    name: str, segment: str, host: str, items: int = 0, state: str = "running"
) -> WorkerStats:
    counts: list[Any] = [items, *[0] * 9, None]
    return replace(WorkerStats(name, segment, 4711, state, *counts), host=host)


def samples_of(stats: RunStats, *, has_hosts: bool) -> dict[tuple[str, ...], float]:
    """Every sample by its name and the values of its labels, in their order."""
    facts = [SegmentFacts(name, "transform") for name in ("work", "waits")]
    families = Collector(lambda: stats, facts, has_hosts).collect()
    return {(s.name, *s.labels.values()): s.value for f in families for s in f.samples}


def test_where_others_may_join_there_is_a_label_for_the_machine() -> None:
    workers = (
        worker("work/0", "work", "local", 3),
        worker("work/1", "work", "node-7", 5, "died"),
        worker("work/1", "work", "node-8", 7),
        worker("work/2", "work", "node-8", 11),
        worker("work/3", "work", "", 0, "starting"),  # it is being started here
    )
    stats = RunStats("running", 1.0, workers, (LinkUse("node-8", 9.0, 2.0, 100, 1.0, 10),))
    found = samples_of(stats, has_hosts=True)
    counted = {k[1:]: v for k, v in found.items() if k[0] == "minipipe_items_in_total"}
    assert counted == {("work", "local"): 3, ("work", "node-7"): 5, ("work", "node-8"): 18}
    assert found["minipipe_workers", "work", "local", "starting"] == 1
    assert found["minipipe_workers", "work", "node-8", "running"] == 2
    assert found["minipipe_link_bytes_total", "node-8", "to"] == 100
    assert found["minipipe_link_seconds_total", "node-8", "from"] == 1.0
    found = samples_of(stats, has_hosts=False)
    counted = {k[1:]: v for k, v in found.items() if k[0] == "minipipe_items_in_total"}
    assert counted == {("work",): 26, ("waits",): 0}
    assert not any(name.startswith("minipipe_link") for name, *_ in found)


def test_what_a_machine_has_counted_does_not_fall_when_its_dead_are_forgotten() -> None:
    counts, ended = Counts(), time.monotonic() - LATE_S - 1
    handles: dict[int, Any] = {}
    for ident in range(KEPT + 4):
        final = worker("work/0", "work", f"node-{ident % 2}", 1, "died")
        place = SimpleNamespace(index=0)
        handles[ident] = SimpleNamespace(
            final=final, result=None, closed_s=ended, segment=place, index=0
        )
    left = counts.without_long_dead(handles)
    assert len(left) == KEPT
    late: Any = [handle.final for handle in left.values()]
    workers = (*counts.of_long_dead, *late)
    found = samples_of(RunStats("running", 1.0, workers), has_hosts=True)
    for host in ("node-0", "node-1"):
        assert found["minipipe_items_in_total", "work", host] == KEPT / 2 + 2


def test_a_run_that_others_may_join_labels_from_its_beginning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    pline: Any = mp.PipeLine([mp.Source(range(10**9))])
    pline.build(log_lvl="INFO").run(metrics_port=0, bind="tcp://127.0.0.1:0", ship=False)
    next(iter(pline))
    found = scraped(port_of(caplog))
    pline.stop()
    pline.close()
    assert ("minipipe_items_out_total", ("local", "Source")) in found
    assert ("minipipe_items_out_total", ("Source",)) not in found


def test_labels_do_not_grow_with_workers(caplog: pytest.LogCaptureFixture) -> None:
    sizes = []
    for workers in (1, 4):
        pline: Any = mp.PipeLine([mp.Source(range(10**9))])
        pline.add(mp.Transform(abs, "abs"), n_processes=workers)
        pline.build(log_lvl="INFO").run(metrics_port=0)
        loop = iter(pline)
        next(loop)
        sizes.append(len(scraped(port_of(caplog))))
        pline.stop()
        pline.close()
    assert sizes[0] == sizes[1]


def test_a_port_that_is_taken_is_told_before_anything_starts() -> None:
    with socket.socket() as other:
        other.bind((LOOPBACK, 0))
        other.listen()
        port = other.getsockname()[1]
        pline = mp.PipeLine([mp.Source(range(3)), mp.Sink(abs)])
        with pytest.raises(mp.OptionError, match=rf"metrics_port={port} of run cannot be had"):
            pline.run(metrics_port=port)
        pline.run()  # nothing is in its way
        pline.close()


@pytest.mark.parametrize("port", [-1, 65536, "9464", True, 1.5])
def test_what_is_no_port_is_refused(port: Any) -> None:
    pline = mp.PipeLine([mp.Source(range(3)), mp.Sink(abs)])
    with pytest.raises(mp.OptionError, match="is the number of a port"):
        pline.run(metrics_port=port)


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    pline = mp.PipeLine([mp.Source(range(3)), mp.Sink(abs)])
    with pytest.raises(mp.MissingExtraError, match=r"\.\[metrics\]"):
        pline.run(metrics_port=0)
