"""The pipeline of the job, and what follows from its bounds."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from minipipe.demo.digits import DECODED_BYTES
from minipipe.demo.functors import Chunk, Trainer, load_and_augment
from minipipe.pipeline import PipeLine
from minipipe.segment import Sink, Source, Transform

MIN_WORKERS, MAX_WORKERS = 2, 4  # the trainer keeps up with no more than about two
WAITING = 2  # chunks of each augmenting worker that may wait for the trainer

# Of one augmenting worker's chunks: what it has just made, the copy of that for sending, and
# the one before it, which may be on its way still (and be half received already).
HELD_BY_WORKER = 3
HELD_BY_TRAINER = 1  # it trains on one; those that wait are counted above
# For each process, what it needs to work at all: temporary arrays, the network and its
# gradients, buffers of BLAS and of ZeroMQ, what malloc keeps for itself.
WORKING_BYTES = 8 * 2**20


def training_pipeline(
    files: list[str],
    trainer: Trainer,
    workers: int,
    transform: Callable[[str], Chunk] = load_and_augment,
) -> PipeLine:
    """Streams the files through `workers` augmenting processes to one that trains.

    Args:
        files: names of chunk files.
        trainer: what they are for.
        workers: how many decode and augment.
        transform: decodes and augments one file.
    """
    pline = PipeLine()
    pline.add(Source(files, name="Files"))
    pline.add(Transform(transform, name="Augment"), n_processes=workers)
    pline.add(Sink(trainer, name="Train"), buffer_size=WAITING * workers)
    return pline


def held_chunks(workers: int) -> int:
    """How many decoded chunks there can be at any moment, in all processes together."""
    return workers * (HELD_BY_WORKER + WAITING) + HELD_BY_TRAINER


def memory_limit_bytes(workers: int) -> int:
    """What the worker processes may hold, beyond what their interpreters and imports need."""
    processes = workers + 2
    return held_chunks(workers) * DECODED_BYTES + processes * WORKING_BYTES


def default_workers(cores: int) -> int:
    """As many as there are cores, but two at least and not more than the trainer can use."""
    return max(MIN_WORKERS, min(MAX_WORKERS, cores))


def usable_cores() -> int:
    """How many cores this process may use: a container may have fewer than its machine."""
    cores = os.cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        return max(1, min(cores, int(quota) // int(period)))
    except (OSError, ValueError):
        return cores  # no cgroup v2, or its quota is "max"
