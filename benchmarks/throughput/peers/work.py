"""What is the same for every peer: the arrays, the identity, and what the consumer does.

Imported by the scripts beside it, in every peer's environment: NumPy only.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import sys
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import process_tree

PAGE_BYTES = 4096
# Made beforehand, since making small ones costs as much as sending them: as many as fill 64 MB,
# so that large ones do not come out of a cache, but two at least and 64 at most.
_MADE_BYTES = 64_000_000
_MADE_AT_LEAST, _MADE_AT_MOST = 2, 64


def how_many_made(size_bytes: int) -> int:
    """How many different arrays there are."""
    return min(max(_MADE_BYTES // size_bytes, _MADE_AT_LEAST), _MADE_AT_MOST)


def made_arrays(size_bytes: int) -> list[np.ndarray[Any, Any]]:
    """The different arrays, uint8[size_bytes]; the i-th is full of i."""
    return [np.full(size_bytes, i, dtype=np.uint8) for i in range(how_many_made(size_bytes))]


def arrays(size_bytes: int, items: int) -> Iterator[np.ndarray[Any, Any]]:
    """The source: one array after the other, from the first again after the last."""
    made = made_arrays(size_bytes)
    for i in range(items):
        yield made[i % len(made)]


def same(item: Any) -> Any:
    """The transform."""
    return item


def touch(item: np.ndarray[Any, Any]) -> int:
    """The sum of one byte of each page: what is only promised, or not mapped yet, must come."""
    if item.size <= PAGE_BYTES:
        return int(item.item(0))
    return int(np.add.reduce(item[::PAGE_BYTES]))


def version(package: str) -> str:
    """Its version as installed."""
    return f"{package} {importlib.metadata.version(package)}"


class Tally:
    """The consumer: touches each item, notes when the first and the last came, checks them all.

    Also a functor of MiniPipe's: `run` takes an item, `local_term` reports.
    """

    def __init__(self, size_bytes: int, items: int, peer: str, factor: int = 1) -> None:
        """`factor` is what the transform multiplied the arrays by."""
        self.size_bytes, self.items, self.peer, self.factor = size_bytes, items, peer, factor
        self.seen = self.sum = 0
        self.last_s = 0.0

    def run(self, item: np.ndarray[Any, Any]) -> None:
        """One item has come."""
        self.sum += touch(item)
        self.seen += 1
        if self.seen == 1:
            self.begin()
        elif self.seen == self.items:
            self.end()

    def begin(self) -> None:
        """The first item is there: now it counts."""
        self.pids = self._processes()
        self.ticks = process_tree.cpu_ticks(self.pids)
        self.first_s = time.monotonic()

    def end(self) -> None:
        """The last item is there."""
        self.last_s = time.monotonic()
        # Also by the pids of the beginning: a worker that has ended since shows its time there,
        # or in its parent's, but no longer its environment.
        ticks = process_tree.cpu_ticks(self.pids | self._processes())
        self.cpu_s = process_tree.spent_s(self.ticks, ticks)

    def _processes(self) -> set[int]:
        mark = os.environ.get(process_tree.MARK)
        return process_tree.processes(mark) if mark else {os.getpid()}

    def local_term(self) -> None:
        """The measurement is on stdout, as one line of JSON; exits if items were lost."""
        made = how_many_made(self.size_bytes)
        touched = -(-self.size_bytes // PAGE_BYTES)
        due = sum((i % made) * touched * self.factor for i in range(self.items))
        if (self.seen, self.sum) != (self.items, due):
            sys.exit(
                f"{self.peer}: expected {self.items} items of sum {due}, "
                f"got {self.seen} of sum {self.sum}"
            )
        self.report()

    def report(self) -> None:
        """The measurement is on stdout; the first item is not in it, its way not being either."""
        count = self.items - 1
        line = {
            "seconds": self.last_s - self.first_s,
            "items": count,
            "bytes": count * self.size_bytes,
            "cpu_s": self.cpu_s,
            "version": self.peer,
        }
        print(json.dumps(line), flush=True)


def arguments() -> tuple[int, int]:
    """SIZE_BYTES and ITEMS from the command line."""
    size_bytes, items = map(int, sys.argv[1:3])
    return size_bytes, items
