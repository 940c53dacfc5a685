"""`minipipe.torch.loader(dataset, ...)` beside DataLoader with the same arguments.

python -m benchmarks.dataset_loader [part of a row's name]   prints processor time as well
python -m benchmarks dataset                                 a row for each number that must hold

Both have their workers all the time and take passes in turn, so that what else the machine does
meets both.  Where it is busy, trust the ratios of processor time.
"""

from __future__ import annotations

import importlib.util
import statistics
import sys
import time
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.cpu import cpu_s
from benchmarks.row import Row

PAIRS = 9
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


@dataclass(frozen=True)
class Cell:
    """What is measured; `must` and `goal`: the ratio of the rates, where one is owed."""

    what: str
    dataset: Any
    options: dict[str, Any] = field(default_factory=dict)
    must: float | None = None
    goal: float | None = None


CELLS = [
    Cell("5 ms a sample, batches of 64", Augmented(64 * 8), {"batch_size": 64}, 1.0, 1.1),
    Cell(
        "batches of 10 MB out of 64 samples",
        Samples(64 * 200, 10_000_000),
        {"batch_size": 64},
        3,
        6,
    ),
    Cell("batches of 10 MB that the dataset gives", Large(200), {"batch_size": None}, 3, 6),
    Cell("batches of 200 kB out of 64 samples", Samples(64 * 1000, 200_000), {"batch_size": 64}),
]


class Pass(NamedTuple):
    """What one pass has shown."""

    batches_per_s: float
    cpu_ms: float  # of all processes, for each batch


def descendants() -> Iterator[int]:
    """This process, and all that come of it (Linux)."""
    pids = ["self"]
    while pids:
        tasks = Path("/proc", pids.pop(), "task")
        try:
            yield int(tasks.resolve().parent.name)
            pids += [
                pid for each in tasks.iterdir() for pid in (each / "children").read_text().split()
            ]
        except OSError:
            continue  # it has ended


def one_pass(loader: Iterable[Any]) -> Pass:
    """From the first batch of a pass to its last; each is looked at."""
    pids = list(descendants())
    batches = iter(loader)
    next(batches)
    began_s, began_cpu_s = time.monotonic(), cpu_s(pids)
    seen = 0
    for batch in batches:
        array = batch[0] if isinstance(batch, list) else batch
        assert array.reshape(-1)[-1] >= 0
        seen += 1
    took_s, took_cpu_s = time.monotonic() - began_s, cpu_s(pids) - began_cpu_s
    return Pass(seen / took_s, took_cpu_s / seen * 1e3)


class Measured(NamedTuple):
    """Medians over the passes of both, and of the ratios of those that were taken together."""

    ours: Pass
    theirs: Pass
    ratio: float  # of the rates
    cpu_ratio: float


def measured(cell: Cell) -> Measured:
    """Takes passes of both in turn; which one comes first changes from pair to pair."""
    from torch.utils.data import DataLoader

    import minipipe.torch

    options = {**cell.options, "num_workers": WORKERS, "persistent_workers": True}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the number of workers
        theirs = DataLoader(cell.dataset, **options)
        with minipipe.torch.loader(cell.dataset, **options) as ours:
            for loader in (ours, theirs):
                list(islice(loader, 3))
            pairs: list[tuple[Pass, Pass]] = []
            for number in range(PAIRS):
                if number % 2:
                    other = one_pass(theirs)
                    pairs.append((one_pass(ours), other))
                else:
                    pairs.append((one_pass(ours), one_pass(theirs)))
    return Measured(
        _medians(one for one, _ in pairs),
        _medians(other for _, other in pairs),
        statistics.median(one.batches_per_s / other.batches_per_s for one, other in pairs),
        statistics.median(one.cpu_ms / other.cpu_ms for one, other in pairs),
    )


def _medians(passes: Iterable[Pass]) -> Pass:
    return Pass(*map(statistics.median, zip(*passes, strict=True)))


def rows() -> list[Row]:
    """The cells whose ratio is owed, if torch is installed."""
    if importlib.util.find_spec("torch") is None:
        return []
    made: list[Row] = []
    for cell in CELLS:
        if cell.must is None:
            continue
        ours, theirs, ratio, _ = measured(cell)
        made.append(
            Row(
                f"loader of a dataset, {WORKERS} workers, {cell.what}",
                f"{ours.batches_per_s:,.1f} /s",
                f"DataLoader {theirs.batches_per_s:,.1f} /s",
                ratio,
                "x",
                cell.must,
                cell.goal,
                larger_is_better=True,
            )
        )
    return made


def main() -> None:
    """Prints all cells, or those named."""
    print(f"{WORKERS} workers; medians: batches a second, ms of processor time a batch")
    print(f"{'':40s} {'MiniPipe':>16s} {'DataLoader':>16s}  ratios")
    wanted = sys.argv[1] if len(sys.argv) > 1 else ""
    for cell in (cell for cell in CELLS if wanted in cell.what):
        ours, theirs, ratio, cpu_ratio = measured(cell)
        print(
            f"{cell.what:40s} {ours.batches_per_s:8.1f} {ours.cpu_ms:7.2f} "
            f"{theirs.batches_per_s:8.1f} {theirs.cpu_ms:7.2f}  {ratio:.2f} {cpu_ratio:.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
