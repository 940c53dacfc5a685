"""What flows and what is called in the pipelines of chaos: every item says who it is."""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from tests.chaos import cargo

Item = tuple[int, Any]  # who it is; what it carries, which follows from that


def check(item: Item) -> None:
    """Sees that an item is as it was made."""
    cargo.check(*item)


@dataclass
class Load:
    """A source."""

    count: int
    carry: Callable[[int], Any]
    pause_s: float

    def run(self) -> Iterator[Item]:
        for key in range(self.count):
            if self.pause_s:
                time.sleep(self.pause_s)
            yield key, self.carry(key)


@dataclass
class Work:
    """A function: passes on what it gets, but for what it drops, and what it fails at.

    Attributes:
        drops: keys that are a multiple of it are dropped; 0: none.
        fails: keys that are one above a multiple of it raise; 0: none.
        dies: keys that are two above a multiple of it end the worker, the first time; 0: none.
        dooms: keys that are three above a multiple of it end the worker, every time; 0: none.
        marks: a directory, in which it notes who has died of what.
        anew: an array goes on as a copy.
        peaceful: nothing ends the worker; what would every time is dropped.
    """

    pause_s: float
    drops: int = 0
    fails: int = 0
    dies: int = 0
    dooms: int = 0
    marks: str = ""
    anew: bool = False
    peaceful: bool = False

    def __call__(self, item: Item) -> Item | None:
        key, load = item
        check(item)
        if self.pause_s:
            time.sleep(random.random() * 2 * self.pause_s)
        if self.drops and key % self.drops == 0:
            return None
        if self.fails and key % self.fails == 1:
            raise ValueError(f"item {key} fails")
        if self.peaceful:
            return None if self.is_poison(key) else (key, load)
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


class Pairs:
    """A join: the first of two parts of one item."""

    def run(self, first: Item, second: Item) -> Item:
        check(first)
        check(second)
        assert first[0] == second[0], f"{first[0]} was joined with {second[0]}"
        return first


class Rounds:
    """A segment in a loop, which each item leaves when it has seen it twice."""

    def local_init(self) -> None:
        self.seen: Counter[int] = Counter()

    def run(self, item: Item) -> tuple[Item | None, Item | None]:
        check(item)
        self.seen[item[0]] += 1
        return (None, item) if self.seen[item[0]] == 2 else (item, None)


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
