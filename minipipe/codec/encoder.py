"""Items become parcels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, cast

import msgpack
import numpy as np

from minipipe.codec import locate_failure, pickled, wire
from minipipe.codec.arrays import small_copy, write_runs
from minipipe.codec.dtypes import NAMES
from minipipe.codec.lender import Lender
from minipipe.codec.parcel import Parcel, Piece
from minipipe.codec.preset import Preset
from minipipe.codec.shared_arrays import SharedArray, take_over
from minipipe.codec.wire import NotNativeError, RefusedError
from minipipe.codec.writer import Writer, any_large
from minipipe.errors import ItemTypeError
from minipipe.errors.cause import because
from minipipe.process.describe import text_of
from minipipe.shm import SlotError, SlotHandle

_JUST_ARRAYS: Final = frozenset({np.ndarray})
_JUST_SHARED: Final = frozenset({SharedArray})

# The first bytes of a body of nodes: an array of three (with frames of four, with presets of five),
# and the first two.
_NODES_HEAD: Final = bytes([0x93, wire.FORMAT_VERSION, wire.NODES])
_FRAMES_HEAD: Final = bytes([0x94, wire.FORMAT_VERSION, wire.NODES])
_PRESETS_HEAD: Final = bytes([0x95, wire.FORMAT_VERSION, wire.NODES])


class Encoder:
    """Turns items into parcels. One per thread, or under a lock.

    Args:
        allow_pickle: Whether what has no form of its own is pickled, and definitions of classes
            travel. Only for those who trust each other: who unpickles runs what the pickle says.
        advice: What to do about an item that is refused, as the end of the error's sentence.
        lender: Puts large arrays where the others see them, who must be on this machine. None:
            all that is large travels in frames.

    Attributes:
        exclusive: Whether each parcel goes to one consumer, who may then write to what was
            copied for it: one that has confirmed, since another one who got the same parcel
            later would see that. To be set before `snapshot`.
    """

    def __init__(
        self,
        *,
        allow_pickle: bool = True,
        lender: Lender | None = None,
        advice: str = "it would be pickled with allow_pickle=True",
    ) -> None:
        self.exclusive = False
        self._allow_pickle = allow_pickle
        self._advice = advice
        self._lender = lender
        # Kept, because making one costs more than packing an int with it.
        self._pack = msgpack.Packer(autoreset=True).pack

    def begin(self, stream: int, *, exclusive: bool) -> None:
        """What follows is for a parcel of this stream; see `exclusive`."""
        self.exclusive = exclusive
        if self._lender is not None:
            self._lender.stream = stream

    def snapshot(self, item: object) -> tuple[object, int]:
        """Returns something that later changes of the item do not change, and its size in bytes.

        With a lender this holds from `Lender.isolate_sent` on; and the token holds slots, whose
        bytes count, until the parcel that it ends in is released. One that ends in none is to be
        given to `discard`.

        Args:
            item: Of a type that is not in ATOMS.

        Raises:
            ItemTypeError: It cannot travel.
        """
        if type(item) is np.ndarray:
            size = item.nbytes
            copied = small_copy(item)
            if copied is not None:
                return copied, size
            lender = self._lender
            if lender is not None and size >= lender.min_bytes:
                name = NAMES.get(id(item.dtype))
                if name is not None:
                    # In half the time that `_encoded` takes.
                    shared_array = lender.lend_alone(item, name, exclusive=self.exclusive)
                    if shared_array is not None:
                        return shared_array, size
        piece = self._encoded(item)
        return piece, len(piece.data) + sum(map(len, piece.frames)) + piece.slot_bytes

    def discard(self, token: object) -> None:
        """Lets go of what a token holds that will not be encoded."""
        if type(token) is Piece:
            for held in token.held:
                held.release()
            token.held = ()
        elif type(token) is SharedArray:
            assert self._lender is not None
            self._lender.discard(token)

    def encode(self, tokens: Sequence[object]) -> Parcel:
        """Returns one parcel of many items.

        Args:
            tokens: Each is an atom, or what `snapshot` made of an item; that only once, since
                the parcel takes over what it holds.
        """
        if self._lender is not None:
            self._lender.end_parcel()
        kinds = set(map(type, tokens))
        if kinds <= wire.LEAVES and not any_large(tokens, kinds):
            plain = tokens if isinstance(tokens, list | tuple) else list(tokens)
            try:
                return Parcel(self._pack((wire.FORMAT_VERSION, wire.PLAIN, plain)), [])
            except (OverflowError, UnicodeEncodeError):
                pass  # a big int, or a lone surrogate: as nodes
        elif kinds == _JUST_ARRAYS:
            return self._encode_arrays(tokens)
        elif kinds == _JUST_SHARED:
            assert self._lender is not None
            lent_slots: dict[SlotHandle, None] = {}
            runs = self._lender.runs(cast("Sequence[SharedArray]", tokens), lent_slots)
            body = self._pack((wire.FORMAT_VERSION, wire.SLOTS, runs))
            return Parcel(body, [], held=tuple(lent_slots))
        frames: list[bytes | memoryview] = []
        classes: dict[bytes, bytes] = {}
        slots: dict[SlotHandle, None] = {}
        ends: list[int] = []  # how many frames there are behind each item
        presets: list[Preset] = []
        parts = [_NODES_HEAD, _array_head(len(tokens))]
        for token in tokens:
            if type(token) is SharedArray:
                assert self._lender is not None
                node, lent = self._lender.node(token)
                parts.append(self._pack(node))
                take_over(slots, (lent,))
                ends.append(len(frames))
                continue
            piece = self._piece_of(token, presets)
            parts.append(piece.data)
            frames += piece.frames
            ends.append(len(frames))
            classes.update(piece.classes)
            if piece.held:
                take_over(slots, piece.held)
                piece.held = ()
        if presets:
            parts[0] = _PRESETS_HEAD
            parts.append(self._pack(ends if frames else None))
            parts.append(self._pack([preset.refs for preset in presets]))
        elif frames:
            parts[0] = _FRAMES_HEAD
            parts.append(self._pack(ends))
        return Parcel(b"".join(parts), frames, classes, tuple(slots))

    def _piece_of(self, token: object, presets: list[Preset]) -> Piece:
        """Returns a token encoded; a preset that it refers to is noted."""
        return token if type(token) is Piece else self._encoded(token)

    def _encode_arrays(self, arrays: Sequence[Any]) -> Parcel:
        writer = Writer()
        runs = [
            (name, shape, count, writer.buffer(data))
            for name, shape, count, data in write_runs(arrays)
        ]
        return Parcel(self._pack((wire.FORMAT_VERSION, wire.ARRAYS, runs)), writer.frames)

    def _encoded(self, item: object) -> Piece:
        try:
            return self._native(item)
        except NotNativeError as reason:
            if not self._allow_pickle:
                raise because(self._refusal(item, reason), None) from None
        except (SlotError, MemoryError):
            raise
        except Exception as exc:  # a property of the user's class; a library that is at its limits
            if not self._allow_pickle or isinstance(exc, RefusedError):
                raise because(self._failure(item, exc), exc) from exc
        try:
            writer = Writer()
            node = pickled.write(writer, item)
        except Exception as exc:  # the __reduce__ of any class may raise anything
            raise because(self._failure(item, exc), exc) from exc
        return self._piece(writer, node)

    def _native(self, item: object) -> Piece:
        try:
            return self._written(item, careful=False)
        except (OverflowError, UnicodeEncodeError):
            return self._written(item, careful=True)  # a big int, or a lone surrogate

    def _written(self, item: object, *, careful: bool) -> Piece:
        writer = Writer(self._lender, self.exclusive, self._allow_pickle, careful)
        try:
            return self._piece(writer, self._node(writer, item))
        finally:
            if writer.held:
                writer.release()

    def _node(self, writer: Writer, item: object) -> object:
        try:
            return writer.node(item)
        except RecursionError:
            # Few levels, but whoever called was near the limit.
            raise because(NotNativeError("it is nested too deeply", of_item=True), None) from None

    def _piece(self, writer: Writer, node: object) -> Piece:
        data = self._pack(node)
        held: tuple[SlotHandle, ...] = ()
        if writer.held:
            held, writer.held = tuple(writer.held), []
        return Piece(data, writer.frames, writer.classes, held, writer.slot_bytes)

    def _refusal(self, item: object, reason: NotNativeError) -> ItemTypeError:
        where, culprit = "item", item
        if not reason.of_item:

            def fails(part: object) -> bool:
                try:
                    self.discard(self._native(part))
                except NotNativeError as exc:
                    nonlocal reason
                    reason = exc
                    return True
                return False

            where, culprit = locate_failure.find(item, fails)
        why = f"{reason.why}; {self._advice}"
        return ItemTypeError(where, locate_failure.name_of(type(culprit)), why)

    def _failure(self, item: object, reason: Exception) -> ItemTypeError:
        said = self._said(reason)

        def fails(part: object) -> bool:
            # For the same reason: an item that cannot be read to its end may well have parts that
            # cannot be pickled (an open file), and which are not to be.
            try:
                if self._allow_pickle:
                    pickled.write(Writer(), part)
                else:
                    self.discard(self._native(part))
            except Exception as exc:  # as above
                return self._said(exc) == said
            return False

        where, culprit = locate_failure.find(item, fails)
        return ItemTypeError(where, locate_failure.name_of(type(culprit)), said)

    def _said(self, reason: Exception) -> str:
        if isinstance(reason, RefusedError):
            return str(reason)
        done = "pickled" if self._allow_pickle else "written"
        return f"it cannot be {done} ({type(reason).__name__}: {text_of(reason)})"


def _array_head(count: int) -> bytes:
    if count < 16:
        return bytes([0x90 | count])
    return b"\xdd" + count.to_bytes(4, "big")
