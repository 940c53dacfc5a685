"""While a functor is long at work its worker sleeps, and still does what others wait for."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minipipe as mp
from tests.conftest import wait_until
from tests.process.functors import Collect, same

FOREVER_S = 1000.0
PATIENCE_S = 20.0  # for what would never come
LARGE = (9, 1024, 1024)  # bytes: two sinks that do not read can fill a ledger with these


def workers(pline: Any, segment: str) -> list[Any]:
    found = [worker for worker in pline.stats().workers if worker.segment == segment]
    return [worker for worker in found if worker.pid and worker.state == "running"]


def arrived(pline: Any, segment: str, count: int) -> None:
    def enough() -> bool:
        return sum(worker.items_in for worker in workers(pline, segment)) >= count

    wait_until(enough, f"{count} items in {segment}")


# ------------------------------------------------------------ functors that wait for each other
@pytest.mark.parametrize("between", [0, 1])
@pytest.mark.parametrize("large", [False, True])
def test_a_source_may_wait_for_its_sink(between: int, large: bool) -> None:
    seen = multiprocessing.Event()

    def waits():
        for i in range(12):
            seen.clear()
            yield np.full(20_000, i) if large else i
            if not seen.wait(PATIENCE_S):
                raise TimeoutError(i)

    segments = [mp.Source(waits), *(mp.Transform(same) for _ in range(between))]
    pline = mp.PipeLine([*segments, mp.Sink(lambda item: seen.set(), "save")])
    pline.run().close(60)


def test_a_source_may_wait_for_all_that_it_has_yielded() -> None:
    left = multiprocessing.Semaphore(0)

    def bursts():
        for count in (1, 3, 50, 200):
            yield from range(count)
            for _ in range(count):
                if not left.acquire(timeout=PATIENCE_S):
                    raise TimeoutError(count)

    segments = [mp.Source(bursts), mp.Transform(same), mp.Sink(lambda item: left.release(), "save")]
    mp.PipeLine(segments).run().close(60)


class Meets:
    """Of two, each waits for the other one at each item, as at a barrier or an allreduce."""

    def __init__(self, pair: Any, number: int | None = None) -> None:
        self.pair = pair
        self.number = number

    def run(self, item: int) -> None:
        number = mp.get_worker_info().id if self.number is None else self.number
        self.pair[number].release()
        if not self.pair[1 - number].acquire(timeout=PATIENCE_S):
            raise TimeoutError(item)


def test_sinks_of_a_broadcast_may_meet_at_each_item() -> None:
    pair = [multiprocessing.Semaphore(0) for _ in range(2)]
    branches = [mp.Sink(Meets(pair, number)) for number in range(2)]
    pline = mp.PipeLine([mp.Source(range(100)), mp.Broadcast(branches)])
    pline.run().close(60)


def test_workers_of_one_sink_may_meet_at_each_item() -> None:
    pair = [multiprocessing.Semaphore(0) for _ in range(2)]
    pline = mp.PipeLine([mp.Source(itertools.repeat(1))])
    pline.add(mp.Sink(Meets(pair), "save"), n_processes=2)
    pline.run()
    arrived(pline, "save", 200)
    pline.stop()
    pline.close()


def test_a_sink_that_waits_for_another_one_reads_so_that_the_source_can_go_on() -> None:
    """What it does not read stays in the ledger, which may be full of it."""
    others = multiprocessing.Semaphore(0)

    class Waits:
        def run(self, item: np.ndarray) -> None:
            info = mp.get_worker_info()
            if info.id == 0:
                time.sleep(0.02)
                others.release()
            elif not others.acquire(timeout=PATIENCE_S):
                raise TimeoutError
            else:
                for _ in range(19):
                    if not others.acquire(timeout=PATIENCE_S):
                        raise TimeoutError

    pline = mp.PipeLine([mp.Source(itertools.repeat(np.zeros(LARGE, dtype=np.int8)))])
    pline.add(mp.Sink(Waits(), "save", buffer_size=64), n_processes=3)
    pline.run()
    arrived(pline, "save", 60)
    pline.stop()
    pline.close()


# ------------------------------------------------------------------- what others wait for
def test_order_does_not_wait_for_a_source_that_pauses() -> None:
    def pauses():
        yield from range(30)
        time.sleep(FOREVER_S)

    def uneven(item: int) -> int:
        time.sleep(0.003 if item % 3 else 0.0)
        return item

    pline = mp.PipeLine([mp.Source(pauses)])
    pline.add(mp.Transform(uneven, ordered=True), n_processes=3)
    pline.add(mp.Sink(Collect(), "save"), n_processes=2)  # none of them has all: marks are needed
    pline.run()
    arrived(pline, "save", 30)
    pline.stop()
    results = list(pline.close().values())
    assert all(items == sorted(items) for items in results)
    assert sorted(item for items in results for item in items) == list(range(30))


def test_a_death_while_the_source_is_long_at_work_does_not_wait_for_it() -> None:
    goes_on = multiprocessing.Event()

    def pauses():
        yield from range(40)
        goes_on.wait(FOREVER_S)
        yield from range(40, 50)

    def slow(item: int) -> int:
        time.sleep(0.05)
        return item

    pline = mp.PipeLine([mp.Source(pauses, "load")])
    pline.add(mp.Transform(slow, "work", max_restarts=10, buffer_size=64), n_processes=2)
    pline.add(mp.Sink(Collect(), "save"))
    pline.run()
    wait_until(lambda: pline.stats()["load"].items_out == 40, "all that comes before the pause")
    for count in (4, 16):
        arrived(pline, "save", count)
        os.kill(workers(pline, "work")[0].pid, signal.SIGKILL)
    arrived(pline, "save", 40)
    assert pline.stats()["load"].items_out == 40  # it is still at its pause
    goes_on.set()
    items = pline.close(60)["save"]
    assert sorted(items) == list(range(50))


# ------------------------------------------------------------------------ wake-ups
def switches(pid: int) -> int:
    """How often the threads of a process have gone to sleep."""
    found = 0
    for status in Path(f"/proc/{pid}/task").glob("*/status"):
        for line in status.read_text().splitlines():
            if line.startswith("voluntary_ctxt_switches"):
                found += int(line.split()[1])
    return found


def switches_a_second(pline: Any, segment: str) -> float:
    """Of each worker of a segment."""
    pids = [worker.pid for worker in workers(pline, segment)]
    began_s, before = time.monotonic(), sum(map(switches, pids))
    time.sleep(4.0)
    return (sum(map(switches, pids)) - before) / len(pids) / (time.monotonic() - began_s)


def test_a_run_in_which_nothing_happens_wakes_up_nobody() -> None:
    def pauses():
        yield from range(30)
        time.sleep(FOREVER_S)

    pline = mp.PipeLine([mp.Source(pauses, "load")])
    pline.add(mp.Transform(same, "work"), n_processes=3)
    pline.add(mp.Sink(Collect(), "save"))
    pline.run()
    arrived(pline, "save", 30)
    time.sleep(0.3)
    for segment in ("load", "work", "save"):
        assert switches_a_second(pline, segment) < 5, segment
    pline.stop()
    pline.close()


def test_long_functors_wake_up_nobody() -> None:
    def slow(item: int) -> int:
        time.sleep(1.0)
        return item

    pline = mp.PipeLine([mp.Source(range(10**6), "load")])
    pline.add(mp.Transform(slow, "work"), n_processes=3)
    pline.add(mp.Sink(Collect(), "save"))
    pline.run()
    arrived(pline, "save", 1)
    assert switches_a_second(pline, "work") < 15
    pline.stop()
    pline.close()


def test_what_a_sink_has_finished_is_told_although_its_next_call_is_long() -> None:
    """It is quick as a rule, so several of its calls are made at a stretch."""
    went_on = multiprocessing.Event()

    def load() -> Iterator[int]:
        for i in range(20):
            time.sleep(0.02)
            yield i

    def ten(item: int) -> Iterator[int]:
        for k in range(10 * item, 10 * item + 10):
            if k == 122:
                went_on.set()
            yield k

    def keep(item: int) -> None:
        if item == 115:
            assert went_on.wait(30), "the segment before got no credit"

    pline = mp.PipeLine([mp.Source(load), mp.FlatMap(ten), mp.Sink(keep, buffer_size=10)])
    pline.build(log_lvl="ERROR")
    pline.run()
    pline.close(60)


def test_windows_may_become_tickets_while_a_producer_is_in_a_long_functor() -> None:
    """The workers are quick at first, and then slow; one Source waits and hears nothing of it."""
    event = multiprocessing.Event()

    def waits() -> Iterator[int]:
        yield from range(500)
        assert event.wait(60), "the other Source's items did not go on"
        yield -1

    def goes_on() -> Iterator[int]:
        yield from range(1000)
        time.sleep(1.0)
        yield from range(10_000, 10_150)

    def work(item: int) -> int:
        time.sleep(0.02 if item >= 10_000 else 0)
        return item

    slow = 0

    def keep(item: int) -> None:
        nonlocal slow
        slow += item >= 10_000
        if slow == 150:
            event.set()

    items, results = mp.Stream("items"), mp.Stream("results")
    psys = mp.PipeSystem(
        [
            mp.Source(waits, "waits", downstreams=[items]),
            mp.Source(goes_on, "goes_on", downstreams=[items]),
            mp.Transform(work, "work", upstreams=[items], downstreams=[results], n_processes=2),
            mp.Sink(keep, "keep", upstreams=[results]),
        ]
    )
    psys.build(log_lvl="ERROR")
    psys.run()
    psys.close(120)
    assert psys.stats()["keep"].items_in == 1651
