"""Real workers that join and leave under load: each item exactly once, whoever is killed meanwhile.

There is no public way to do this yet.
"""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

import minipipe as mp
from minipipe.supervisor.run import Run
from minipipe.supervisor.scaling import scale
from tests.conftest import wait_until
from tests.process.functors import Collect, both, same, streams
from tests.process.scaled import (
    Loaded,
    briefly,
    not_thirds,
    of_array,
    passes_on,
    slowly,
    to_array,
    uneven_ms,
)

COUNT = 3_000
LIVES: dict[str, Any] = {"max_restarts": 10**6}


def run_of(pipe: Any) -> Run:
    found = pipe._execution._run
    assert isinstance(found, Run)
    return found


def working(pipe: Any, segment: str) -> int:
    """How many workers a segment has that run now."""
    return sum(w.segment == segment and w.state == "running" for w in pipe.stats().workers)


class Scaler(threading.Thread):
    """Wishes for other numbers of workers all the time, and kills one now and then."""

    def __init__(self, pipe: Any, *segments: str, kills: int = 0, seed: int = 1) -> None:
        super().__init__()
        self.pipe = pipe
        self.segments = segments
        self.kills = kills
        self.rng = random.Random(seed)
        self.pids: set[int] = set()
        self.most = self.joined = self.shrunk = 0
        self.killed = 0

    def run(self) -> None:
        while not self.pipe._execution.ended:
            segment, workers = self.rng.choice(self.segments), self.rng.randint(1, 4)
            before = working(self.pipe, segment)
            scale(run_of(self.pipe), segment, workers)
            until_s = time.monotonic() + self.rng.uniform(0.1, 0.4)
            while time.monotonic() < until_s and not self.pipe._execution.ended:
                time.sleep(0.02)
                now = working(self.pipe, segment)
                self.joined += now > before
                self.shrunk += now < before
                before = now
            if self.kills and self.rng.random() < 0.4:
                self._kill()

    def _kill(self) -> None:
        mine = [w for w in self.pipe.stats().workers if w.segment in self.segments]
        mine = [w for w in mine if w.state == "running" and w.pid and w.items_in > 3]
        if mine:
            try:
                os.kill(self.rng.choice(mine).pid, signal.SIGKILL)
            except ProcessLookupError:
                return  # it has just left
            self.kills -= 1
            self.killed += 1


def scaled(pipe: Any, *segments: str, kills: int = 0) -> dict[str, Any]:
    """What a run comes to whose segments are scaled all the time."""
    pipe.run()
    scaler = Scaler(pipe, *segments, kills=kills)
    scaler.start()
    try:
        results: dict[str, Any] = pipe.close(120)
    finally:
        pipe.stop()
        scaler.join()
    assert scaler.joined and scaler.shrunk, "nobody came and went: the run is too short"
    assert bool(scaler.killed) == bool(kills)
    return results


def transform(function: Callable[..., Any], name: str, workers: int = 2, **more: Any) -> Any:
    return mp.Transform(function, name, n_processes=workers, **LIVES, **more)


def line(*segments: Any) -> mp.PipeLine:
    pline = mp.PipeLine()
    for segment in segments:
        pline.add(segment)
    return pline


def flat(results: dict[str, Any], name: str) -> list[Any]:
    """What all workers of a segment have collected, sorted."""
    found = [r for worker, r in results.items() if worker.partition("/")[0] == name]
    return sorted(x for items in found for x in items)


KILLS = pytest.mark.parametrize("kills", [0, 4])


@KILLS
def test_several_workers_before_several_come_and_go(kills: int) -> None:
    pline = line(
        mp.Source(range(COUNT), "s"),
        transform(briefly, "a"),
        transform(not_thirds, "b", 3),
        mp.Sink(Collect(), "keep", n_processes=2),
    )
    results = scaled(pline, "a", "b", kills=kills)
    assert flat(results, "keep") == [x for x in range(COUNT) if x % 3]


@KILLS
def test_before_and_behind_a_broadcast(kills: int) -> None:
    pline = line(
        mp.Source(range(COUNT), "s"),
        transform(briefly, "a", 1),
        mp.Broadcast(
            [
                mp.Sink(Collect(), "k0"),
                [transform(briefly, "b", 1), mp.Sink(Collect(), "k1")],
                mp.Sink(Collect(), "k2", n_processes=2),
            ]
        ),
    )
    results = scaled(pline, "a", "b", kills=kills)
    assert [flat(results, f"k{i}") for i in range(3)] == [list(range(COUNT))] * 3


