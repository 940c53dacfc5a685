"""Samples: tuples and dicts of a few large arrays, and of numbers and short texts beside them.

Of many that are alike, a parcel has columns: the arrays of one are runs in slots, as of arrays
alone, and the rest is what msgpack makes of a list.  To pickle each took three times as long.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

import numpy as np

from minipipe.codec import arrays, wire
from minipipe.codec.beside import IN_BAND_BYTES
from minipipe.codec.dtypes import NAMES
from minipipe.codec.library import ArrayForm
from minipipe.codec.nodes import NodeReader
from minipipe.codec.over_arrays import over_arrays
from minipipe.codec.shared_arrays import SharedArray
from minipipe.errors import WireFormatError

_ndarray: Final = np.ndarray
MOST_PARTS: Final = 16
_TEXT_BYTES: Final = 1024
_LEAST: Final = -(2**63)
_MOST: Final = 2**63

# The keys of a dict, of a tuple None; and of each part what makes it of an array ("": it is one),
# None for what is no array.
Layout: TypeAlias = tuple[tuple[str, ...] | None, tuple[str | None, ...]]
Lend: TypeAlias = Callable[[Any, str], SharedArray | None]


class Row:
    """A sample that was lent.

    Attributes:
        parts: A SharedArray for each array, the rest as it is.
        slot_bytes: What of it lies in slots.
    """

    __slots__ = ("layout", "parts", "slot_bytes")

    def __init__(self, layout: Layout, parts: list[Any], slot_bytes: int) -> None:
        self.layout = layout
        self.parts = parts
        self.slot_bytes = slot_bytes

    def shared(self) -> list[SharedArray]:
        """Its arrays."""
        return [part for part in self.parts if type(part) is SharedArray]


class Rows:
    """Makes rows of items that have such a form.

    Args:
        forms: By class, how values travel as arrays.
    """

    def __init__(self, forms: Mapping[type, ArrayForm]) -> None:
        self._forms = forms
        self._keys: tuple[Any, ...] = ()  # that were looked at last

    def row_of(self, item: Any, lend: Lend, discard: Callable[[SharedArray], None]) -> Row | None:
        """Returns the row of a tuple or dict; None if it has another form, or no slot is there.

        Args:
            item: Of exactly one of these classes.
            lend: Lends an array that has a dtype of this name.
            discard: Takes that back.
        """
        if not 0 < len(item) <= MOST_PARTS:
            return None
        keys, values = None, item
        if type(item) is dict:
            keys, values = tuple(item), tuple(item.values())
            if keys != self._keys and not _are_names(keys):
                return None
            self._keys = keys
        parts: list[Any] = []
        makers: list[str | None] = []
        met: list[int] = []
        for value in values:
            kind: Any = type(value)
            maker: str | None = ""
            array: Any = value
            if kind is not _ndarray:
                form = self._forms.get(kind)
                if form is None:
                    if not _is_plain(kind, value):
                        return None
                    maker = None
                else:
                    array, maker = form.array_of(value), maker_of(form)
            if maker is not None:
                if array is None or array.nbytes < IN_BAND_BYTES or id(array.dtype) not in NAMES:
                    return None
                if id(value) in met:
                    return None  # one object twice, and so it is to arrive
                met.append(id(value))
            parts.append(array)
            makers.append(maker)
        if not met:
            return None
        return _lent((keys, tuple(makers)), parts, lend, discard)


def _lent(
    layout: Layout, parts: list[Any], lend: Lend, discard: Callable[[SharedArray], None]
) -> Row | None:
    size_bytes = 0
    lent: list[SharedArray] = []
    for place, maker in enumerate(layout[1]):
        if maker is None:
            continue
        array = parts[place]
        shared = lend(array, NAMES[id(array.dtype)])
        if shared is None:
            for other in lent:
                discard(other)
            return None
        size_bytes += array.nbytes
        parts[place] = shared
        lent.append(shared)
    return Row(layout, parts, size_bytes)


def _is_plain(kind: Any, value: Any) -> bool:
    """Whether msgpack has a value, and gives back the same."""
    if kind is int:
        return _LEAST <= value < _MOST  # type: ignore[no-any-return]
    if kind is str:
        return len(value) <= _TEXT_BYTES and value.isascii()
    if kind is bytes:
        return len(value) <= _TEXT_BYTES
    return kind is float or kind is bool or value is None


def _are_names(keys: tuple[Any, ...]) -> bool:
    return all(type(key) is str and len(key) <= _TEXT_BYTES and key.isascii() for key in keys)


def maker_of(form: ArrayForm) -> str:
    """What makes a value of an array, as messages name it."""
    return f"{form.value_over.__module__}:{form.value_over.__qualname__}"


def columns_of(
    rows: Sequence[Row], runs: Callable[[list[SharedArray]], list[object]]
) -> list[object]:
    """Returns the payload for rows of one layout.

    Args:
        rows: At least one.
        runs: Returns what a message says of arrays alone.
    """
    keys, makers = rows[0].layout
    columns: list[object] = []
    for place, maker in enumerate(makers):
        column = [row.parts[place] for row in rows]
        columns.append(column if maker is None else runs(column))
    return [keys, makers, columns]


def node_of(row: Row, node: Callable[[SharedArray], object]) -> list[object]:
    """Returns the node of a row among other items.

    Args:
        row: Any.
        node: Returns that of an array.
    """
    keys, makers = row.layout
    nodes: list[object] = []
    for part, maker in zip(row.parts, makers, strict=True):
        if maker is None:
            nodes.append(part)
        else:
            array = node(part)
            nodes.append([wire.OVER, maker, array] if maker else array)
    if keys is None:
        return [wire.TUPLE, nodes]
    return [wire.DICT, keys, nodes]


def read_rows(reader: NodeReader, payload: Any) -> list[Any]:
    """Returns the items of such a payload, about which anything may be wrong.

    Raises:
        WireFormatError: No sender wrote that.
    """
    keys, makers, columns = payload
    if type(makers) is not list or not makers or len(makers) != len(columns):
        raise WireFormatError("a parcel has samples without columns")
    found: list[list[Any]] = []
    for maker, column in zip(makers, columns, strict=True):
        if maker is None:
            if type(column) is not list or not set(map(type, column)) <= wire.LEAVES:
                raise WireFormatError("a column of plain items holds others")
            found.append(column)
        elif maker == "":
            found.append(_arrays(reader, column))
        else:
            found.append(_made(reader, maker, column))
    if len(set(map(len, found))) > 1:
        raise WireFormatError("a parcel has samples that lack parts")
    rows: list[Any] = list(zip(*found, strict=True))
    if keys is None:
        return rows
    if type(keys) is not list or not _are_names(tuple(keys)) or len(set(keys)) != len(makers):
        raise WireFormatError(f"{keys!r:.80} are no keys of samples")
    return [dict(zip(keys, row, strict=True)) for row in rows]


def _arrays(reader: NodeReader, column: Any) -> list[Any]:
    found: list[Any] = []
    for words, shape, strides, ref, exclusive, offsets in column:
        found += arrays.read_slots(reader, words, shape, strides, ref, exclusive, offsets)
    return found


def _made(reader: NodeReader, maker: Any, column: Any) -> list[Any]:
    return over_arrays(reader.context, maker, lambda: _arrays(reader, column))
