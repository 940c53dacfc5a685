"""Datasets of the tests: each sample draws from every generator there is."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections import namedtuple
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset, IterableDataset, get_worker_info

Point = namedtuple("Point", "x y")


def drawn() -> dict[str, Any]:
    info = get_worker_info()
    return {
        "torch": torch.rand(3),
        "numpy": np.random.rand(2),
        "python": random.random(),
        "worker": -1 if info is None else info.id,
        "workers": -1 if info is None else info.num_workers,
        "seed": "" if info is None else str(info.seed),
        "point": Point(np.float32(1.5), [b"text", "text"]),
        "flag": torch.tensor(True),
    }


class Mapped(Dataset):
    def __init__(self, count: int, rows: int = 4) -> None:
        self.count = count
        self.rows = rows
        self.epoch = 0
        self.seen = 0  # in this process

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, i: Any) -> dict[str, Any]:
        self.seen += 1
        image = torch.full((self.rows, 1000), float(i))
        return {"i": i, "image": image, "epoch": self.epoch, "seen": self.seen, **drawn()}


class AtOnce(Mapped):
    def __getitems__(self, indices: list[Any]) -> list[dict[str, Any]]:
        return [{"together": len(indices), **self[i]} for i in indices]


class Iterated(IterableDataset):
    """Worker w has `counts[w]` samples."""

    def __init__(self, counts: list[int]) -> None:
        self.counts = counts

    def __len__(self) -> int:
        return sum(self.counts)

    def __iter__(self) -> Any:
        info = get_worker_info()
        worker = 0 if info is None else info.id
        for k in range(self.counts[worker]):
            yield {"k": k, **drawn()}


def are_same(one: Any, other: Any) -> bool:
    """Whether two batches are equal, types, dtypes and layouts included."""
    if type(one) is not type(other):
        return False
    if isinstance(one, torch.Tensor):
        return one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and np.array_equal(one, other)
    if isinstance(one, dict):
        return list(one) == list(other) and all(are_same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(are_same, one, other))
    return bool(one == other)


class Broken(Mapped):
    def __getitem__(self, i: Any) -> Any:
        if i == 13:
            raise ValueError("broken")
        return i


class Killed(Mapped):
    """Kills its worker at a sample: always, or where the file is not there yet."""

    def __init__(self, count: int, at: int, path: str | None = None) -> None:
        super().__init__(count)
        self.at = at
        self.path = path

    def __getitem__(self, i: Any) -> Any:
        if i == self.at and (self.path is None or not os.path.exists(self.path)):
            if self.path is not None:
                open(self.path, "w").close()
            os.kill(os.getpid(), signal.SIGKILL)
        return torch.full((300, 100), float(i))


class KilledIterated(IterableDataset):
    def __iter__(self) -> Any:
        yield from range(3)
        os.kill(os.getpid(), signal.SIGKILL)


class Slow(Mapped):
    def __getitem__(self, i: Any) -> Any:
        time.sleep(3600.0 if i >= 4 else 0.0)
        return i


class Locked(Mapped):
    """Cannot be pickled."""

    def __init__(self, count: int) -> None:
        super().__init__(count)
        self.lock = threading.Lock()


class Unloadable(Mapped):
    """Can be pickled, and cannot be unpickled."""

    def __reduce__(self) -> Any:
        return not_here, ()


def not_here() -> Any:
    raise RuntimeError("not here")
