"""Several items at once in each worker: the contract is the same as with one."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minipipe as mp
from tests.process.functors import Collect


class Meet:
    """Nobody comes back before so many are there."""

    def __init__(self, count: int) -> None:
        self.count = count

    def local_init(self) -> None:
        self.barrier = threading.Barrier(self.count)

    def run(self, x: int) -> int:
        self.barrier.wait(60)
        return x


def nap(x: Any) -> Any:
    time.sleep(0.001 * (hash(str(x)) % 7))
    return x


def test_so_many_items_are_under_way_at_once() -> None:
    meet = mp.Transform(Meet(8), threads=8, restart=True)
    assert sorted(mp.PipeLine([mp.Source(range(80)), meet])) == list(range(80))


@pytest.mark.parametrize("inline", [False, True])
def test_each_item_once(inline) -> None:
    work = mp.Transform(nap, n_processes=2, threads=5)
    pline = mp.PipeLine([mp.Source(range(500)), work]).build(inline=inline)
    assert sorted(pline) == list(range(500))
    assert sorted(pline) == list(range(500))


def test_in_order() -> None:
    work = mp.Transform(nap, n_processes=2, threads=5, ordered=True)
    pline = mp.PipeLine([mp.Source(range(300)), work, mp.Transform(lambda x: x + 1)])
    assert list(pline) == list(range(1, 301))


def shares(worker: int, n_workers: int):
    yield from range(worker, 300, n_workers)


def test_of_several_senders_and_between_others() -> None:
    keep = mp.Sink(Collect(), "keep")
    pline = mp.PipeLine(
        [
            mp.Source(shares, n_processes=3),
            mp.Transform(lambda x: x),
            mp.Transform(nap, n_processes=2, threads=4),
            mp.Transform(lambda x: None if x % 10 == 0 else x, threads=3),
            keep,
        ]
    )
    assert sorted(pline.run().close()["keep"]) == [x for x in range(300) if x % 10]


def test_to_a_broadcast_and_with_large_arrays() -> None:
    def grow(x: int) -> np.ndarray:
        array = mp.empty((100, 200)) if x % 2 else np.empty((100, 200))
        array[:] = x
        return nap(array) if x % 5 == 0 else array

    class Sum:
        def local_init(self) -> None:
            self.seen: list[int] = []

        def run(self, array: np.ndarray) -> None:
            assert (array == array[0, 0]).all()
            self.seen.append(int(array[0, 0]))

        def local_term(self) -> list[int]:
            return sorted(self.seen)

    def scale(array: np.ndarray) -> np.ndarray:
        time.sleep(0.001)
        return array * 2

    pline = mp.PipeLine([mp.Source(range(200)), mp.Transform(grow, threads=4)])
    pline.add(mp.Transform(scale, threads=4))
    pline.add(mp.Broadcast([mp.Sink(Sum(), "a"), mp.Sink(Sum(), "b")]))
    results = pline.run().close()
    assert results["a"] == results["b"] == list(range(0, 400, 2))


def test_who_writes_to_what_it_gets_is_called_once_more(caplog) -> None:
    def write(array: np.ndarray) -> int:
        time.sleep(0.001)
        array += 1
        return int(array[0])

    arrays = mp.Source(lambda: (np.full(20_000, i) for i in range(40)))
    got = list(mp.PipeLine([arrays, mp.Transform(write, "write", threads=4)]))
    assert sorted(got) == list(range(1, 41))
    assert caplog.text.count("so from now on they are private copies") <= 1


# ---------------------------------------------------------------------- failures
def fail_at_sevens(x: int) -> int:
    time.sleep(0.001 * (x % 3))
    if x % 7 == 0:
        raise ValueError(f"seven: {x}")
    return x


def test_an_error_names_its_item() -> None:
    def fails(x: int) -> int:
        if x == 33:
            raise ValueError("no")
        time.sleep(0.01)
        return x

    with pytest.raises(ValueError, match="no") as caught:
        list(mp.PipeLine([mp.Source(range(60), "load"), mp.Transform(fails, "work", threads=6)]))
    assert "item 33" in "".join(caught.value.__notes__)


@pytest.mark.parametrize("inline", [False, True])
def test_failures_are_counted_and_kept_with_the_right_item(tmp_path: Path, inline) -> None:
    path = tmp_path / "bad.letters"
    work = mp.Transform(
        fail_at_sevens, n_processes=2, threads=5, max_failures=100, dead_letter=path
    )
    pline = mp.PipeLine([mp.Source(range(210)), work]).build(inline=inline)
    assert sorted(pline) == [x for x in range(210) if x % 7]
    records = list(mp.DeadLetters(path).records())
    assert sorted(record.item for record in records) == list(range(0, 210, 7))
    assert all(record.text == f"seven: {record.item}" for record in records)
    assert all(record.number == record.item for record in records)


def test_too_many_failures_end_the_run() -> None:
    work = mp.Transform(fail_at_sevens, threads=5, max_failures=3)
    with pytest.raises(mp.TooManyFailuresError):
        list(mp.PipeLine([mp.Source(range(210)), work]))
    ignoring = mp.Transform(fail_at_sevens, threads=5, ignore_exceptions=ValueError)
    assert len(list(mp.PipeLine([mp.Source(range(210)), ignoring]))) == 180


def test_what_cannot_be_sent_is_a_failure_of_its_item() -> None:
    def odd(x: int) -> Any:
        return threading.Lock() if x % 10 == 0 else x

    work = mp.Transform(odd, threads=4, max_failures=10)
    assert sorted(mp.PipeLine([mp.Source(range(60)), work])) == [x for x in range(60) if x % 10]


# ---------------------------------------------------------------------- deaths
class Killer:
    """Its worker dies of some items, once each."""

    def __init__(self, directory: Path, every: int) -> None:
        self.directory, self.every = str(directory), every

    def __call__(self, x: int) -> int:
        time.sleep(0.002)
        if x % self.every == self.every - 1:
            try:
                os.close(os.open(f"{self.directory}/{x}", os.O_CREAT | os.O_EXCL))
            except FileExistsError:
                return x
            os.kill(os.getpid(), signal.SIGKILL)
        return x


@pytest.mark.parametrize("ordered", [False, True])
def test_exactly_once_through_deaths(tmp_path, ordered) -> None:
    work = mp.Transform(
        Killer(tmp_path, 60), n_processes=2, threads=6, max_restarts=50, ordered=ordered
    )
    pline = mp.PipeLine([mp.Source(range(300)), work, mp.Sink(Collect(), "keep")])
    got = pline.run().close()["keep"]
    assert sorted(got) == list(range(300))
    assert len(list(tmp_path.iterdir())) == 5
    if ordered:
        assert got == sorted(got)


def poisonous(x: int) -> int:
    time.sleep(0.002)
    if x in (40, 41, 140):
        os.kill(os.getpid(), signal.SIGKILL)
    return x


def test_only_what_kills_by_itself_is_poison(tmp_path, caplog) -> None:
    path = tmp_path / "bad.letters"
    work = mp.Transform(
        poisonous,
        "work",
        n_processes=2,
        threads=8,
        poison="skip",
        max_restarts=50,
        dead_letter=path,
    )
    got = list(mp.PipeLine([mp.Source(range(200), "load"), work]))
    assert sorted(got) == [x for x in range(200) if x not in (40, 41, 140)]
    assert sorted(r.item for r in mp.DeadLetters(path).records()) == [40, 41, 140]
    assert "others" in caplog.text  # that were under way at the same time


def test_poison_ends_the_run_and_is_named() -> None:
    work = mp.Transform(poisonous, "work", threads=8, max_restarts=50)
    with pytest.raises(mp.PoisonError, match=r"item (40|41) of 'load'"):
        list(mp.PipeLine([mp.Source(range(100), "load"), work]))


def test_deaths_from_outside_cost_nothing() -> None:
    stop = threading.Event()
    pline = mp.PipeLine(
        [
            mp.Source(range(600)),
            mp.Transform(nap, "work", n_processes=3, threads=4, max_restarts=1000),
            mp.Sink(Collect(), "keep"),
        ]
    )
    pline.run()

    def kill() -> None:
        draw = random.Random(3)
        for _ in range(4):
            if stop.wait(0.3):
                return
            pids = [w.pid for w in pline.stats().workers if w.segment == "work" and w.pid]
            try:
                os.kill(draw.choice(pids), signal.SIGKILL)
            except (ProcessLookupError, IndexError):
                pass

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        got = pline.close()["keep"]
    finally:
        stop.set()
        killer.join()
    assert Counter(got) == Counter(range(600))


# ---------------------------------------------------------------------- bundles
@pytest.mark.parametrize("inline", [False, True])
@pytest.mark.parametrize("before", [False, True])
def test_batches_are_those_of_one_thread(inline, before) -> None:
    def batches(threads: int, inline: bool) -> list[list[int]]:
        fetch, drop = mp.Transform(nap, threads=threads), mp.Transform(no_tens, batch=8)
        segments = [mp.Source(range(100)), fetch, drop]
        if not before:
            batch = mp.Transform(no_tens, batch=8, threads=threads, n_processes=2, ordered=True)
            segments = [mp.Source(range(100)), batch]
        return [batch.tolist() for batch in mp.PipeLine(segments).build(inline=inline)]

    got = batches(5, inline)
    assert sorted(got) == sorted(batches(1, True))
    assert before or got == sorted(got)


def no_tens(x: int) -> int | None:
    return None if nap(x) % 10 == 0 else x


def test_as_many_of_a_bundle_at_once_as_there_are_threads() -> None:
    meet = mp.Transform(Meet(4), threads=4, restart=True, batch=12)
    got = list(mp.PipeLine([mp.Source(range(48)), meet]))
    assert sorted(x for batch in got for x in batch.tolist()) == list(range(48))


def test_what_fails_or_kills_in_a_bundle_is_that_item_alone(tmp_path) -> None:
    path = tmp_path / "bad.letters"
    work = mp.Transform(
        poisonous_sevens,
        "work",
        n_processes=2,
        threads=4,
        batch=16,
        poison="skip",
        max_failures=100,
        max_restarts=50,
        dead_letter=path,
    )
    got = list(mp.PipeLine([mp.Source(range(200), "load"), work]))
    left = [x for x in range(200) if x % 7 and x not in (40, 41)]
    assert sorted(x for batch in got for x in batch.tolist()) == left
    expected = [x for x in range(200) if x % 7 == 0 or x in (40, 41)]
    assert sorted(r.item for r in mp.DeadLetters(path).records()) == expected


def poisonous_sevens(x: int) -> int:
    return poisonous(fail_at_sevens(x)) if x != 140 else fail_at_sevens(x)


def test_bundles_through_deaths(tmp_path) -> None:
    work = mp.Transform(
        Killer(tmp_path, 60), n_processes=2, threads=6, max_restarts=50, batch=10, ordered=True
    )
    fetch = mp.Transform(nap, threads=3, n_processes=2)
    pline = mp.PipeLine([mp.Source(range(300)), fetch, work, mp.Sink(Collect(), "keep")])
    got = pline.run().close()["keep"]
    assert [x for batch in got for x in batch.tolist()] == list(range(300))
    assert len(list(tmp_path.iterdir())) == 5


# ---------------------------------------------------------------------- hangs and ends
def hangs_at_50(x: int) -> int:
    if x == 50:
        time.sleep(1000)
    time.sleep(0.01)
    return x


def test_a_call_that_hangs_is_found_among_those_that_go_on(caplog) -> None:
    work = mp.Transform(hangs_at_50, "work", threads=4, timeout_s=1.0, poison="skip")
    got = list(mp.PipeLine([mp.Source(range(400), "load"), work]))
    assert sorted(got) == [x for x in range(400) if x != 50]
    stopping = mp.Transform(hangs_at_50, "work", threads=4, timeout_s=0.5)
    with pytest.raises(mp.PoisonError, match=r"item 50 of 'load'.*timeout_s=0\.5"):
        list(mp.PipeLine([mp.Source(range(100), "load"), stopping]))
    assert "in hangs_at_50" in caplog.text  # the stack of that very thread
    assert "others" not in caplog.text  # it alone is to blame


def test_many_calls_of_which_none_is_too_long_hang_nobody() -> None:
    def work(x: int) -> int:
        time.sleep(0.4)
        return x

    pline = mp.PipeLine([mp.Source(range(24)), mp.Transform(work, threads=8, timeout_s=1.1)])
    assert sorted(pline) == list(range(24))


@pytest.mark.parametrize("how", ["break", "stop", "drain"])
def test_an_end_in_the_middle_waits_for_nobody(how) -> None:
    def slow(x: int) -> int:
        time.sleep(30 if x > 20 and how != "drain" else 0.01)
        return x

    def endless():
        x = 0
        while True:
            yield x
            x += 1

    pline = mp.PipeLine([mp.Source(endless), mp.Transform(slow, threads=4)])
    for number, _ in enumerate(pline):
        if number == 10:
            if how == "break":
                break
            pline.stop(drain=how == "drain")
    assert pline.stats().workers


def test_time_in_threads_is_the_functors() -> None:
    pline = mp.PipeLine(
        [mp.Source(range(40)), mp.Transform(hangs_at_50, "work", threads=2), mp.Sink(Collect())]
    )
    pline.run().close()
    (work,) = [w for w in pline.stats().workers if w.segment == "work"]
    assert (work.items_in, work.items_out) == (40, 40)


# ---------------------------------------------------------------------- random numbers
def draws(x: int) -> tuple[int, float]:
    time.sleep(0.001 * (x % 4))
    first = mp.rng().random()
    time.sleep(0.001 * (x % 3))
    return x, first + mp.rng().random()


def test_an_item_has_its_own_generator_in_any_thread() -> None:
    def run(inline: bool, **options: Any) -> list[tuple[int, float]]:
        pline = mp.PipeLine([mp.Source(range(60), "load"), mp.Transform(draws, "draw", **options)])
        return sorted(pline.build(inline=inline).run(seed=4))

    assert run(False, threads=6) == run(False) == run(True, threads=6)
    unseeded = [d for _, d in mp.PipeLine([mp.Source(range(60)), mp.Transform(draws, threads=6)])]
    assert len(set(unseeded)) == 60


# ---------------------------------------------------------------------- what is refused
class Stateful:
    def run(self, x: int) -> int:
        return x


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: mp.Transform(nap, threads=0), "threads of Transform 'Transform' is a whole"),
        (lambda: mp.Transform(nap, threads=65), "at most 64, got 65: give it n_processes, too"),
        (lambda: mp.Transform(nap, threads=2.0), "whole number"),
        (lambda: mp.Transform(Stateful(), threads=2), "keeps state.*restart=True"),
        (lambda: mp.Sink(nap, threads=2), "has no option 'threads'"),
        (lambda: mp.Regulator(Stateful(), threads=2), "has no option 'threads'"),
    ],
)
def test_what_makes_no_sense_is_refused(make, text) -> None:
    with pytest.raises(mp.OptionError, match=text):
        make()


def test_in_a_graph_it_takes_one_stream_and_puts_to_one() -> None:
    a, b, c = mp.Stream("a"), mp.Stream("b"), mp.Stream("c")
    fork = mp.Transform(lambda x: (x, None), "fork", a, [b, c], threads=2)
    sinks = [mp.Sink(print, "one", b), mp.Sink(print, "two", c)]
    with pytest.raises(mp.OptionError, match=r"threads=2 .* it puts to 2 streams"):
        mp.PipeSystem([mp.Source([1], "load", a), fork, *sinks]).build()
