"""Functors about large arrays, for workers (see `functors` for why they are here)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import numpy as np

import minipipe as mp
from minipipe.shm import find_slot

SIZE = 300_000  # bytes: enough for a slot of its own
PART = 40_000  # so many share a slot with others of their parcel


def numbered(count: int, size: int = SIZE) -> Iterator[np.ndarray]:
    """Arrays, the i-th full of i modulo 251."""
    for i in range(count):
        yield np.full(size, i % 251, np.uint8)


def is_whole(x: np.ndarray, i: int) -> bool:
    """Whether this is the i-th of `numbered`."""
    return bool(x.dtype == np.uint8 and (x == i % 251).all())


def address(x: np.ndarray) -> int:
    return x.__array_interface__["data"][0]


def lies_in_slot(x: Any) -> bool:
    return find_slot(x) is not None


def slot_of(x: Any) -> tuple[int, int]:
    """The arena and the slot that an array lies in, privately or not."""
    base: Any = x
    while isinstance(base, np.ndarray | memoryview):
        base = base.obj if isinstance(base, memoryview) else base.base
    return base.held.arena.id, base.held.index


def made_in_slot(x: np.ndarray) -> np.ndarray:
    """An array by `mp.empty`, in which stands where it lies."""
    out = mp.empty(x.shape, x.dtype)
    np.multiply(x, 1, out=out)
    out[:16].view(np.int64)[:] = slot_of(out)
    return out


class WhereMade:
    """A sink that returns whether each array of `made_in_slot` still lies there."""

    def local_init(self) -> None:
        self.items: list[bool] = []

    def run(self, x: np.ndarray) -> None:
        self.items.append(tuple(x[:16].view(np.int64)) == slot_of(x))

    def local_term(self) -> list[bool]:
        return self.items


def doubled_in_place(x: np.ndarray) -> np.ndarray:
    x *= 2
    return x


def two_views(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return x[: len(x) // 4 * 4].reshape(4, -1).T, x[::-1]


class Doubler:
    """Doubles in place."""

    def run(self, x: np.ndarray) -> np.ndarray:
        x *= 2
        return x


def plus_nothing(x: np.ndarray) -> np.ndarray:
    """Makes a new array of the same."""
    return np.add(x, 0, out=mp.empty_like(x))


class Firsts:
    """A sink that returns the first element of each item, which must be whole."""

    def local_init(self) -> None:
        self.items: list[int] = []

    def run(self, x: np.ndarray) -> None:
        assert (x == x[0]).all()
        self.items.append(int(x[0]))

    def local_term(self) -> list[int]:
        return self.items


class Look:
    """A sink that returns what it saw of each item: its first element, and how it lay there."""

    def __init__(self, write: bool = False) -> None:
        self.write = write

    def local_init(self) -> None:
        self.seen: list[tuple[int, bool, bool]] = []

    def run(self, x: np.ndarray) -> None:
        self.seen.append((int(x.flat[0]), lies_in_slot(x), x.flags.writeable))
        if self.write:
            x[...] = 255

    def local_term(self) -> list[tuple[int, bool, bool]]:
        return self.seen


class Keep:
    """A sink that keeps everything, and returns whether all of it is as it was at the end."""

    def local_init(self) -> None:
        self.kept: list[np.ndarray] = []

    def run(self, x: np.ndarray) -> None:
        self.kept.append(x)

    def local_term(self) -> tuple[int, bool]:
        return len(self.kept), all(is_whole(x, i) for i, x in enumerate(self.kept))


class KeepAndChange:
    """Makes arrays by `mp.empty`, keeps the last ones, and changes them after they were sent."""

    def __init__(self, count: int, way: str) -> None:
        self.count = count
        self.way = way

    def run(self) -> Iterator[np.ndarray]:
        kept: list[np.ndarray] = []
        for i in range(self.count):
            again = self.way == "the same one again" and kept
            x = kept[0] if again else mp.empty(SIZE, np.uint8)
            x[:] = i % 251
            kept.append(x)
            yield x
            if self.way == "later":
                for old in kept[-3:]:
                    old[:] = 255  # reaches nobody


class Memory:
    """A sink that returns how the memory of some processes together went (MB of PSS)."""

    def __init__(self, every: int) -> None:
        self.every = every

    def local_init(self) -> None:
        self.count = 0
        self.sizes: list[float] = []

    def run(self, x: np.ndarray) -> None:
        self.count += 1
        if self.count % self.every == 0:
            self.sizes.append(resident_mb(os.getppid()))

    def local_term(self) -> list[float]:
        return self.sizes


def resident_mb(parent: int) -> float:
    """PSS of all children of this process."""
    total = 0.0
    for pid in os.listdir("/proc"):
        if not pid.isdigit():
            continue
        try:
            with open(f"/proc/{pid}/stat") as stat:
                if int(stat.read().rpartition(")")[2].split()[1]) != parent:
                    continue
            with open(f"/proc/{pid}/smaps_rollup") as lines:
                total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return total / 1024
