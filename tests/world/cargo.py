"""What users send instead of numbers: instances of their script's classes, with arrays in them."""

from __future__ import annotations

import dataclasses
import enum
import inspect
from collections import namedtuple
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

KINDS = 5


class Cargo:
    """Makes items of numbers, of classes that nobody can import, and numbers of items."""

    def __init__(self) -> None:
        self.makers = [_maker(number) for number in range(KINDS)]

    def pack(self, result: Any) -> Any:
        """What a functor gave, with an item for each number in it."""
        if isinstance(result, list | tuple):
            return type(result)(map(self.pack, result))
        return self.makers[result % KINDS](result) if isinstance(result, int) else result

    def unpack(self, item: Any) -> Any:
        """What a functor expects, with the number of each item in it.

        Raises:
            AssertionError: an item is not as it was sent.
        """
        if type(item) in (list, tuple):
            return type(item)(map(self.unpack, item))
        return item.number() if hasattr(item, "number") else item

    def carrying(self, functor: Any) -> Any:
        """A functor that takes and gives items where this one takes and gives numbers."""
        if hasattr(functor, "run"):
            return functor if inspect.isgeneratorfunction(functor.run) else _Object(self, functor)
        if callable(functor):
            return lambda *items: self.pack(functor(*map(self.unpack, items)))
        numbers: Iterable[Any] = functor
        return [self.pack(number) for number in numbers]


class _Object:
    def __init__(self, cargo: Cargo, functor: Any) -> None:
        self.cargo = cargo
        self.functor = functor

    def local_init(self) -> None:
        if hasattr(self.functor, "local_init"):
            self.functor.local_init()

    def run(self, *items: Any) -> Any:
        return self.cargo.pack(self.functor.run(*map(self.cargo.unpack, items)))

    def local_term(self) -> Any:
        return self.functor.local_term() if hasattr(self.functor, "local_term") else None


def _maker(which: int) -> Callable[[int], Any]:
    """What makes items of classes of its own."""

    class Parity(enum.Enum):
        EVEN = 0
        ODD = 1

    Cell = namedtuple("Cell", ["place", "parity"])
    Cell.__module__ = "__main__"

    class Slotted:
        __slots__ = ("cell", "never")

        def __init__(self, cell: Any) -> None:
            self.cell = cell

    @dataclasses.dataclass
    class Item:
        key: int
        kind: int
        slotted: Slotted
        arrays: dict[str, Any]

        def number(self) -> int:
            place, parity = self.slotted.cell
            assert place == self.key and parity is type(parity)(self.key % 2)
            assert not hasattr(self.slotted, "never") and not hasattr(self.slotted, "__dict__")
            image = self.arrays["nested"]["image"]
            assert image.shape == (2, 3) and (image == self.key).all()
            return self.key

    def make(key: int) -> Any:
        arrays = {"nested": {"image": np.full((2, 3), key), "kind": [which]}}
        return Item(key, which, Slotted(Cell(key, Parity(key % 2))), arrays)

    return make
