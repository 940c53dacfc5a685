"""The ways in which batches come to a model on a device: one generator for each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import torch
from torch.utils.data import DataLoader

import minipipe as mp
import minipipe.torch
from benchmarks.gpu.images import Jpegs
from benchmarks.gpu.measuring import Size

ENDLESS = 10**7  # images: more than anybody trains on here
Feed = Callable[[Size], Iterator[Any]]


def ceiling(size: Size) -> Iterator[Any]:
    """One batch that stays on the device."""
    shape = (size.batch, size.image, size.image, 3)
    images = torch.randint(0, 256, shape, dtype=torch.uint8, device=size.device)
    labels = torch.randint(0, 10, (size.batch,), device=size.device)
    while True:
        yield images, labels


def data_loader(size: Size, workers: int | None = None) -> Iterator[Any]:
    """DataLoader at its best: samples, pinned memory, workers that stay, four batches ahead."""
    is_cuda = torch.device(size.device).type == "cuda"
    loader = DataLoader(
        Jpegs(ENDLESS, size.image),
        size.batch,
        num_workers=size.workers if workers is None else workers,
        pin_memory=is_cuda,
        persistent_workers=True,
        prefetch_factor=4,
    )
    for images, labels in loader:
        yield (
            images.to(size.device, non_blocking=True),
            labels.to(size.device, non_blocking=True),
        )


def dataset_loader(size: Size) -> Iterator[Any]:
    """The swap: `minipipe.torch.loader` of the same dataset."""
    dataset = Jpegs(ENDLESS, size.image)
    loader = minipipe.torch.loader(
        dataset, size.batch, num_workers=size.workers, device=size.device, prefetch_factor=4
    )
    with closing(loader):
        yield from loader


def pipeline(size: Size, workers: int | None = None) -> mp.PipeLine:
    """Batches that the workers put together, in shared memory."""
    load = mp.Transform(Jpegs(ENDLESS, size.image).__getitem__, "load", batch=size.batch)
    pline = mp.PipeLine([mp.Source(range(ENDLESS))])
    pline.add(load, n_processes=size.workers if workers is None else workers)
    return pline


def pipe_loader(size: Size) -> Iterator[Any]:
    """`minipipe.torch.loader` of a pipeline."""
    batches = iter(minipipe.torch.loader(pipeline(size), device=size.device))
    try:
        yield from batches
    finally:
        batches.close()


FEEDS: dict[str, Feed] = {
    "ceiling: one batch that stays on the device": ceiling,
    "DataLoader, pin_memory": data_loader,
    "minipipe.torch.loader(dataset)": dataset_loader,
    "minipipe.torch.loader(pline)": pipe_loader,
}
