"""What flows and what is called in the pipelines of chaos: every item says who it is."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

Item = tuple[int, Any]  # who it is; what it carries, which follows from that


def carried(key: int, size: int) -> Any:
    """What the item of this key carries: nothing, bytes, or an array."""
    if size == 0:
        return None
    if size < 1000:
        return bytes([key % 251]) * size
    return np.full(size, key % 251, np.uint8)


def check(item: Item) -> None:
    """Sees that an item is as it was made."""
    key, load = item
    if isinstance(load, bytes):
        assert load == bytes([key % 251]) * len(load), f"item {key} has changed"
    elif isinstance(load, np.ndarray):
        assert (load == key % 251).all(), f"item {key} has changed"


@dataclass
class Load:
    """A source."""

    count: int
    size: int
    pause_s: float

    def run(self) -> Iterator[Item]:
        for key in range(self.count):
            if self.pause_s:
                time.sleep(self.pause_s)
            yield key, carried(key, self.size)


@dataclass
class Work:
    """A function: passes on what it gets, but for what it drops, and what it fails at.

    Attributes:
        drops: keys that are a multiple of it are dropped; 0: none.
        fails: keys that are one above a multiple of it raise; 0: none.
        dies: keys that are two above a multiple of it end the worker, the first time; 0: none.
        dooms: keys that are three above a multiple of it end the worker, every time; 0: none.
        marks: a directory, in which it notes who has died of what.
    """

    pause_s: float
    drops: int = 0
    fails: int = 0
    dies: int = 0
    dooms: int = 0
    marks: str = ""
    anew: bool = False

    def __call__(self, item: Item) -> Item | None:
        key, load = item
        check(item)
        if self.pause_s:
            time.sleep(random.random() * 2 * self.pause_s)
        if self.drops and key % self.drops == 0:
            return None
        if self.fails and key % self.fails == 1:
            raise ValueError(f"item {key} fails")
        if self.dies and key % self.dies == 2:
            mark = os.path.join(self.marks, f"{key}")
            if not os.path.exists(mark):
                open(mark, "w").close()
                os._exit(9)
        if self.is_poison(key):
            open(os.path.join(self.marks, f"{key} {os.getpid()}"), "w").close()
            os._exit(9)
        if self.anew and isinstance(load, np.ndarray):
            load = load.copy()
        return key, load

    def passes(self, key: int) -> bool:
        """Whether the item of this key comes out."""
        return self._gets_through(key) and not self.is_poison(key)

    def is_poison(self, key: int) -> bool:
        """Whether the item of this key kills every worker that gets it."""
        return self.dooms != 0 and key % self.dooms == 3 and self._gets_through(key)

    def _gets_through(self, key: int) -> bool:
        if self.drops and key % self.drops == 0:
            return False
        return not (self.fails and key % self.fails == 1)


@dataclass
class Holder(Work):
    """The same as an object: it has state, or says that it may be restarted without."""

    def local_init(self) -> None:
        self.seen = 0

    def run(self, item: Item) -> Item | None:
        self.seen += 1
        return self(item)


class Keep:
    """A sink that keeps the keys that it has got, in order."""

    def local_init(self) -> None:
        self.keys: list[int] = []

    def run(self, item: Item) -> None:
        check(item)
        self.keys.append(item[0])

    def local_term(self) -> list[int]:
        return self.keys


@dataclass
class Write:
    """A function sink that appends the keys that it has got to a file, with who and when."""

    path: str

    def __call__(self, item: Item) -> None:
        check(item)
        fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.write(fd, f"{item[0]} {os.getpid()} {time.monotonic()}\n".encode())
        os.close(fd)
