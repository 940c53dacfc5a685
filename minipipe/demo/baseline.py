"""The same job in one process: how long it takes, and what the best possible speed-up is."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from functools import partial
from typing import Any

from minipipe.demo.digits import Digits
from minipipe.demo.functors import MODELS, Model, Rows, Trainer, Training, load_and_augment
from minipipe.demo.pipeline import row_batches, training_pipeline
from minipipe.pipeline.line import PipeLine
from minipipe.segments.kinds import Regulator
from minipipe.segments.markers import EndOfStream


@dataclass(frozen=True)
class Baseline:
    """One run with `build(inline=True)`: loads and augments once, too, and trains every model.

    Its work is the time in the functors.
    """

    trainings: dict[str, Training]  # by the name of the model
    took_s: float
    augment_s: float
    rebatch_s: float
    train_s: tuple[float, ...]  # of each model
    pline: PipeLine | None = None

    @property
    def work_s(self) -> float:
        return self.augment_s + self.rebatch_s + sum(self.train_s)

    def ideal_speedup(self, workers: int, cores: int) -> float:
        """How much quicker the job could be at best.

        All work, by what takes longest: the busiest worker's share (Augment has several, Rebatch
        and each model one), or all work's share of a core.
        """
        longest_s = max(
            self.augment_s / workers, self.rebatch_s, max(self.train_s), self.work_s / cores
        )
        return self.work_s / longest_s


class _Clock:
    """Measures the time in calls."""

    def __init__(self) -> None:
        self.busy_s = 0.0

    def time(self, function: Callable[..., Any], *args: Any) -> Any:
        began_s = time.perf_counter()
        try:
            return function(*args)
        finally:
            self.busy_s += time.perf_counter() - began_s


class _TimedTransform(_Clock):
    """`load_and_augment`, and how long it has been at work."""

    def __call__(self, name: str) -> Rows:
        rows: Rows = self.time(load_and_augment, name)
        return rows


class _TimedRegulator(_Clock):
    """The functor of a Regulator, and how long it has been at work."""

    def __init__(self, functor: Any) -> None:
        super().__init__()
        self._functor = functor

    def run(self) -> Generator[Any, Any, None]:
        coroutine: Generator[Any, Any, None] = self._functor.run()
        step = partial(coroutine.send, None)
        while True:
            try:
                output = self.time(step)
            except StopIteration:
                return
            try:
                step = partial(coroutine.send, (yield output))
            except EndOfStream as end:
                step = partial(coroutine.throw, end)


class _TimedTrainer(Trainer):
    """A trainer, and how long it has been at work."""

    def __init__(self, model: Model, digits: Digits, rows: int) -> None:
        super().__init__(model, digits, rows)
        self.clock = _Clock()

    def run(self, batch: Rows) -> None:
        self.clock.time(super().run, batch)


def run_inline(files: list[str], digits: Digits, rows: int) -> Baseline:
    """Runs the same files through the same functors, in this process and thread.

    Args:
        files: names of chunk files.
        digits: those that the models are tested with.
        rows: how many digits the files hold.
    """
    from threadpoolctl import threadpool_limits

    transform = _TimedTransform()
    regulator = _TimedRegulator(row_batches().functor_obj)
    trainers = {model.name: _TimedTrainer(model, digits, rows) for model in MODELS}
    rebatch = Regulator(regulator, "Rebatch")
    # One thread for BLAS, as each process of the other run has: with more, this would not be
    # one core's work, and what is compared would be BLAS.
    with threadpool_limits(1):
        began_s = time.perf_counter()
        pline = training_pipeline(files, trainers, 1, transform, rebatch)
        results = pline.build("WARNING", inline=True).run(trace=True).close()
        took_s = time.perf_counter() - began_s
    return Baseline(
        {name: results[f"{name}/Train"] for name in trainers},
        took_s,
        transform.busy_s,
        regulator.busy_s,
        tuple(trainer.clock.busy_s for trainer in trainers.values()),
        pline,
    )
