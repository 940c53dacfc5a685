"""Pickles become items again (`minipipe.codec.item_pickler` wrote them)."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from minipipe.codec import wire
from minipipe.codec.item_failures import failure
from minipipe.codec.nodes import NodeReader, ReadNode
from minipipe.codec.preset import Missing, objects_of

# Presets of so many senders: each holds classes, which may be made for an item each.
_KEPT: Final = 4


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


def _read(reader: NodeReader, node: list[Any]) -> object:
    _, place, count, beside, data = node
    known: Known = reader.context.presets[place]
    buffers = list(known.objects[:count])
    for each in beside:
        buffers.append(reader.node(each) if type(each) is list else _copied(reader, each))
    parts = [reader.buffer(part) for part in data]
    try:
        if len(parts) == 1:
            return pickle.loads(parts[0], buffers=buffers)
        return pickle.Unpickler(_Parts(parts), buffers=buffers).load()  # type: ignore[arg-type]
    except Exception as exc:  # whatever the code of its class raises
        error = failure(exc, parts, buffers, known.missing)
        raise error from error.__cause__


def _copied(reader: NodeReader, node: Any) -> object:
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


READERS: dict[int, ReadNode] = {wire.PICKLED: _read}
