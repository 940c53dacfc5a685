"""Which part of an item is at fault, and where in it that is."""

from __future__ import annotations

import enum
import reprlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from minipipe.codec import wire


def find(item: object, fails: Callable[[object], bool]) -> tuple[str, object]:
    """Returns the path of the innermost part that fails by itself, and that part.

    Runs after something has failed, so it may take its time: it tries each part of the item, and
    of the part that fails each part again.

    Args:
        item: What failed.
        fails: Whether a part does.
    """
    where = "item"
    seen = {id(item)}
    for _ in range(wire.MAX_DEPTH):
        for step, part in _parts(item):
            if id(part) not in seen and fails(part):
                seen.add(id(part))
                where, item = where + step, part
                break
        else:
            break
    return where, item


def name_of(kind: type) -> str:
    """Returns how a message names a class."""
    module = kind.__module__
    return kind.__qualname__ if module == "builtins" else f"{module}.{kind.__qualname__}"


def _parts(value: object) -> Iterator[tuple[str, object]]:
    if isinstance(value, enum.Enum):
        return  # what stands in a member (its class, its value) is not what is sent of it
    if isinstance(value, Mapping):
        yield from ((f"[{reprlib.repr(key)}]", part) for key, part in list(value.items()))
        yield from ((f".key({reprlib.repr(key)})", key) for key in list(value))
    elif isinstance(value, tuple) and hasattr(value, "_fields"):
        yield from ((f".{name}", part) for name, part in zip(value._fields, value, strict=False))
    elif isinstance(value, list | tuple):
        yield from ((f"[{index}]", part) for index, part in enumerate(value))
    elif isinstance(value, set | frozenset):
        yield from ((f".element({reprlib.repr(part)})", part) for part in list(value))
    if not isinstance(value, type):
        yield from ((f".{name}", part) for name, part in _attributes(value).items())


def _attributes(value: Any) -> dict[str, object]:
    found = dict(getattr(value, "__dict__", {}))
    for base in type(value).__mro__:
        slots = vars(base).get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else tuple(slots):
            if hasattr(value, name) and name not in ("__dict__", "__weakref__"):
                found[name] = getattr(value, name)
    return found
