"""What is called in the drawn graphs: what a functor does to an item follows from the item alone.

So the same items come to the same fate in any order and in any number of workers, and inline.
"""

from __future__ import annotations

import os
import sys
import threading
import zlib
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

import minipipe as mp

MET: list[tuple[str, int]] | None = None  # inline: which functor has met which item


class FlawError(ValueError):
    """What may be ignored, or within a budget."""


class FatalError(RuntimeError):
    """What one item of one functor ends the run with."""


class Unreadable:
    """An item that can be sent, and not be made again."""

    def __init__(self, of: int) -> None:
        self.of = of

    def __reduce__(self) -> tuple[Any, ...]:
        return _refuse, (self.of,)


def _refuse(of: int) -> Any:
    raise FlawError(f"item {of} cannot be made again")


def text(item: Any) -> str:
    """An item as a text, to compare it by."""
    if isinstance(item, np.ndarray):
        return f"{item.dtype}{item.shape}:{zlib.crc32(np.ascontiguousarray(item).tobytes())}"
    if isinstance(item, dict):
        return f"dict({','.join(f'{key}:{text(value)}' for key, value in item.items())})"
    if isinstance(item, list | tuple):
        return f"{type(item).__name__}({','.join(map(text, item))})"
    return f"{type(item).__name__}:{item}"


def digest(item: Any) -> int:
    return zlib.crc32(text(item).encode())


def changed(item: Any, shift: int) -> Any:
    """Another item of the same form."""
    if isinstance(item, dict):
        return {key: changed(value, shift) for key, value in item.items()}
    if isinstance(item, list | tuple):
        return type(item)(changed(value, shift) for value in item)
    if isinstance(item, np.ndarray):
        return item + item.dtype.type(shift)
    if isinstance(item, int | np.integer):
        return type(item)((int(item) * 31 + shift) % 100_003)
    return item


@dataclass(frozen=True)
class Fate:
    """What becomes of items in one functor.

    Attributes:
        name: of its segment.
        drops, fails: items whose digest is so divisible are dropped, or raise a FlawError.
        refuses: likewise: what is given for them cannot be sent, or not be made again.
        scribbles: writes into what it gets, also before it raises.
        fatal: the digest of an item that ends the run, and how.
    """

    name: str
    drops: int = 0
    fails: int = 0
    refuses: int = 0
    scribbles: bool = False
    fatal: tuple[int, str] | None = None

    def of(self, item: Any) -> Any:
        """The item to go on with; None if it is dropped.  Raises what it is to raise."""
        found = digest(item)
        if MET is not None:
            MET.append((self.name, found))
        if self.scribbles:
            scribble(item)
        if self.fatal is not None and found == self.fatal[0]:
            return self._end(self.fatal[1], found)
        if self.fails and found % self.fails == 1:
            raise FlawError(f"{self.name} fails at {found}")
        if self.refuses and found % self.refuses == 2:
            return threading.Lock() if found % 2 else Unreadable(found)
        return None if self.drops and found % self.drops == 0 else item

    def _end(self, how: str, found: int) -> Any:
        if how == "sentinel":
            return mp.Sentinel
        if how == "exit":
            sys.exit(f"{self.name} ends at {found}")
        if how == "stop":
            raise StopIteration(f"{self.name} stops at {found}")
        raise FatalError(f"{self.name} ends at {found}")


@dataclass(frozen=True)
class Stack:
    """Makes a batch of samples, by a function of the user's: of some it makes none."""

    fails: int

    def __call__(self, samples: list[Any]) -> Any:
        found = digest(samples)
        if self.fails and found % self.fails == 0:
            raise FlawError(f"no batch at {found}")
        return None if self.fails and found % self.fails == 1 else samples


def scribble(item: Any) -> None:
    """Changes what can be changed in an item."""
    if isinstance(item, dict):
        for value in item.values():
            scribble(value)
        item["scribbled"] = 1
    elif isinstance(item, list | tuple):
        for value in item:
            scribble(value)
    elif isinstance(item, np.ndarray):
        item += item.dtype.type(1)


def is_odd(made: Any) -> bool:
    """Whether it is nothing that could be changed: it goes out as it is."""
    return made is None or made is mp.Sentinel or isinstance(made, type(threading.Lock()))


@dataclass
class Yield:
    """A Source, as a generator function, or as an object whose iterator goes on after it raised.

    Its workers share out the items.
    """

    fate: Fate
    items: list[Any]
    goes_on: bool = False

    def __call__(self, worker: int, n_workers: int) -> Iterator[Any]:
        items = self.items[worker::n_workers]
        return Going(self.fate, items) if self.goes_on else self._generate(items)

    def _generate(self, items: list[Any]) -> Generator[Any, None, None]:
        for item in items:
            yield self.fate.of(item)


