"""`minipipe.torch.loader(dataset, ...)` beside DataLoader with the same arguments, in one run.

python -m benchmarks.dataset_loader [part of a row's name]
"""

from __future__ import annotations

import statistics
import sys
import time
import warnings
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

PAIRS = 5
WORKERS = 2


class Augmented:
    """Samples of 224x224 that take 5 ms of a processor each: what decoding and augmenting take."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, i: int) -> Any:
        until_s = time.thread_time() + 0.005
        image = np.full((3, 224, 224), i % 251, np.uint8)
        while time.thread_time() < until_s:
            pass
        return image, i


class Large:
    """Whole batches of 10 MB, with nothing to compute."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.batch = np.arange(10_000_000 // 4, dtype=np.float32).reshape(100, -1)

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, i: int) -> Any:
        return self.batch


class Samples:
    """Rows with nothing to compute, of which 64 make a batch of so many bytes."""

    def __init__(self, count: int, batch_bytes: int) -> None:
        self.count = count
        self.sample = np.arange(batch_bytes // 4 // 64, dtype=np.float32)

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, i: int) -> Any:
        return self.sample


Cell = tuple[str, Any, dict[str, Any]]
CELLS: list[Cell] = [
    ("5 ms a sample, batches of 64", Augmented(64 * 10), {"batch_size": 64}),
    ("batches of 10 MB that the dataset gives whole", Large(300), {"batch_size": None}),
    ("batches of 10 MB out of 64 samples", Samples(64 * 300, 10_000_000), {"batch_size": 64}),
    ("batches of 200 kB out of 64 samples", Samples(64 * 2000, 200_000), {"batch_size": 64}),
]


def batches_per_s(loader: Iterable[Any]) -> float:
    """From the first batch of a pass to its last; each is looked at."""
    began_s, seen = 0.0, 0
    for batch in loader:
        array = batch[0] if isinstance(batch, list) else batch
        assert array.reshape(-1)[-1] >= 0
        began_s = began_s or time.monotonic()
        seen += 1
    return (seen - 1) / (time.monotonic() - began_s)


def measured(cell: Cell) -> tuple[float, float, float]:
    """Batches a second of both, and the median of the ratios; each pair is measured in turn."""
    from torch.utils.data import DataLoader

    import minipipe.torch

    _, dataset, options = cell
    options = {**options, "num_workers": WORKERS, "persistent_workers": True}
    makers: list[Callable[..., Any]] = [minipipe.torch.loader, DataLoader]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the number of workers
        ours, theirs = (make(dataset, **options) for make in makers)
        for loader in (ours, theirs):
            next(iter(loader))
        pairs = [(batches_per_s(ours), batches_per_s(theirs)) for _ in range(PAIRS)]
        ours.close()
    return (
        statistics.median(one for one, _ in pairs),
        statistics.median(other for _, other in pairs),
        statistics.median(one / other for one, other in pairs),
    )


def main() -> None:
    print(f"{WORKERS} workers; batches a second: MiniPipe, DataLoader, median of the ratios")
    wanted = sys.argv[1] if len(sys.argv) > 1 else ""
    for cell in (cell for cell in CELLS if wanted in cell[0]):
        ours, theirs, ratio = measured(cell)
        print(f"{cell[0]:50s} {ours:8.1f} {theirs:8.1f} {ratio:6.2f}")


if __name__ == "__main__":
    main()
