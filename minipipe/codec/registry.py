"""The registry of types: which libraries have types that are handled in a way of their own.

It is keyed by the top module of a type's class. Whoever meets a type asks here what its library
says: the codec, the collation of batches, the seeding of workers, the checks of what is shared by
fork. The file of a library is loaded when that is asked first of a class of its, which there is
only if somebody has imported the library; nothing here imports one.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, NamedTuple
from weakref import WeakKeyDictionary

from minipipe.codec.library import Collation, Library
from minipipe.codec.nodes import ReadNode
from minipipe.codec.types import open_handles
from minipipe.process.mentions import mentions


class Entry(NamedTuple):
    """One line of the registry."""

    file: str
    """The module that has the `Library` under the name LIBRARY."""
    tags: tuple[int, ...] = ()
    """Those of its nodes on the wire: the next that are free, also in `minipipe.codec.wire`."""
    writes_anyway: bool = False
    """Whether it makes what can be written to of arrays that are read-only."""


_HERE = "minipipe.codec.types"

MODULES: dict[str, Entry] = {
    "torch": Entry(f"{_HERE}.torch", (28, 33), writes_anyway=True),
    "pyarrow": Entry(f"{_HERE}.pyarrow", (29,)),
    "pandas": Entry(f"{_HERE}.pandas", (30,)),
    "ml_dtypes": Entry(f"{_HERE}.ml_dtypes"),
    **dict.fromkeys(open_handles.CLASSES, Entry(open_handles.__name__)),
}

# Weak, because a notebook makes a new class each time its cell runs.
_by_class: WeakKeyDictionary[type, Library | None] = WeakKeyDictionary()


def load(name: str) -> Library:
    """Returns what is said of the types of a library in MODULES, which need not be imported."""
    library: Library = importlib.import_module(MODULES[name].file).LIBRARY
    return library


# The tag of tensors that lie in slots of shared memory.
SLOT_TENSOR: Final = MODULES["torch"].tags[1]


def slot_part_of_tensor(node: Sequence[Any]) -> tuple[Any, int, int]:
    """Returns the slot that such a node refers to, where in it its tensor begins, and its bytes."""
    return load("torch").slot_part(node)


def library_of(kind: type) -> Library | None:
    """Returns the library that a class is from, or the nearest of its bases that is from one."""
    try:
        return _by_class[kind]
    except KeyError:
        pass
    found = None
    for base in kind.__mro__:
        name = top_module(base)
        if name in MODULES and sys.modules.get(name) is not None:
            found = load(name)
            break
    _by_class[kind] = found
    return found


def top_module(kind: type) -> str:
    """Returns the top module of a class: the name of the library that it is from."""
    return str(kind.__module__).partition(".")[0]


def imported() -> Iterator[Library]:
    """Yields the libraries that this process has imported."""
    for name in MODULES:
        if sys.modules.get(name) is not None:  # None forbids its import
            yield load(name)


_WRITING = tuple(name for name, entry in MODULES.items() if entry.writes_anyway)


_expected = False  # that one of them will be imported


def may_write_anyway() -> bool:
    """Whether a library may write to arrays that are read-only: one of this process, or to come."""
    return _expected or not sys.modules.keys().isdisjoint(_WRITING)  # (asked for each parcel)


def expect(functor: object) -> None:
    """Looks what this process's functor will import: arrays come before it does."""
    global _expected
    _expected = not may_write_anyway() and mentions(functor, _WRITING)


class LibraryGenerators:
    """The global generators of all libraries that this process has imported."""

    def __init__(self) -> None:
        self._modules = 0  # how many there were when it was last looked
        self._seedings: list[Callable[[int], None]] = []

    def seed(self, value: int) -> None:
        """Seeds them for an item; the functor may have imported another one since the last."""
        if len(sys.modules) != self._modules:
            self._modules = len(sys.modules)
            found = [library.seed_for_item for library in imported()]
            self._seedings = [seeding for seeding in found if seeding is not None]
        for seeding in self._seedings:
            seeding(value)


def reader_of(tag: object) -> ReadNode | None:
    """Returns what reads the nodes of a library that begin with a tag, if there is one."""
    for name, entry in MODULES.items():
        if tag in entry.tags:
            return load(name).readers[tag]
    return None


def collation_of(value: object) -> Collation | None:
    """Returns how values like this one become a batch, if it is an array of a library."""
    library = library_of(type(value))
    collation = None if library is None else library.collation
    return collation if collation is not None and collation.accepts(value) else None
