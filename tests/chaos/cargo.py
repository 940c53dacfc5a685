"""What items carry: what users send, classes of their scripts among it. It follows from the key."""

from __future__ import annotations

import dataclasses
import enum
import importlib.util
from collections import namedtuple
from collections.abc import Callable
from typing import Any

import numpy as np

KINDS = ["plain", "plain", "plain", "script", "script", "nested", "nested"]
if importlib.util.find_spec("torch") is not None:
    KINDS.append("tensors")


def cargo(kind: str, size: int) -> Callable[[int], Any]:
    """What makes what the item of a key carries."""
    return {"plain": _plain, "script": _script, "nested": _nested, "tensors": _tensors}[kind](size)


def check(key: int, load: Any) -> None:
    """Sees that what an item carries is as it was made."""
    if isinstance(load, bytes):
        assert load == bytes([key % 251]) * len(load), f"item {key} has changed"
    elif isinstance(load, enum.Enum):
        assert load is type(load)(key % 2), f"item {key} has another {load!r}"
    elif isinstance(load, int):
        assert load == key, f"item {key} has {load}"
    elif isinstance(load, dict):
        for part in load.values():
            check(key, part)
    elif isinstance(load, list | tuple):
        for part in load:
            check(key, part)
    elif dataclasses.is_dataclass(load):
        assert not hasattr(load, "unset"), f"item {key} has what was never set"
        for field in dataclasses.fields(load):
            if field.name != "unset":
                check(key, getattr(load, field.name))
    elif load is not None:  # an array, or a tensor (whose own threads would be in each other's way)
        array = np.asarray(load)
        assert array.size and (array == key % 251).all(), f"item {key} has changed"


def _plain(size: int) -> Callable[[int], Any]:
    """Nothing, bytes, or an array."""

    def carry(key: int) -> Any:
        if size == 0:
            return None
        return bytes([key % 251]) * size if size < 1000 else np.full(size, key % 251, np.uint8)

    return carry


def _nested(size: int) -> Callable[[int], Any]:
    def carry(key: int) -> Any:
        images = [np.full((2, max(size // 4, 1)), key % 251, np.uint8) for _ in range(2)]
        return {"images": images, "about": {"key": key, "label": np.full(3, key % 251)}}

    return carry


def _tensors(size: int) -> Callable[[int], Any]:
    def carry(key: int) -> Any:
        import torch

        return {"x": torch.full((max(size // 4, 1),), float(key % 251)), "key": key}

    return carry


def _script(size: int) -> Callable[[int], Any]:
    """Of classes that no worker can import."""
    carry_more = _nested(size)

    class Parity(enum.Enum):
        EVEN = 0
        ODD = 1

    Place = namedtuple("Place", ["key", "parity"])
    Place.__module__ = "__main__"

    @dataclasses.dataclass(slots=True)
    class Head:
        place: Any
        unset: Any = dataclasses.field(init=False)

    @dataclasses.dataclass
    class Item:
        head: Head
        parts: dict[str, Any]

    def carry(key: int) -> Any:
        return Item(Head(Place(key, Parity(key % 2))), carry_more(key))

    return carry
