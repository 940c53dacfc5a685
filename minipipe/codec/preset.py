"""Objects that the pickles of a sender refer to by position, as in a preset dictionary.

pickle writes the name of a class into each pickle, and looks it up at each load; that takes longer
than the rest of a small item. What items are made of is always the same: the classes of records,
dtypes, a few functions. So pickle's memo is filled with these before an item is pickled, and a
pickle has a place in the memo for each. Before it is loaded, the memo has to be filled in the same
order. There is no call for that, but a few opcodes in front of the pickle do it: each pushes one
of the "buffers" that the load is given (which may be any object), memoizes and pops it.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from minipipe.codec import classes
from minipipe.codec.dtypes import read_dtype

# Each object costs every item 25 ns, used or not.
LIMIT = 16

_PUT = pickle.NEXT_BUFFER + pickle.MEMOIZE + pickle.POP
_DTYPE = "dtype "  # before its words; a module has no blanks in its name


class _Pickler(Protocol):
    memo: Any


class Preset:
    """What stands in the memo of a pickler before each item. It grows, and never changes.

    Attributes:
        objects: By their ids.
        refs: Of each object, what it is on the wire: `"module:qualname"`, the token of a class, or
            the words for a dtype.
        definitions: Of the classes that have tokens, and of those that these need.
        preamble: Stands in front of each pickle.
        memo: The memo to give to a pickler.
    """

    __slots__ = ("definitions", "memo", "objects", "preamble", "refs")

    def __init__(self) -> None:
        self.objects: dict[int, object] = {}
        self.refs: tuple[str | bytes, ...] = ()
        self.definitions: Mapping[bytes, bytes] = {}
        self.preamble = b""
        self.memo = _memo_of(())

    @property
    def is_full(self) -> bool:
        """Whether another object would make each item slower than it is worth."""
        return len(self.objects) >= LIMIT

    def add(self, obj: object, ref: str | bytes, definitions: Mapping[bytes, bytes]) -> None:
        """Puts an object into the memo of all pickles to come."""
        self.objects[id(obj)] = obj
        self.refs += (ref,)
        self.preamble += _PUT
        if definitions:
            self.definitions = {**self.definitions, **definitions}
        self.memo = _memo_of(self.objects.values())


def _memo_of(objects: Any) -> Any:
    pickler = pickle.Pickler(_Nowhere(), 5)
    pickler.memo = {id(obj): (place, obj) for place, obj in enumerate(objects)}
    return pickler.memo


class _Nowhere:
    def write(self, data: object) -> None:
        """Takes nothing: the pickler is there for its memo."""


def dtype_ref(words: str) -> str:
    """Returns what a dtype is on the wire, from its words."""
    return _DTYPE + words


class Missing:
    """Stands in the memo for what could not be found; only items that need it fail.

    Attributes:
        error: Why.
    """

    def __init__(self, error: Exception) -> None:
        self.error = error

    def __call__(self, *args: object) -> object:
        raise self.error


def objects_of(refs: Sequence[Any], class_named: Callable[[bytes], type]) -> tuple[Any, ...]:
    """Returns the objects of a sender's preset; a `Missing` for each that is not to be found.

    Args:
        refs: From somebody who is trusted: finding them runs code.
        class_named: Returns the class of a token.
    """
    found: list[Any] = []
    for ref in refs:
        try:
            found.append(_object_of(ref, class_named))
        except Exception as exc:  # the code of a definition, or of a module
            found.append(Missing(exc))
    return tuple(found)


def _object_of(ref: str | bytes, class_named: Callable[[bytes], type]) -> object:
    if isinstance(ref, bytes):
        return class_named(ref)
    if ref.startswith(_DTYPE):
        return read_dtype(ref.removeprefix(_DTYPE))
    return classes.look_up(ref, may_import=True)