@KILLS
def test_before_an_ordered_stream(kills: int) -> None:
    pline = line(
        mp.Source(range(COUNT), "s"),
        transform(uneven_ms, "a", ordered=True),
        mp.Sink(Collect(), "keep"),
    )
    results = scaled(pline, "a", kills=kills)
    assert results["keep"] == list(range(COUNT))


@KILLS
def test_between_a_fork_and_its_join(kills: int) -> None:
    a, b, c, d, e = streams(5)
    psys = mp.PipeSystem(
        [
            mp.Source(range(COUNT), "s", a),
            mp.Transform(both, "fork", a, [b, c]),
            transform(briefly, "left", upstreams=b, downstreams=d),
            transform(uneven_ms, "right", upstreams=c, downstreams=e),
            mp.Sink(Collect(), "keep", [d, e]),
        ]
    )
    results = scaled(psys, "fork", "left", "right", kills=kills)
    assert sorted(results["keep"]) == [(x, x) for x in range(COUNT)]


@KILLS
def test_with_large_arrays_that_lie_with_those_who_leave(kills: int) -> None:
    pline = line(
        mp.Source(range(COUNT), "s"),
        transform(to_array, "a"),
        transform(passes_on, "b"),
        transform(of_array, "c"),
        mp.Sink(Collect(), "keep"),
    )
    results = scaled(pline, "a", "b", "c", kills=kills)
    assert sorted(results["keep"]) == list(range(COUNT))


@KILLS
def test_of_several_threads_each(kills: int) -> None:
    pline = line(
        mp.Source(range(COUNT), "s"),
        transform(slowly, "a", threads=4),
        transform(not_thirds, "b", threads=3, ordered=True),
        mp.Sink(Collect(), "keep"),
    )
    results = scaled(pline, "a", "b", kills=kills)
    assert sorted(results["keep"]) == [x for x in range(COUNT) if x % 3]


def test_into_the_callers_loop() -> None:
    pline = line(mp.Source(range(COUNT), "s"), transform(briefly, "a"))
    pline.run()
    scaler = Scaler(pline, "a")
    scaler.start()
    got = sorted(pline)
    scaler.join()
    assert got == list(range(COUNT))
    assert scaler.joined and scaler.shrunk


def test_who_leaves_says_what_it_has_done_and_no_death_is_counted() -> None:
    pline = line(
        mp.Source(range(COUNT), "s"),
        mp.Transform(Loaded(), "a", n_processes=3, restart=True, max_restarts=0),
        mp.Sink(Collect(), "keep"),
    )
    pline.run()
    wait_until(lambda: working(pline, "a") == 3, "three workers run")
    scale(run_of(pline), "a", 1)
    wait_until(lambda: working(pline, "a") == 1, "two have left", 30)
    assert pline.stats().state == "running"
    scale(run_of(pline), "a", 2)
    wait_until(lambda: working(pline, "a") == 2, "one has come", 30)
    results = pline.close(60)
    assert sorted(results["keep"]) == list(range(COUNT))
    said = [count for name, count in results.items() if name.partition("/")[0] == "a"]
    assert sum(said) == COUNT  # max_restarts=0 would have ended it at the first death
    by_worker = Counter(w.worker for w in pline.stats().workers if w.segment == "a")
    assert set(by_worker) == {"a/0", "a/1", "a/2", "a/3"}  # none takes the place of a result


REFUSED = [
    ("s", 2, "it is a source"),
    ("state", 2, "it keeps state"),
    ("keep", 2, "it is a sink"),
    ("a", 0, "one worker at least"),
    ("nobody", 2, "there is no segment"),
]


@pytest.mark.parametrize(("name", "workers", "why"), REFUSED)
def test_what_cannot_be_scaled_is_refused_with_the_reason(
    name: str, workers: int, why: str
) -> None:
    pline = line(
        mp.Source([1], "s"),
        transform(same, "a"),
        mp.Transform(Loaded(), "state"),
        mp.Sink(Collect(), "keep"),
    )
    pline.run()
    with pytest.raises(mp.OptionError, match=why):
        scale(run_of(pline), name, workers)
    pline.close(30)
