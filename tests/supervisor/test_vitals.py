"""Who watches workers knows their vital signs by the interface alone, whatever brings them."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest

import minipipe as mp
from minipipe.protocol.run import timeouts
from minipipe.protocol.run.lifecycle import Tick
from minipipe.protocol.run.vital_signs import STARTING, Call, StartStage, VitalSigns
from minipipe.supervisor.monitor import Monitor
from minipipe.supervisor.watchdog import Watchdog
from minipipe.supervisor.worker_handle import WorkerHandle, handles_of
from tests.supervisor.fakes import FakeVitals


@dataclass
class Elsewhere:
    """Workers of a graph that are on no host: what is asked for is written down."""

    handles: dict[int, WorkerHandle]
    killed: list[tuple[int, Call | None]] = field(default_factory=list)
    asked: list[int] = field(default_factory=list)
    called_off: bool = False
    importing: str = ""

    def kill(self, ident: int, *, call: Call | None = None, hard: bool = False) -> None:
        self.killed.append((ident, call))

    def ask_for_stack(self, ident: int) -> None:
        self.asked.append(ident)

    def importing_for(self, ident: int) -> str:
        return self.importing

    def call_off(self) -> None:
        self.called_off = True


def elsewhere(**options: object) -> tuple[Elsewhere, FakeVitals]:
    """Two workers of a line, and the vital signs of the second, which has these options."""
    segment = mp.Sink(abs, "keep", **options)
    graph = mp.PipeLine([mp.Source(range(3), "make"), segment]).build(monitor=True)._graph
    assert graph is not None
    fakes: dict[int, FakeVitals] = {}
    handles = handles_of(graph, lambda member: fakes.setdefault(member.id, FakeVitals()))
    for handle in handles.values():
        handle.is_asked_for = True
    return Elsewhere(handles), fakes[2]


def test_a_call_that_takes_too_long_is_condemned_by_what_the_vital_signs_show() -> None:
    processes, vitals = elsewhere(timeout_s=1.0, start_timeout_s=5.0)
    watchdog = Watchdog(processes)
    call = (8, 1, 1, 0)
    vitals.show(call, number=7, origin=1)
    for now_s in (0.0, 0.5, 1.0):
        watchdog.look(now_s, at_work=True)
    assert not processes.killed
    watchdog.look(1.1, at_work=True)
    assert processes.killed == [(2, call)]
    assert processes.handles[2].hung == "took 1.1 s for one item (timeout_s=1)"
    vitals.show((9, 1, 2, 0), number=8, origin=1)
    processes.killed.clear()
    watchdog.look(2.0, at_work=True)
    watchdog.look(2.9, at_work=True)
    assert not processes.killed  # another call, which has not lasted so long


def test_what_is_imported_beforehand_is_no_part_of_a_start_but_is_said(
    caplog: pytest.LogCaptureFixture,
) -> None:
    processes, _ = elsewhere(start_timeout_s=5.0)
    watchdog = Watchdog(processes)
    watchdog.look(0.0, at_work=False)  # the interpreter comes up
    processes.importing = "slow_one"
    for now_s in (1.0, 4.0, 58.0):
        watchdog.look(now_s, at_work=False)
        processes.importing = "another_one"
    assert not caplog.text
    watchdog.look(62.0, at_work=False)
    assert not processes.killed
    assert "for 61 s so far: now the module 'another_one', for worker 'make'" in caplog.text
    assert processes.asked == [1]
    processes.importing = ""
    for now_s in (63.0, 67.0):
        watchdog.look(now_s, at_work=False)
    assert not processes.killed
    watchdog.look(69.0, at_work=False)
    assert processes.killed == [(2, STARTING)]


def test_a_start_that_takes_too_long_is_condemned_as_a_start() -> None:
    processes, vitals = elsewhere(timeout_s=1.0, start_timeout_s=5.0)
    watchdog = Watchdog(processes)
    watchdog.look(0.0, at_work=False)
    watchdog.look(5.5, at_work=False)
    assert processes.killed == [(2, STARTING)]
    assert "(start_timeout_s=5)" in processes.handles[2].hung
    watchdog.end()
    assert processes.called_off
    vitals.close()
    processes.killed.clear()
    watchdog.look(60.0, at_work=False)
    assert not processes.killed  # it is gone


def test_a_run_that_stands_still_is_told_by_the_vital_signs(
    caplog: pytest.LogCaptureFixture,
) -> None:
    processes, vitals = elsewhere()
    watchdog = Watchdog(processes)
    for handle in processes.handles.values():
        handle.vitals.show()
    vitals.show((8, 1, 1, 0), number=7, origin=1)
    watchdog.look(0.0, at_work=True)
    watchdog.look(timeouts.FIRST_STALL_S + 1, at_work=True)
    (text,) = [r.getMessage() for r in caplog.records]
    assert "'keep' (pid 0) is in its functor at item 7 of 'make'" in text


def test_a_start_that_takes_a_minute_is_told_with_the_stack_that_the_vital_signs_have(
    caplog: pytest.LogCaptureFixture,
) -> None:
    processes, vitals = elsewhere()
    vitals.now = VitalSigns(start=StartStage.OPENING)
    watchdog = Watchdog(processes)
    watchdog.look(0.0, at_work=False)
    watchdog.look(timeouts.FIRST_STALL_S + 1, at_work=False)
    assert processes.asked == [2]
    vitals.written = "  File 'there', line 3, in local_init"
    watchdog.look(timeouts.FIRST_STALL_S + 2, at_work=False)
    assert any("it is at:\n  File 'there'" in r.getMessage() for r in caplog.records)


def test_statistics_are_what_the_vital_signs_count() -> None:
    processes, vitals = elsewhere()
    vitals.show(items_in=5, dropped=2, queued=3, number=7, outputs=(1,), peak_items=9)
    handle = processes.handles[2]
    stats = handle.stats("running")
    assert (stats.worker, stats.state, stats.items_in, stats.dropped) == ("keep", "running", 5, 2)
    assert (stats.queued_items, stats.item, stats.path, stats.kept_peak_items) == (3, 7, (1,), 9)
    handle.close("died")
    vitals.show(items_in=99)
    assert vitals.closed
    assert (handle.stats("running").items_in, handle.stats("running").state) == (5, "died")


def test_how_full_streams_are_is_what_the_vital_signs_show(
    caplog: pytest.LogCaptureFixture,
) -> None:
    processes, _ = elsewhere()
    producers = processes.handles[1].vitals  # they count what they have sent
    assert isinstance(producers, FakeVitals)
    producers.waiting = (3, 4)
    graph = mp.PipeLine([mp.Source(range(3), "make"), mp.Sink(abs, "keep")])
    built = graph.build(monitor=True)._graph
    assert built is not None
    with caplog.at_level(logging.INFO, "minipipe"):
        running = SimpleNamespace(started=True, stopping=False, ready=2)
        Monitor(built, processes, running).event(Tick(), 1.0)
    assert any("3 of 4 items (75 %)" in r.getMessage() for r in caplog.records)
