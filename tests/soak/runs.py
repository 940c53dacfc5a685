"""The runs that are watched: one with many deaths, many short ones, one that goes on."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

import minipipe as mp
from minipipe.supervisor import counts
from tests.soak.measure import Growth

LIVES: dict[str, Any] = {"max_restarts": 10**6}
LATE_S = 0.5  # the dead are known one by one for so long here, where 25 die in a second
LARGE = 1 << 14  # elements of an array that goes in a slot


def arrays() -> Iterator[Any]:
    """Numbers without end, some of them as arrays in shared memory."""
    for i in itertools.count():
        yield np.full(LARGE, i) if i % 8 == 0 else i


def number_of(item: Any) -> int:
    return int(item[0]) if isinstance(item, np.ndarray) else int(item)


class DiesAt:
    """A function that ends its process at every `every`-th item, the first time."""

    def __init__(self, directory: str, every: int, shift: int) -> None:
        self.directory = directory
        self.every = every
        self.shift = shift

    def run(self, item: Any) -> Any:
        number = number_of(item)
        if number % self.every == self.shift:
            try:
                os.close(os.open(f"{self.directory}/{number}", os.O_CREAT | os.O_EXCL))
            except FileExistsError:
                return item
            os._exit(1)
        return item


class Count:
    """A Sink with state."""

    def __init__(self) -> None:
        self.count = 0

    def run(self, item: Any) -> None:
        self.count += 1

    def local_term(self) -> int:
        return self.count


def mortal(directory: str) -> mp.PipeLine:
    """A pipeline in which workers of all replaceable kinds die: that relay, broadcast, save."""
    deaths = os.path.join(directory, "deaths")
    os.makedirs(deaths)
    letters = os.path.join(directory, "letters")
    pline = mp.PipeLine([mp.Source(arrays, "source")])
    first = DiesAt(deaths, 30, 7)
    pline.add(mp.Transform(first, "relay", restart=True, **LIVES), n_processes=2)
    spread = DiesAt(deaths, 30, 19)
    pline.add(
        mp.Transform(spread, "spread", restart=True, poison="skip", dead_letter=letters, **LIVES),
        n_processes=2,
    )
    saves = mp.Sink(DiesAt(deaths, 30, 28), "save", restart=True, n_processes=2, **LIVES)
    pline.add(mp.Broadcast([mp.Sink(Count(), "one"), saves, mp.Sink(Count(), "other")]))
    return pline


def deaths_of(directory: str) -> int:
    """How many there have been."""
    return len(os.listdir(os.path.join(directory, "deaths")))


def long_lived(pline: mp.PipeLine) -> list[int]:
    """This process, and the workers that are never replaced."""
    kept = ("source", "one", "other")
    return [os.getpid(), *(w.pid for w in pline.stats().workers if w.segment in kept)]


def many_deaths(directory: str, deaths: int, limit_s: float) -> tuple[Growth, int]:
    """A run in which so many workers die, looked at all the while; how many did in that time."""
    growth, pline = Growth(warm_up=5), mortal(directory)
    before_s, counts.LATE_S = counts.LATE_S, LATE_S
    every, looked, until_s = max(5, deaths // 10), 0, time.monotonic() + limit_s
    pline.build(log_lvl="ERROR").run()
    try:
        while (count := deaths_of(directory)) < deaths and time.monotonic() < until_s:
            if count >= looked + every:
                looked = count
                growth.look(long_lived(pline))
            time.sleep(0.01)
        growth.look(long_lived(pline))
        stats = pline.stats()
        counted = sum(w.workers for w in stats.workers if w.state == "died")
        assert counted >= 0.8 * count, f"{counted} dead in the statistics, of {count}"
        assert len(stats.workers) < 80, f"{len(stats.workers)} lines of statistics"
    finally:
        counts.LATE_S = before_s
        pline.stop()
        pline.close()
    return growth, count


def many_passes(passes: int, limit_s: float) -> tuple[Growth, int]:
    """A process that runs a pipeline again and again: an epoch each time, say; how often."""
    growth, until_s = Growth(), time.monotonic() + limit_s
    pline = mp.PipeLine([mp.Source(range(20)), mp.Transform(lambda x: x + 1, "f")])
    pline.build(log_lvl="ERROR")
    done = 0
    while done < passes and time.monotonic() < until_s:
        assert list(pline) == list(range(1, 21))
        done += 1
        if done % max(1, passes // 40) == 0:
            growth.look([os.getpid()])
    growth.look([os.getpid()])
    return growth, done


def many_persistent_passes(passes: int, limit_s: float) -> tuple[Growth, int]:
    """Passes with the same workers, every third of them left early; how many in that time."""
    # Half of the samples: until then each slot has been seen here that there may be at once.
    growth, until_s = Growth(warm_up=20), time.monotonic() + limit_s
    pline = mp.PipeLine(
        [
            mp.Source(lambda: (np.full(LARGE, i) for i in range(40)), "source"),
            mp.Transform(lambda x: x, "relay", n_processes=2),
            mp.Transform(lambda x: x, "keep", ordered=True, restart=False),
        ],
        persistent=True,
    )
    pline.build(log_lvl="ERROR")
    done = 0
    while done < passes and time.monotonic() < until_s:
        if done % 3 == 2:
            assert number_of(next(iter(pline))) == 0
        else:
            assert sum(map(number_of, pline)) == sum(range(40))
        done += 1
        if done % max(1, passes // 40) == 0:
            growth.look({os.getpid(), *(w.pid for w in pline.stats().workers)} - {0})
    pline.close()
    return growth, done


def steady(seconds: float) -> Growth:
    """A run that goes on and on, in which nothing happens."""
    growth = Growth(warm_up=5)
    pline = mp.PipeLine([mp.Source(arrays, "source")])
    pline.add(mp.Transform(lambda x: x, "relay"), n_processes=2)
    pline.add(mp.Broadcast([mp.Sink(Count(), "one"), mp.Sink(Count(), "other")]))
    pline.build(log_lvl="ERROR").run()
    pause_s = min(10.0, seconds / 20)
    try:
        until_s = time.monotonic() + seconds
        while time.monotonic() < until_s:
            time.sleep(pause_s)
            growth.look(
                [os.getpid(), *(w.pid for w in pline.stats().workers if w.state == "running")]
            )
    finally:
        pline.stop()
        pline.close()
    return growth
