"""Several models in training at once on one device, each in a process of its own."""

from __future__ import annotations

import itertools
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from typing import Any

import minipipe as mp
from benchmarks.gpu.measuring import Size


class Trains:
    """A trainer that is a segment: trains on what comes; its result is its images a second.

    Its torch is imported in the worker, after `gpus=` was heeded.
    """

    def __init__(self, size: Size) -> None:
        self.size = size

    def local_init(self) -> None:
        from benchmarks.gpu.models import Trainer, resnet18

        self.trainer = Trainer(resnet18(self.size.width), self.size.device)
        self.count = 0
        self.began_s = self.ended_s = 0.0

    def run(self, batch: Any) -> None:
        import time

        import minipipe.torch

        self.trainer.step(*minipipe.torch.to_device(batch, self.size.device))
        self.count += 1
        if self.count == self.size.warm_up:
            self.trainer.finish()
            self.began_s = time.monotonic()

    def local_term(self) -> float:
        import time

        self.trainer.finish()
        took_s = time.monotonic() - self.began_s
        return (self.count - self.size.warm_up) * self.size.batch / took_s


def broadcast(size: Size, batches: int) -> float:
    """One stream, decoded once, broadcast to all models; images a second over all of them."""
    from benchmarks.gpu.images import Jpegs

    gpus: dict[str, Any] = {} if size.device == "cpu" else {"gpus": [0]}
    load = Jpegs(batches * size.batch, size.image)
    pline = mp.PipeLine([mp.Source(range(len(load)))])
    workers = max(1, size.workers - size.models + 1)
    pline.add(mp.Transform(load.__getitem__, batch=size.batch, n_processes=workers))
    names = [f"model {number}" for number in range(size.models)]
    pline.add(mp.Broadcast([mp.Sink(Trains(size), name, **gpus) for name in names]))
    found = pline.run(preload=["torch"]).close()
    return float(sum(found[name] for name in names))


_ready: Any = None  # in each of those processes: a barrier of all


def _begin(ready: Any) -> None:
    global _ready
    _ready = ready


def _one(size: Size) -> float:
    import torch

    from benchmarks.gpu.feeds import data_loader
    from benchmarks.gpu.measuring import trained
    from benchmarks.gpu.models import Trainer, resnet18

    torch.set_num_threads(1)
    trainer = Trainer(resnet18(size.width), size.device)
    batches = data_loader(size)
    first = next(batches)
    _ready.wait()  # else the first would have the device for itself
    return trained(trainer, itertools.chain([first], batches), size)["images_per_s"]


def data_loaders(size: Size) -> float:
    """A DataLoader in each of the processes, the workers shared among them."""
    context = multiprocessing.get_context("spawn")
    its = replace(size, workers=max(1, size.workers // size.models))
    with ProcessPoolExecutor(
        size.models, context, initializer=_begin, initargs=(context.Barrier(size.models),)
    ) as pool:
        return sum(pool.map(_one, [its] * size.models))
