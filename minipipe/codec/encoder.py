"""Items become parcels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgpack
import numpy as np

from minipipe.codec import blame, pickled, wire
from minipipe.codec.arrays import write_runs
from minipipe.codec.dtypes import NAMES
from minipipe.codec.wire import OUT_OF_BAND_BYTES, NotNativeError
from minipipe.codec.writer import Writer, any_large
from minipipe.errors import ItemTypeError

_JUST_ARRAYS = frozenset({np.ndarray})

# The first bytes of a body of nodes: an array of three, and the first two of them.
_NODES_HEAD = bytes([0x93, wire.FORMAT_VERSION, wire.NODES])


class Parcel(NamedTuple):
    """Many items, ready to be sent."""

    body: bytes
    """msgpack; all that is small."""
    frames: list[bytes | memoryview]
    """Large buffers, in order. Nobody changes them, so they can be sent without a copy."""
    classes: tuple[bytes, ...]
    """Tokens of the definitions that the other side must have, each after those that it needs."""


class _Piece:
    """An item that is encoded already."""

    __slots__ = ("classes", "data", "frames")

    def __init__(
        self, data: bytes, frames: list[bytes | memoryview], classes: tuple[bytes, ...]
    ) -> None:
        self.data = data
        self.frames = frames
        self.classes = classes


class Encoder:
    """Turns items into parcels. One per thread, or under a lock.

    Args:
        allow_pickle: Whether what has no form of its own is pickled, and definitions of classes
            travel. Only for those who trust each other: who unpickles runs what the pickle says.
    """

    def __init__(self, *, allow_pickle: bool = True) -> None:
        """Has written no definition yet."""
        self._allow_pickle = allow_pickle
        self._definitions: dict[bytes, bytes] = {}
        # Kept, because making one costs more than packing an int with it.
        self._pack = msgpack.Packer(autoreset=True).pack

    def snapshot(self, item: object) -> tuple[object, int]:
        """Returns something that later changes of the item do not change, and its size in bytes.

        Args:
            item: Of a type that is not in ATOMS.

        Raises:
            ItemTypeError: It cannot travel.
        """
        if type(item) is np.ndarray:
            size = item.nbytes
            # 1000 of them in 10 ms: even the calls count here.
            if (
                0 < size < OUT_OF_BAND_BYTES
                and id(item.dtype) in NAMES
                and (item.ndim == 1 or not item.flags.fnc)
            ):
                return item.copy(), size
        piece = self._encoded(item)
        return piece, len(piece.data) + sum(map(len, piece.frames))

    def encode(self, tokens: Sequence[object]) -> Parcel:
        """Returns one parcel of many items.

        Args:
            tokens: Each is an atom, or what `snapshot` made of an item.
        """
        kinds = set(map(type, tokens))
        if kinds <= wire.LEAVES and not any_large(tokens, kinds):
            plain = tokens if isinstance(tokens, list | tuple) else list(tokens)
            try:
                return Parcel(self._pack((wire.FORMAT_VERSION, wire.PLAIN, plain)), [], ())
            except (OverflowError, UnicodeEncodeError):
                pass  # a big int, or a lone surrogate: as nodes
        elif kinds == _JUST_ARRAYS:
            return self._encode_arrays(tokens)
        frames: list[bytes | memoryview] = []
        classes: dict[bytes, None] = {}
        parts = [_NODES_HEAD, _array_head(len(tokens))]
        for token in tokens:
            piece = token if type(token) is _Piece else self._encoded(token)
            parts.append(piece.data)
            frames += piece.frames
            classes.update(dict.fromkeys(piece.classes))
        return Parcel(b"".join(parts), frames, tuple(classes))

    def definition(self, token: bytes) -> bytes:
        """Returns the definition of a class that a parcel of this encoder names."""
        return self._definitions[token]

    def _encode_arrays(self, arrays: Sequence[Any]) -> Parcel:
        writer = Writer()
        runs = [
            (name, shape, count, writer.buffer(data))
            for name, shape, count, data in write_runs(arrays)
        ]
        return Parcel(self._pack((wire.FORMAT_VERSION, wire.ARRAYS, runs)), writer.frames, ())

    def _encoded(self, item: object) -> _Piece:
        try:
            return self._native(item)
        except NotNativeError as exc:
            if not self._allow_pickle:
                raise self._refusal(item, exc) from None
        try:
            writer = Writer()
            node = pickled.write(writer, item)
        except Exception as exc:  # the __reduce__ of any class may raise anything
            raise self._failure(item, exc) from exc
        return self._piece(writer, node)

    def _native(self, item: object) -> _Piece:
        writer = Writer(by_value=self._allow_pickle)
        node = self._node(writer, item)
        try:
            return self._piece(writer, node)
        except (OverflowError, UnicodeEncodeError):
            writer = Writer(by_value=self._allow_pickle, careful=True)
            return self._piece(writer, self._node(writer, item))

    def _node(self, writer: Writer, item: object) -> object:
        try:
            return writer.node(item)
        except RecursionError:
            # Few levels, but whoever called was near the limit.
            raise NotNativeError("it is nested too deeply", of_item=True) from None

    def _piece(self, writer: Writer, node: object) -> _Piece:
        piece = _Piece(self._pack(node), writer.frames, tuple(writer.classes))
        self._definitions.update(writer.classes)
        return piece

    def _refusal(self, item: object, reason: NotNativeError) -> ItemTypeError:
        where, culprit = "item", item
        if not reason.of_item:

            def fails(part: object) -> bool:
                try:
                    self._native(part)
                except NotNativeError as exc:
                    nonlocal reason
                    reason = exc
                    return True
                return False

            where, culprit = blame.find(item, fails)
        why = f"{reason.why}; it would be pickled with allow_pickle=True"
        return ItemTypeError(where, blame.name_of(type(culprit)), why)

    def _failure(self, item: object, reason: Exception) -> ItemTypeError:
        def fails(part: object) -> bool:
            try:
                pickled.write(Writer(), part)
            except Exception as exc:  # as above
                nonlocal reason
                reason = exc
                return True
            return False

        where, culprit = blame.find(item, fails)
        why = f"it cannot be pickled ({type(reason).__name__}: {reason})"
        return ItemTypeError(where, blame.name_of(type(culprit)), why)


def _array_head(count: int) -> bytes:
    if count < 16:
        return bytes([0x90 | count])
    return b"\xdd" + count.to_bytes(4, "big")
