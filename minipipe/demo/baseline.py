"""The same job in one process: how long it takes, and what the best possible speed-up is."""

from __future__ import annotations

import time
from dataclasses import dataclass

from minipipe.demo.digits import Digits
from minipipe.demo.functors import Chunk, Trainer, Training, load_and_augment
from minipipe.demo.pipeline import training_pipeline


@dataclass(frozen=True)
class Baseline:
    """One run with `build(inline=True)`."""

    training: Training
    took_s: float
    augment_s: float  # in the functor of the Transform
    train_s: float  # in that of the Sink

    def ideal_speedup(self, workers: int, cores: int) -> float:
        """How much quicker the job could be at best.

        All work, by what takes longest: the busiest segment's share of a worker, or all work's
        share of a core.
        """
        total_s = self.augment_s + self.train_s
        return total_s / max(self.augment_s / workers, self.train_s, total_s / cores)


class _Timed:
    """`load_and_augment`, and how long it has been at work."""

    def __init__(self) -> None:
        self.busy_s = 0.0

    def __call__(self, name: str) -> Chunk:
        began_s = time.perf_counter()
        try:
            return load_and_augment(name)
        finally:
            self.busy_s += time.perf_counter() - began_s


class _TimedTrainer(Trainer):
    """A trainer, and how long it has been at work."""

    busy_s = 0.0

    def run(self, chunk: Chunk) -> None:
        began_s = time.perf_counter()
        try:
            super().run(chunk)
        finally:
            self.busy_s += time.perf_counter() - began_s


def run_inline(files: list[str], digits: Digits) -> Baseline:
    """Runs the same files through the same functors, in this process and thread."""
    from threadpoolctl import threadpool_limits

    transform, trainer = _Timed(), _TimedTrainer(digits, len(files))
    # One thread for BLAS, as each process of the other run has: with more, this would not be
    # one core's work, and what is compared would be BLAS.
    with threadpool_limits(1):
        began_s = time.perf_counter()
        pline = training_pipeline(files, trainer, 1, transform).build("WARNING", inline=True)
        training: Training = pline.run().close()["Train"]
        took_s = time.perf_counter() - began_s
    return Baseline(training, took_s, transform.busy_s, trainer.busy_s)
