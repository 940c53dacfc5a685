"""Pickles become items again (`minipipe.codec.item_pickler` wrote them)."""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np

from minipipe.codec import wire
from minipipe.codec.nodes import NodeReader, ReadNode
from minipipe.codec.preset import Missing, objects_of

_KEPT = 4  # presets of so many senders: each holds classes, which may be made for an item each


class Known(NamedTuple):
    """What stands in the memo before a pickle is loaded."""

    objects: tuple[Any, ...]
    missing: Missing | None
    """One of them that could not be found."""


class KnownPresets:
    """The presets that came last."""

    def __init__(self) -> None:
        self._kept: dict[tuple[Any, ...], Known] = {}

    def of(self, refs: Sequence[Any], class_named: Callable[[bytes], type]) -> Known:
        """Returns the objects that are meant; finding them runs code."""
        key = tuple(refs)
        known = self._kept.get(key)
        if known is None:
            objects = objects_of(refs, class_named)
            lacking = next((one for one in objects if type(one) is Missing), None)
            known = Known(objects, lacking)
            if lacking is None:
                self._kept[key] = known
                while len(self._kept) > _KEPT:
                    del self._kept[next(iter(self._kept))]
        return known


def failure(
    exc: Exception, parts: Sequence[Any], buffers: Sequence[Any], known: Known
) -> wire.UnpicklingError:
    """Returns the error of a pickle that could not be loaded, with what it was that it made."""
    error = wire.UnpicklingError(_made_at_the_end(parts, buffers))
    error.__cause__ = exc if known.missing is None else known.missing.error
    return error


def _read(reader: NodeReader, node: list[Any]) -> object:
    _, place, count, beside, data = node
    known = reader.context.presets[place]
    buffers = [*known.objects[:count], *(_buffer(reader, each) for each in beside)]
    parts = [reader.buffer(part) for part in data]
    try:
        if len(parts) == 1:
            return pickle.loads(parts[0], buffers=buffers)
        return pickle.Unpickler(_Parts(parts), buffers=buffers).load()  # type: ignore[arg-type]
    except Exception as exc:  # whatever the code of its class raises
        error = failure(exc, parts, buffers, known)
        raise error from error.__cause__


def _buffer(reader: NodeReader, node: Any) -> object:
    if type(node) is list:
        return reader.node(node)
    return np.array(np.frombuffer(reader.buffer(node), np.uint8)).data


class _Parts:
    """A file of several parts. What is large goes from there right to where it belongs."""

    def __init__(self, parts: Sequence[Any]) -> None:
        self._parts = [memoryview(part) for part in reversed(parts)]

    def read(self, size: int) -> bytes | memoryview:
        found = self._some(size)
        if len(found) == size or not self._parts:
            return found
        pieces = [found]
        while size > sum(map(len, pieces)) and self._parts:
            pieces.append(self._some(size - sum(map(len, pieces))))
        return b"".join(pieces)

    def readinto(self, target: memoryview) -> int:
        at = 0
        while at < len(target) and self._parts:
            some = self._some(len(target) - at)
            target[at : at + len(some)] = some
            at += len(some)
        return at

    def readline(self) -> bytes:
        raise pickle.UnpicklingError("an opcode of another protocol")

    def _some(self, size: int) -> memoryview:
        if not self._parts:
            return memoryview(b"")
        part = self._parts.pop()
        if len(part) > size:
            self._parts.append(part[size:])
        return part[:size]


def _made_at_the_end(parts: Sequence[Any], buffers: Sequence[Any]) -> str:
    """Returns what a pickle makes when it fails."""
    unpickler = _Slow(io.BytesIO(b"".join(parts)), buffers=buffers)
    try:
        unpickler.load()
    except Exception:  # this is why it is tried again
        return unpickler.making
    return ""


_Python: Any = pickle._Unpickler


class _Slow(_Python):  # type: ignore[misc]
    """The unpickler that is written in Python, which can be watched."""

    making = ""

    def _note(self, made: Any) -> None:
        made = made if isinstance(made, type) or hasattr(made, "__qualname__") else type(made)
        self.making = f"{made.__module__}.{made.__qualname__}"

    def find_class(self, module: str, name: str) -> Any:
        self.making = f"{module}.{name}"
        return super().find_class(module, name)

    def _reduce(self) -> None:
        self._note(self.stack[-2])
        self.load_reduce()

    def _new(self) -> None:
        self._note(self.stack[-2])
        self.load_newobj()

    def _new_by_keywords(self) -> None:
        self._note(self.stack[-3])
        self.load_newobj_ex()

    def _build(self) -> None:
        self._note(type(self.stack[-2]))
        self.load_build()

    dispatch: ClassVar[dict[int, Any]] = {
        **_Python.dispatch,
        pickle.REDUCE[0]: _reduce,
        pickle.NEWOBJ[0]: _new,
        pickle.NEWOBJ_EX[0]: _new_by_keywords,
        pickle.BUILD[0]: _build,
    }


READERS: dict[int, ReadNode] = {wire.PICKLED: _read}