@dataclass
class Load(Yield):
    """The same with `run`."""

    def run(self, worker: int, n_workers: int) -> Iterator[Any]:
        return self(worker, n_workers)


class Going:
    """An iterator that is no generator."""

    def __init__(self, fate: Fate, items: list[Any]) -> None:
        self._fate, self._items = fate, items
        self._next = 0

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        if self._next == len(self._items):
            raise StopIteration
        self._next += 1
        return self._fate.of(self._items[self._next - 1])


@dataclass
class Change:
    """A function: one item of one."""

    fate: Fate
    shift: int

    def __call__(self, *parts: Any) -> Any:
        item = parts[0] if len(parts) == 1 else parts
        made = self.fate.of(item)
        return made if is_odd(made) or type(made) is Unreadable else changed(made, self.shift)


@dataclass
class Changing(Change):
    """The same as an object, which counts; `running`: the count is in what it gives."""

    running: bool = False

    def local_init(self) -> None:
        self.count = 0

    def run(self, *parts: Any) -> Any:
        self.count += 1
        made = self(*parts)
        return (made, self.count) if self.running and not is_odd(made) else made

    def local_term(self) -> int:
        return self.count


@dataclass
class Split(Change):
    """A function with several downstreams: an item for all, for some, or for none of them."""

    ways: int = 2

    def __call__(self, item: Any) -> Any:
        made = super().__call__(item)
        if is_odd(made):
            return made
        found = digest(item) % 8
        parts = [changed(made, way) for way in range(self.ways)]
        if found == 0:
            parts[0] = None
        elif found == 1:
            parts[-1] = None
        elif found == 2:
            parts = [None] * self.ways
        return parts if found % 2 else tuple(parts)


@dataclass
class Splitting(Split):
    """The same as an object."""

    def run(self, item: Any) -> Any:
        return self(item)


@dataclass
class Spread(Change):
    """For a FlatMap: up to three items of one."""

    def __call__(self, item: Any) -> Any:
        made = super().__call__(item)
        if is_odd(made):
            return made if made is None else [made]
        count = digest(item) % 4
        if count == 3:
            return None
        return [changed(made, 0), None, *(changed(made, i) for i in range(count))]


@dataclass
class Gather:
    """A Regulator: several items become one list; `lets_go`: not the last ones."""

    fate: Fate
    size: int
    lets_go: bool = False

    def __call__(self) -> Generator[Any, Any, None]:
        row: list[Any] = []
        while True:
            try:
                item = yield
            except mp.EndOfStream:
                if row and not self.lets_go:
                    yield row
                return
            made = self.fate.of(item)
            if made is mp.Sentinel or type(made) is Unreadable:
                yield made
            elif made is not None:
                row.append(made)
            if len(row) == self.size:
                yield row
                if digest(row) % 5 == 0:
                    return  # it is made anew
                row = []


@dataclass
class Enter(Change):
    """Before a loop: how often the item has gone round."""

    def __call__(self, item: Any) -> Any:
        made = super().__call__(item)
        return made if is_odd(made) else ("round", 0, made)


@dataclass
class Round:
    """A segment in a loop: the item leaves after up to four rounds, or is dropped."""

    fate: Fate

    def run(self, item: tuple[str, int, Any]) -> Any:
        made = self.fate.of(item)
        if made is None or made is mp.Sentinel:
            return made
        _, rounds, load = item
        if rounds == digest(load) % 4:
            return None, load
        return ("round", rounds + 1, load), None


@dataclass
class Ring:
    """A loop that ends itself."""

    rounds: int

    def run(self, count: int) -> Any:
        return mp.Sentinel if count == self.rounds else (count + 1, count)


@dataclass
class Keep:
    """A Sink that keeps what it gets."""

    fate: Fate

    def local_init(self) -> None:
        self.texts: list[str] = []

    def run(self, *parts: Any) -> None:
        item = parts[0] if len(parts) == 1 else parts
        self.fate.of(item)
        self.texts.append(text(item))

    def local_term(self) -> list[str]:
        return self.texts


@dataclass
class Write:
    """A function Sink: it appends what it gets to a file."""

    fate: Fate
    path: str

    def __call__(self, *parts: Any) -> None:
        item = parts[0] if len(parts) == 1 else parts
        self.fate.of(item)
        fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.write(fd, f"{text(item)}\n".encode())
        os.close(fd)
