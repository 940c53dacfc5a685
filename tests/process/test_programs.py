"""The programs of minipipe 0.1.9's documents, written as they stand there, run unchanged.

This module imports no pytest: every worker that runs a function of it imports it whole.
"""

from __future__ import annotations

import multiprocessing
import random
import time

import numpy as np

import minipipe as mp


# ------------------------------------------------------------------ 1. the toy
def loader():
    for i in range(10):
        time.sleep(0.005)
        yield i


def transform(data):
    time.sleep(0.01)
    return data * 2


def save(data):
    print(f"got {data}")


def test_the_toy_prints_every_item_once(capsys) -> None:
    expected = [f"got {2 * i}" for i in range(10)]
    for n_processes in (1, 2):
        pline = mp.PipeLine()
        pline.add(mp.Source(loader, "data_loader"))
        pline.add(mp.Transform(transform, "transform"), n_processes=n_processes, buffer_size=10)
        pline.add(mp.Sink(save, "save"))
        pline.build(log_lvl="warning")
        pline.run()
        pline.close()
        lines = capsys.readouterr().out.splitlines()
        assert lines == expected if n_processes == 1 else sorted(lines) == sorted(expected)


# ---------------------------------------------------------------- 2. the graph
def arrays():
    for i in range(3):
        yield np.full(4, i, dtype=np.int64)  # 4 rows: two batches of two


def batches(batch_size: int = 2):
    array = yield
    for first in range(0, len(array), batch_size):
        yield array[first : first + batch_size]


def add_up(batch):
    return int(batch.sum())


def switch(x):
    return [x, None] if x > 1 else [None, x]


class Keep:
    def local_init(self) -> None:
        self.got: list[int] = []

    def run(self, x: int) -> None:
        self.got.append(x)

    def local_term(self) -> list[int]:
        return self.got


def test_the_graph_of_two_sources_a_regulator_and_a_switch() -> None:
    data, batched, sums, large, small = (
        mp.Stream(name) for name in ("data", "batched", "sums", "large", "small")
    )
    psys = mp.PipeSystem(
        [
            mp.Sink(Keep(), "small", upstreams=[small]),
            mp.Source(arrays, "one", downstreams=[data]),
            mp.Source(arrays, "two", downstreams=[data]),
            mp.Regulator(batches, "batch", upstreams=[data], downstreams=[batched]),
            mp.Transform(add_up, "sum", upstreams=[batched], downstreams=[sums]),
            mp.Transform(switch, "switch", upstreams=[sums], downstreams=[large, small]),
            mp.Sink(Keep(), "large", upstreams=[large]),
        ]
    )
    psys.build()
    psys.run()
    assert {name: sorted(got) for name, got in psys.close().items()} == {
        "small": [0] * 4,
        "large": [2] * 4 + [4] * 4,
    }


# ----------------------------------------------------------- 3. objects with state
class RandomWalk:
    def __init__(self, steps: int) -> None:
        self.steps = steps

    def local_init(self) -> None:
        self.random = random.Random(7)
        self.at = 0.0

    def run(self):
        for _ in range(self.steps):
            self.at += self.random.gauss(0, 1)
            yield self.at


class MovingAverage:
    def local_init(self) -> None:
        self.averages: list[float] = []

    def run(self, x: float) -> None:
        last = self.averages[-1] if self.averages else x
        self.averages.append(0.9 * last + 0.1 * x)

    def local_term(self) -> list[float]:
        return self.averages


def test_objects_keep_their_state_from_local_init_to_local_term() -> None:
    pline = mp.PipeLine()
    pline.add(mp.Source(RandomWalk(100), "walk"))
    pline.add(mp.Sink(MovingAverage(), "average"))
    pline.build()
    pline.run()
    walk, average = RandomWalk(100), MovingAverage()
    walk.local_init()
    average.local_init()
    for x in walk.run():
        average.run(x)
    assert pline.close() == {"average": average.averages}


# ------------------------------------------------------------------ 4. the loop
done = multiprocessing.Event()


def fib(a, b):
    print(a)
    if b > 100:
        done.set()
    return b, a + b


def test_the_loop_of_two_seeded_streams_ends_by_its_flag(capsys) -> None:
    a, b = mp.Stream(), mp.Stream()
    a.q.put(0)
    b.q.put(1)
    segment = mp.Transform(fib, "fib", upstreams=[a, b], downstreams=[a, b])
    segment.set_term_flag(done)
    psys = mp.PipeSystem([segment])
    psys.build()
    for _ in range(2):  # seeds and flag are as they were, so it does the same again
        psys.run()
        psys.close(30)
        numbers = [int(line) for line in capsys.readouterr().out.split()]
        assert numbers == [0, 1, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89]
        psys.reset()


# ------------------------------------------------------------------ 5. the search
class Train:
    """Fits a slope by steps of its own size, as the models of the search do."""

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self.slope = 0.0

    def run(self, data):
        x, y = data
        self.slope -= self.rate * float(np.mean((self.slope * x - y) * x))
        return self.slope


def evaluate(slope):
    return abs(slope - 3.0)


class Plot:
    def local_init(self) -> None:
        self.rows: list[tuple[float, ...]] = []

    def run(self, *errors: float) -> None:
        self.rows.append(errors)

    def local_term(self) -> list[tuple[float, ...]]:
        return self.rows


def data(count: int):
    for i in range(count):
        x = np.linspace(0, 1, 8) + i
        yield ((x, 3.0 * x),) * 4


RATES = (0.1, 0.01, 0.001, 0.0)


def search_in_one_loop(count: int) -> list[tuple[float, ...]]:
    models = [Train(rate) for rate in RATES]
    return [
        tuple(evaluate(model.run(part)) for model, part in zip(models, parts, strict=True))
        for parts in data(count)
    ]


def test_the_search_with_four_models_and_again_after_reset() -> None:
    loads = [mp.Stream(f"load_{i}") for i in range(4)]
    fits = [mp.Stream(f"fit_{i}") for i in range(4)]
    errors = [mp.Stream(f"error_{i}") for i in range(4)]
    segments = [mp.Source(data(6), "data", downstreams=loads)]  # an initialised generator
    for i, rate in enumerate(RATES):
        segments += [
            mp.Transform(Train(rate), f"train_{i}", upstreams=[loads[i]], downstreams=[fits[i]]),
            mp.Transform(evaluate, f"evaluate_{i}", upstreams=[fits[i]], downstreams=[errors[i]]),
        ]
    segments.append(mp.Sink(Plot(), "plot", upstreams=errors))
    psys = mp.PipeSystem(segments)
    psys.build()
    psys.run()
    first = psys.close(60)
    assert first == {"plot": search_in_one_loop(6)}
    psys.reset()
    assert psys.results == {}
    psys.run()
    assert psys.close(60) == first
