"""Items that hold arrays at any depth: which there are, and the same item with others in place.

Dicts and other mappings, lists, tuples, namedtuples and dataclasses are gone into; whatever else
there is stays as it is. Nothing is changed in place: what holds an array is made anew.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from typing import Any

_ATOMS = frozenset({int, float, bool, str, bytes, type(None), complex})


def leaves(item: Any, wanted: Callable[[Any], bool]) -> Iterator[tuple[str, Any]]:
    """Yields where each wanted part stands, as in `["image"][0]`, and the part; each part once."""
    seen: set[int] = set()

    def go(value: Any, at: str) -> Iterator[tuple[str, Any]]:
        if type(value) in _ATOMS or id(value) in seen:
            return
        seen.add(id(value))
        if wanted(value):
            yield at, value
            return
        for step, part in _parts(value):
            yield from go(part, at + step)

    yield from go(item, "")


def replaced(item: Any, others: Mapping[int, Any]) -> Any:
    """Returns the item with others in place of the parts with these ids; itself, if there are none.

    An object that occurs twice occurs twice in what is returned, and a circle stays one.
    """
    if not others:
        return item
    made: dict[int, Any] = {}
    return _replaced(item, others, made)


def _replaced(value: Any, others: Mapping[int, Any], made: dict[int, Any]) -> Any:
    kind = type(value)
    if kind in _ATOMS:
        return value
    known = id(value)
    if known in others:
        return others[known]
    if known in made:
        return made[known]
    if kind is dict:
        new: Any = {}
        made[known] = new
        for key, part in value.items():
            new[key] = _replaced(part, others, made)
        return new
    if kind is list:
        new = []
        made[known] = new
        new.extend(_replaced(part, others, made) for part in value)
        return new
    if isinstance(value, tuple):
        parts = [_replaced(part, others, made) for part in value]
        if all(one is other for one, other in zip(parts, value, strict=True)):
            new = value
        elif kind is tuple:
            new = tuple(parts)
        elif hasattr(value, "_make"):
            new = value._make(parts)
        else:
            new = kind(parts)
        made[known] = new
        return new
    if isinstance(value, list | MutableMapping) or _is_record(value):
        return _same_kind(value, others, made)
    return value


def _same_kind(value: Any, others: Mapping[int, Any], made: dict[int, Any]) -> Any:
    """A shallow copy, so that what else the object has stays, with its parts replaced."""
    new = copy.copy(value)
    made[id(value)] = new
    if isinstance(value, list):
        new[:] = [_replaced(part, others, made) for part in value]
    elif isinstance(value, MutableMapping):
        for key, part in value.items():
            new[key] = _replaced(part, others, made)
    else:
        for field in dataclasses.fields(value):
            if hasattr(value, field.name):
                part = getattr(value, field.name)
                # As frozen ones are made: theirs is no change, but how they come to be.
                object.__setattr__(new, field.name, _replaced(part, others, made))
    return new


def _parts(value: Any) -> Iterator[tuple[str, Any]]:
    """Yields the parts of a value that is gone into, and how each is come by."""
    if isinstance(value, MutableMapping):
        for key, part in value.items():
            yield f"[{key!r:.40}]", part
    elif isinstance(value, tuple) and hasattr(value, "_fields"):
        for name, part in zip(value._fields, value, strict=True):
            yield f".{name}", part
    elif isinstance(value, list | tuple):
        for place, part in enumerate(value):
            yield f"[{place}]", part
    elif _is_record(value):
        for field in dataclasses.fields(value):
            if hasattr(value, field.name):
                yield f".{field.name}", getattr(value, field.name)


def _is_record(value: Any) -> bool:
    return dataclasses.is_dataclass(value) and not isinstance(value, type)
