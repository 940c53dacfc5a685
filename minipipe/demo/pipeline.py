"""The pipeline of the job, and what follows from its bounds."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from minipipe.demo.digits import CHUNK_IMAGES, ROW_BYTES
from minipipe.demo.functors import Rows, Trainer, load_and_augment
from minipipe.pipeline.line import PipeLine
from minipipe.regulators.rebatch import Rebatch
from minipipe.segments.broadcast import Broadcast
from minipipe.segments.kinds import Regulator, Sink, Source, Transform

WORKERS = 2  # they make chunks a little faster than the largest model trains on them
BATCH_ROWS = 1024
SHUFFLE_ROWS = 8192  # the rows of a batch are drawn from as many, so from several files
SHUFFLE_SEED = 23

WAITING_CHUNKS = 2  # of each augmenting worker, that may wait for Rebatch
WAITING_BATCHES = 4  # that may wait for each model
# Of one augmenting worker's chunks: what it has just made, the copy of that for sending, and
# the one before it, which may be on its way still (and be half received already).
CHUNKS_AT_WORKER = 3
CHUNKS_AT_REBATCH = 1  # the one that it takes rows from
# What it has just drawn, the copy of that for sending, and those that one model is behind.
BATCHES_AT_REBATCH = 2 + WAITING_BATCHES
BATCHES_AT_MODEL = WAITING_BATCHES + 1  # it trains on one
# For each process, what it needs to work at all: temporary arrays, a network and its gradients,
# buffers of BLAS and of ZeroMQ, what malloc keeps for itself.
WORKING_BYTES = 8 * 2**20


def training_pipeline(
    files: list[str],
    trainers: Mapping[str, Trainer],
    workers: int,
    transform: Callable[[str], Rows] = load_and_augment,
    rebatch: Regulator | None = None,
) -> PipeLine:
    """Decodes and augments the files once, and gives every row to every model.

    Args:
        files: names of chunk files.
        trainers: what they are for, by the names of the models.
        workers: how many processes decode and augment.
        transform: decodes and augments one file.
        rebatch: mixes the chunks and cuts them into batches (default: `row_batches()`).
    """
    pline = PipeLine()
    pline.add(Source(files, name="Files"))
    pline.add(Transform(transform, name="Augment"), n_processes=workers)
    pline.add(rebatch or row_batches(), buffer_size=WAITING_CHUNKS * workers)
    pline.add(
        Broadcast(
            {
                name: Sink(trainer, "Train", buffer_size=WAITING_BATCHES)
                for name, trainer in trainers.items()
            }
        )
    )
    return pline


def row_batches() -> Rebatch:
    """Batches of rows that are drawn at random, the same for the same chunks."""
    return Rebatch(BATCH_ROWS, shuffle=SHUFFLE_ROWS, seed=SHUFFLE_SEED)


def processes(workers: int, models: int) -> int:
    """How many there are, with those of Files and Rebatch."""
    return workers + models + 2


def held_rows(workers: int, models: int) -> int:
    """How many decoded rows there can be at any moment, in all processes together."""
    chunks = workers * (CHUNKS_AT_WORKER + WAITING_CHUNKS) + CHUNKS_AT_REBATCH
    batches = BATCHES_AT_REBATCH + models * BATCHES_AT_MODEL
    pool = SHUFFLE_ROWS + BATCH_ROWS
    return chunks * CHUNK_IMAGES + pool + batches * BATCH_ROWS


def memory_limit_bytes(workers: int, models: int) -> int:
    """What the worker processes may hold, beyond what their interpreters and imports need."""
    working = processes(workers, models) * WORKING_BYTES
    return held_rows(workers, models) * ROW_BYTES + working
