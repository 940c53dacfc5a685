"""Samples of 150 kB put into batches by the workers that make them, beside DataLoader's."""

from __future__ import annotations

import importlib.util
import statistics
import time
import warnings
from collections.abc import Iterable
from multiprocessing import get_context
from typing import Any

import numpy as np

import minipipe as mp
from benchmarks.row import Row
from minipipe.regulators.collate import collate

BATCH = 256
BATCHES = 24
WORKERS = 4
SHAPE = (224, 224, 3)
PAIRS = 3

Sample = tuple[Any, int]


class Images:
    """A map-style dataset whose samples cost what it takes to write them."""

    def __init__(self, count: int = BATCH * BATCHES) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, i: int) -> Sample:
        return np.full(SHAPE, i % 256, np.uint8), i


def samples_per_s(batches: Iterable[Any]) -> float:
    """From the first batch to the last; each is looked at."""
    began_s, seen = 0.0, 0
    for image, label in batches:
        assert image.shape == (BATCH, *SHAPE)
        assert int(image[-1, 0, 0, 0]) == int(label[-1]) % 256
        seen += 1
        began_s = began_s or time.monotonic()
    assert seen == BATCHES
    return BATCH * (BATCHES - 1) / (time.monotonic() - began_s)


def ours() -> float:
    """A Transform with `batch=`."""
    images = Images()
    pline = mp.PipeLine([mp.Source(range(len(images)), "indices")])
    load = mp.Transform(images.__getitem__, "load", batch=BATCH, n_processes=WORKERS)
    return samples_per_s(pline.add(load).build(log_lvl="WARNING"))


def of_data_loader() -> float:
    """DataLoader, whose workers collate, too."""
    from torch.utils.data import DataLoader

    images: Any = Images()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says that there are fewer cores
        return samples_per_s(DataLoader(images, batch_size=BATCH, num_workers=WORKERS))


def _batch_from(first: int) -> Any:
    images = Images()
    return collate([images[i] for i in range(first, first + BATCH)])


def of_pool() -> float:
    """A Pool whose workers collate."""
    with get_context("fork").Pool(WORKERS) as pool:
        return samples_per_s(pool.imap_unordered(_batch_from, range(0, len(Images()), BATCH)))


def rows() -> list[Row]:
    """The rate beside that of DataLoader; where there is no torch, of a Pool."""
    has_torch = importlib.util.find_spec("torch") is not None
    peer, name = (of_data_loader, "DataLoader") if has_torch else (of_pool, "Pool that collates")
    pairs = [(ours(), peer()) for _ in range(PAIRS)]
    return [
        Row(
            f"samples of 150 kB into batches of {BATCH}, made by {WORKERS} workers",
            f"{statistics.median(one for one, _ in pairs):,.0f} /s",
            f"{name} {statistics.median(other for _, other in pairs):,.0f} /s",
            statistics.median(one / other for one, other in pairs),
            "x",
            1.2,
            1.5,
            larger_is_better=True,
        )
    ]
