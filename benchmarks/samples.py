"""Samples of 150 kB and a label into batches of 256, beside PyTorch's DataLoader and the limit."""

from __future__ import annotations

import importlib
import statistics
import sys
import time
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from typing import Any

import numpy as np

import minipipe as mp
from benchmarks.row import Row

REPEATS = 5
BATCH = 256
BATCHES = 40
_MADE = 64  # 9.6 MB: what a loader has just decoded lies in a cache, too

Sample = tuple[np.ndarray[Any, Any], int]


def made() -> list[np.ndarray[Any, Any]]:
    """The different images."""
    rng = np.random.default_rng(0)
    return list(rng.integers(0, 256, (_MADE, 224, 224, 3), np.uint8))


def samples(count: int) -> Iterator[Sample]:
    """As a worker loads them: an image and a label."""
    images = made()
    for i in range(count):
        yield images[i % _MADE], i


class Samples:
    """The same as a data set of PyTorch's, whose worker makes batches of them."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.images = made()

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, i: int) -> Sample:
        return self.images[i % _MADE], i


def rate(batches: Iterable[Any]) -> float:
    """Samples a second, from when the first batch came: the start-up does not count."""
    first_s, count = 0.0, 0
    for _, labels in batches:
        if not first_s:
            first_s = time.monotonic()
        else:
            count += len(labels)
    assert count == (BATCHES - 1) * BATCH
    return count / (time.monotonic() - first_s)


def ours() -> float:
    pline = mp.PipeLine([mp.Source(lambda: samples(BATCH * BATCHES), "load"), mp.Batch(BATCH)])
    pline.build(log_lvl="WARNING")
    return rate(pline)


def dataloader() -> float:
    loader = importlib.import_module("torch.utils.data").DataLoader
    return rate(loader(Samples(BATCH * BATCHES), batch_size=BATCH, num_workers=1))


def stack_alone() -> float:
    """One process that does nothing but stack what it has."""
    images = made()
    batch = [images[i % _MADE] for i in range(BATCH)]
    stacked = np.empty((BATCH, *images[0].shape), np.uint8)  # always the same, and warm
    labels = list(range(BATCH))
    return rate((np.stack(batch, out=stacked), np.array(labels)) for _ in range(BATCHES))


def rows() -> list[Row]:
    """Samples a second, alternating with the peers; medians of the ratios."""
    has_torch = find_spec("torch") is not None
    if not has_torch:
        print("no verdict against DataLoader: torch is not installed", file=sys.stderr)
    rounds = [
        (ours(), stack_alone(), dataloader() if has_torch else float("nan")) for _ in range(REPEATS)
    ]
    own, limit, peer = (statistics.median(column) for column in zip(*rounds, strict=True))
    what = f"samples of 150 kB, one worker that loads, mp.Batch({BATCH})"
    alone = Row(
        what,
        f"{own:,.0f}/s",
        f"np.stack alone {limit:,.0f}/s",
        statistics.median(a / b for a, b, _ in rounds),
        "x",
        0.29,
        0.6,
        larger_is_better=True,
    )
    beside = Row(
        what,
        f"{own:,.0f}/s",
        f"PyTorch DataLoader, one worker {peer:,.0f}/s",
        statistics.median(a / c for a, _, c in rounds),
        "x",
        2.5,
        None,
        larger_is_better=True,
    )
    return [alone, beside] if has_torch else [alone]
