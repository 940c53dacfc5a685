"""Nested items: a layer of dict, tuple, list, namedtuple or dataclass, taken apart and remade."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from minipipe.codec.registry import collation_of

_NAMED = ("namedtuple", "dataclass")


@dataclass(frozen=True)
class Layer:
    """One layer of a nested item: what holds the parts, and under which keys.

    Attributes:
        form: how its parts are reached and it is made anew.
        cls: what is made anew: dict for every mapping, tuple and list for their subclasses.
        keys: keys, indices or names of fields, in the order of `parts`.
    """

    form: Literal["dict", "sequence", "namedtuple", "dataclass"]
    cls: type[Any]
    keys: Sequence[Any]

    def parts(self, value: Any) -> Sequence[Any]:
        """The parts of `value`, of which `difference` found none."""
        if self.form == "dict":
            return [value[key] for key in self.keys]
        if self.form == "dataclass":
            return [getattr(value, name) for name in self.keys]
        return value  # type: ignore[no-any-return]

    def make(self, parts: Iterable[Any]) -> Any:
        """A value of this form with other parts."""
        if self.form == "dict":
            return dict(zip(self.keys, parts, strict=True))
        if self.form == "sequence":
            return self.cls(parts)
        # As the codec does it: the checks of a class for its samples need not hold for a batch.
        if self.form == "namedtuple":
            return tuple.__new__(self.cls, parts)
        made = object.__new__(self.cls)
        for name, part in zip(self.keys, parts, strict=True):
            object.__setattr__(made, name, part)
        return made

    def step(self, key: Any) -> str:
        """How Python writes the way to the part under `key`."""
        return f".{key}" if self.form in _NAMED else f"[{key!r}]"

    def difference(self, value: Any) -> tuple[str, str] | None:
        """How `value` differs from this layer, as (what this one is, what `value` is)."""
        if type(value) is not self.cls:
            other = layer_of(value)
            if other is None or other.cls is not self.cls:
                return f"a {self.cls.__name__}", describe(value)
        if self.form == "sequence" and len(value) != len(self.keys):
            return f"a {self.cls.__name__} of {len(self.keys)}", f"one of {len(value)}"
        if self.form == "dict" and (
            len(value) != len(self.keys) or any(key not in value for key in self.keys)
        ):
            return f"the keys {list(self.keys)!r}", f"the keys {list(value)!r}"
        return None


def layer_of(value: Any) -> Layer | None:
    """The outermost layer of `value`, or None if it is a leaf: an array, a number, a text, ..."""
    cls = type(value)
    if isinstance(value, tuple):
        names = getattr(cls, "_fields", None)
        if isinstance(names, tuple):
            return Layer("namedtuple", cls, names)
        return Layer("sequence", tuple, range(len(value)))
    if isinstance(value, list):
        return Layer("sequence", list, range(len(value)))
    if isinstance(value, Mapping):
        return Layer("dict", dict, tuple(value))
    if hasattr(cls, "__dataclass_fields__"):
        return Layer("dataclass", cls, tuple(field.name for field in dataclasses.fields(value)))
    return None


def is_array(value: Any) -> bool:
    """Whether it is an array, of NumPy or of a library."""
    return isinstance(value, np.ndarray) or collation_of(value) is not None


def describe(value: Any) -> str:
    """What a value is, for an error: its kind, and its size if it is an array."""
    if value is None:
        return "None"
    if isinstance(value, np.ndarray):
        return f"an array of {value.dtype} and shape {value.shape}"
    collation = collation_of(value)
    if collation is not None:
        return collation.describe(value)
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"
