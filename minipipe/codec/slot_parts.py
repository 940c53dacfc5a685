"""Which parts of its slots a parcel refers to: these are what goes to another host.

Nothing but the body says it, and it is asked of parcels alone that leave the machine: to book it
for each array that is lent would cost where nobody wants to know.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final, TypeAlias

import msgpack

from minipipe.codec import registry, wire
from minipipe.codec.dtypes import read_dtype
from minipipe.codec.moved import ALIGNED_TO, Parts

# Between two parts that are sent as one: less costs less than one part more.
_GAP_BYTES: Final = 4096
_WASTE: Final = 4  # of what is sent in one go, a fourth may be what nobody wants

_Extents: TypeAlias = "dict[tuple[int, ...], list[tuple[int, int]]]"
_SLOT_TENSOR: Final = registry.SLOT_TENSOR


def parts_of(body: bytes, slots: Mapping[tuple[int, ...], int]) -> list[Parts]:
    """The parts of each slot that the arrays of a parcel lie in.

    One part, if most of it is wanted: what lies together goes as it lies there, without a copy.

    Args:
        body: of the parcel.
        slots: that it refers to: by its reference, the size of each.
    """
    found: _Extents = {ref: [] for ref in slots}
    _look_into(body, found)
    return [_merged(extents, slots[ref]) for ref, extents in found.items()]


def _look_into(body: bytes, found: _Extents) -> None:
    _, kind, payload, *_ = msgpack.unpackb(body, strict_map_key=False)
    if kind == wire.SLOTS:
        for words, shape, strides, ref, _, offsets in payload:
            _add(found, ref, _reach(words, shape, strides), offsets)
    elif kind == wire.OVER_ARRAYS:
        _look_into(payload[1], found)
    elif kind == wire.NODES:
        _look_through(payload, found)


def _look_through(payload: list[Any], found: _Extents) -> None:
    """Finds the arrays among nodes of any kind.

    Not all lists are nodes: an item's own numbers may look like one.  But no item has the arena of
    a slot in it, which is a random number.
    """
    waiting = [payload]
    while waiting:
        node = waiting.pop()
        inner = [each for each in node if type(each) is list]
        if not inner:
            continue
        tag = node[0]
        if tag == wire.SLOT_ARRAY and len(node) >= 6 and _is_one(node[2], found):
            _, words, ref, offset, strides, _, *shape = node
            _add(found, ref, _reach(words, shape, strides), [offset])
        elif tag == _SLOT_TENSOR and len(node) == 7 and _is_one(node[5], found):
            ref, offset, size_bytes = registry.slot_part_of_tensor(node)
            _add(found, ref, (0, size_bytes), [offset])
        else:
            waiting += inner


def _is_one(words: Any, found: Collection[tuple[int, ...]]) -> bool:
    return type(words) is list and len(words) == 5 and tuple(words) in found


def _reach(words: Any, shape: Sequence[int], strides: Sequence[int] | None) -> tuple[int, int]:
    """How many bytes before and behind its first one an array covers."""
    item_bytes = read_dtype(words).itemsize
    if strides is None:
        return 0, math.prod(shape) * item_bytes
    if 0 in shape:
        return 0, 0
    steps = [(length - 1) * stride for length, stride in zip(shape, strides, strict=True)]
    return -sum(step for step in steps if step < 0), item_bytes + sum(s for s in steps if s > 0)


def _add(
    found: _Extents, ref: Sequence[int], reach: tuple[int, int], offsets: Iterable[int]
) -> None:
    before, behind = reach
    if before + behind:
        found[tuple(ref)] += [(offset - before, offset + behind) for offset in offsets]


def _merged(extents: list[tuple[int, int]], size_bytes: int) -> Parts:
    if not extents:
        return 0, size_bytes
    extents.sort()
    wanted_bytes, parts = 0, list[int]()
    for begin, end in extents:
        begin = begin // ALIGNED_TO * ALIGNED_TO
        if parts and begin <= parts[-1] + _GAP_BYTES:
            parts[-1] = max(parts[-1], end)
        else:
            parts += (begin, end)
    wanted_bytes = sum(parts[1::2]) - sum(parts[::2])
    whole_bytes = parts[-1] - parts[0]
    if _WASTE * (whole_bytes - wanted_bytes) <= whole_bytes:
        return parts[0], parts[-1]
    return parts
