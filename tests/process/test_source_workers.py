"""A Source of several workers: each yields its share, exactly once in all, whatever dies behind."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from functools import partial

import numpy as np
import pytest

import minipipe as mp
from tests.process.functors import Collect


def load(worker: int, n_workers: int) -> Iterator[int]:
    yield from range(worker, 200, n_workers)


class Load:
    """With a state that the worker makes."""

    def local_init(self, last: int = 100) -> None:
        self.last = last

    def run(self, worker: int, n_workers: int) -> Iterator[int]:
        info = mp.get_worker_info()
        assert info is not None and (info.id, info.num_workers) == (worker, n_workers)
        yield from range(worker, self.last, n_workers)


class Made(Load):
    """Made in the worker."""

    def local_init(self) -> None:
        self.last = 60


@pytest.mark.parametrize("inline", [False, True])
@pytest.mark.parametrize(
    ("functor", "count"),
    [
        (load, 200),
        (Load(), 100),
        (Made, 60),
        (partial(load), 200),
        (lambda n_workers, worker: load(worker, n_workers), 200),
    ],
)
def test_each_worker_yields_its_share(functor, count, inline) -> None:
    pline = mp.PipeLine([mp.Source(functor, n_processes=3), mp.Transform(lambda x: x + 1)])
    assert sorted(pline.build(inline=inline)) == list(range(1, count + 1))


@pytest.mark.parametrize("inline", [False, True])
def test_one_worker_has_all_of_it(inline) -> None:
    assert list(mp.PipeLine([mp.Source(load)]).build(inline=inline)) == list(range(200))


@pytest.mark.parametrize("inline", [False, True])
def test_each_worker_goes_through_its_epochs(inline) -> None:
    def load(worker: int, n_workers: int) -> Iterator[tuple[int, int, int]]:
        info = mp.get_worker_info()
        assert info is not None and info.num_workers == n_workers
        yield worker, info.epoch, info.common_seed

    source = mp.Source(load, "load", epochs=2)
    got = sorted(mp.PipeLine().add(source, n_processes=3).build(inline=inline).run(seed=5))
    common = {seed for _, _, seed in got}
    assert [(w, e) for w, e, _ in got] == [(w, e) for w in range(3) for e in range(2)]
    assert len(common) == 1
    # Other runs draw another one; one with the same seed has the same.
    again = mp.PipeLine().add(source, n_processes=3).build(inline=True)
    assert {seed for _, _, seed in again.run(seed=5)} == common
    assert {seed for _, _, seed in again} != common


@pytest.mark.parametrize("ordered", [False, True])
def test_each_worker_keeps_its_order(ordered) -> None:
    double = mp.Transform(lambda x: 2 * x, n_processes=2, ordered=ordered)
    got = list(mp.PipeLine([mp.Source(load, n_processes=2), double]))
    assert sorted(got) == list(range(0, 400, 2))
    if ordered:
        for worker in range(2):
            assert [x for x in got if x // 2 % 2 == worker] == list(range(2 * worker, 400, 4))


def test_each_worker_deals_out_bundles_of_its_own() -> None:
    batches = list(
        mp.PipeLine([mp.Source(load, n_processes=3), mp.Transform(lambda x: x, batch=8)])
    )
    assert sorted(x for batch in batches for x in batch.tolist()) == list(range(200))
    for batch in batches:
        assert len(set((batch % 3).tolist())) == 1


def slow_load(worker: int, n_workers: int) -> Iterator[np.ndarray]:
    for i in range(worker, 300, n_workers):
        yield np.full(20_000, i)  # in slots


class KillsItself:
    """Its worker dies now and then, but not twice at one item."""

    def __init__(self, directory: str) -> None:
        self.directory = directory

    def __call__(self, x: np.ndarray) -> int:
        number = int(x[0])
        if number % 100 == 50:
            try:
                os.close(os.open(os.path.join(self.directory, str(number)), os.O_CREAT | os.O_EXCL))
            except FileExistsError:
                return number
            os.kill(os.getpid(), signal.SIGKILL)
        return number


def test_what_dies_behind_several_source_workers_costs_nothing(tmp_path) -> None:
    pline = mp.PipeLine(
        [
            mp.Source(slow_load, n_processes=3),
            mp.Transform(KillsItself(str(tmp_path)), n_processes=2, max_restarts=10, restart=True),
            mp.Sink(Collect(), "keep"),
        ]
    )
    assert sorted(pline.run().close()["keep"]) == list(range(300))
    assert len(list(tmp_path.iterdir())) == 3


def dies(worker: int, n_workers: int) -> Iterator[int]:
    yield from range(10)
    if worker == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    yield from range(10)


def test_a_dead_worker_ends_the_run() -> None:
    with pytest.raises(mp.WorkerDiedError, match=r"'dies'.*SIGKILL.*so the run was stopped"):
        list(mp.PipeLine([mp.Source(dies, "dies", n_processes=2)]))


def test_the_loop_may_be_left_early() -> None:
    def endless(worker: int, n_workers: int) -> Iterator[int]:
        number = worker
        while True:
            yield number
            number += n_workers

    pline = mp.PipeLine([mp.Source(endless, n_processes=2)])
    for number in pline:
        if number > 50:
            break


@pytest.mark.parametrize(
    "functor", [[1, 2], lambda: [1], range(3), type("Old", (), {"run": lambda self: [1]})]
)
@pytest.mark.parametrize("system", [False, True])
def test_one_that_takes_no_share_is_refused(functor, system) -> None:
    stream = mp.Stream()
    if system:
        pline = mp.PipeSystem(
            [mp.Source(functor, "load", stream, n_processes=3), mp.Sink(print, upstreams=stream)]
        )
    else:
        pline = mp.PipeLine().add(mp.Source(functor, "load"), n_processes=3).add(mp.Sink(print))
    with pytest.raises(mp.OptionError, match="take `worker, n_workers`"):
        pline.build()


def test_half_a_share_is_none() -> None:
    with pytest.raises(mp.BuildError, match="`worker` and `n_workers` if it takes both"):
        mp.Source(lambda worker: [1])
