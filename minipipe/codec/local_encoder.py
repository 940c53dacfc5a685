"""Items become parcels for processes of the same machine: pickled, where that is faster."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from minipipe.codec import wire
from minipipe.codec.beside import Beside
from minipipe.codec.dtypes import NAMES
from minipipe.codec.encoder import Encoder
from minipipe.codec.item_pickler import ItemPickler, Pickled, PickledParts
from minipipe.codec.lender import Lender
from minipipe.codec.library import ArrayForm
from minipipe.codec.parcel import Parcel, Piece
from minipipe.codec.preset import Preset
from minipipe.codec.rows import Row, Rows, columns_of, maker_of, node_of
from minipipe.codec.shared_arrays import SharedArray, take_over
from minipipe.shm import SlotError, SlotHandle

_ndarray: Final = np.ndarray

_ARRAY_TOKENS: Final = frozenset({np.ndarray, SharedArray})
_OVER_HEAD: Final = bytes([0x93, wire.OVER])  # a list of three, and its tag


class OverArray:
    """A value of a library that travels as an array alone."""

    __slots__ = ("form", "slot_bytes", "token")

    def __init__(self, token: object, form: ArrayForm, size: int) -> None:
        self.token = token
        self.form = form
        self.slot_bytes = size if type(token) is SharedArray else 0


_JUST_OVER_ARRAYS: Final = frozenset({OverArray})
_JUST_PICKLED: Final = frozenset({tuple})
_JUST_ROWS: Final = frozenset({Row})


class LocalEncoder(Encoder):
    """An encoder whose parcels only processes that trust this one may decode.

    Numbers, texts and arrays alone have the same form as anywhere, and so have values that are
    arrays of a library; samples of large arrays are rows. All else is pickled; what plain pickle
    must not take, or cannot, goes the way of any encoder, which also says why if that fails.

    Args:
        lender: As an encoder's.
    """

    def __init__(self, *, lender: Lender | None = None) -> None:
        super().__init__(lender=lender)
        pickler = ItemPickler(Beside(lender, self))
        self._dump = pickler.dump
        self._forms = pickler.array_forms
        self._rows = Rows(pickler.array_forms)

    def snapshot(self, item: object) -> tuple[object, int]:
        kind = type(item)
        if kind is _ndarray and id(item.dtype) in NAMES:  # type: ignore[attr-defined]
            return super().snapshot(item)
        if kind is tuple or kind is dict:
            row = self._row_of(item)
            if row is not None:
                return row, row.slot_bytes
        elif kind in self._forms:
            over_array = self._over_array(item, self._forms[kind])
            if over_array is not None:
                return over_array
        try:
            return self._dump(item)
        except (SlotError, MemoryError):
            raise
        except Exception:  # of the code of its classes, or pickle cannot take it
            return super().snapshot(item)

    def _over_array(self, item: object, form: ArrayForm) -> tuple[OverArray, int] | None:
        """Does for a value of a library what is done for an array alone, if it is one."""
        array = form.array_of(item)
        if array is None or id(array.dtype) not in NAMES:
            return None
        token, size = super().snapshot(array)
        if type(token) in _ARRAY_TOKENS:
            return OverArray(token, form, size), size
        super().discard(token)  # a frame for each would take longer than to pickle it
        return None

    def _row_of(self, item: object) -> Row | None:
        lender = self._lender
        if lender is None:
            return None
        return self._rows.row_of(item, self._lend, lender.discard)

    def _lend(self, array: Any, dtype: str) -> SharedArray | None:
        assert self._lender is not None
        return self._lender.lend_alone(array, dtype, exclusive=self.exclusive)

    def discard(self, token: object) -> None:
        if type(token) is PickledParts:
            while token.held:
                token.held.pop().release()
        elif type(token) is OverArray:
            super().discard(token.token)
        elif type(token) is Row:
            for shared in token.shared():
                super().discard(shared)
        else:
            super().discard(token)

    def encode(self, tokens: Sequence[object]) -> Parcel:
        kinds = set(map(type, tokens))
        if kinds == _JUST_PICKLED:
            found: Sequence[Pickled] = tokens  # type: ignore[assignment]
            preset = found[0][1]
            data = [pickled for pickled, other in found if other is preset]
            if len(data) == len(found):
                if self._lender is not None:
                    self._lender.end_parcel()
                fields = (wire.FORMAT_VERSION, wire.PICKLES, data, None, preset.refs)
                return Parcel(self._pack(fields), [], preset.definitions)
        elif kinds == _JUST_ROWS:
            parcel = self._encode_rows(tokens)  # type: ignore[arg-type]
            if parcel is not None:
                return parcel
        elif kinds == _JUST_OVER_ARRAYS:
            return self._encode_over_arrays(tokens)  # type: ignore[arg-type]
        return super().encode(tokens)

    def _encode_over_arrays(self, tokens: Sequence[OverArray]) -> Parcel:
        form = tokens[0].form
        inner = [token.token for token in tokens if token.form is form]
        if len(inner) < len(tokens) or len(set(map(type, inner))) > 1:
            return super().encode(tokens)
        parcel = super().encode(inner)
        fields = (wire.FORMAT_VERSION, wire.OVER_ARRAYS, [maker_of(form), parcel.body])
        return parcel._replace(body=self._pack(fields))

    def _encode_rows(self, rows: Sequence[Row]) -> Parcel | None:
        """None: they are not alike."""
        lender, layout = self._lender, rows[0].layout
        if lender is None or any([row.layout != layout for row in rows]):
            return None
        lender.end_parcel()
        slots: dict[SlotHandle, None] = {}
        columns = columns_of(rows, lambda tokens: lender.runs(tokens, slots))
        body = self._pack((wire.FORMAT_VERSION, wire.ROWS, columns))
        return Parcel(body, [], held=tuple(slots))

    def _piece_of(self, token: object, presets: list[Preset]) -> Piece:
        if type(token) is tuple:
            data, preset = token
            place = _place_of(preset, presets)
            alone = (wire.PICKLED, place, len(preset.refs), (), (data,))
            return Piece(self._pack(alone), [], preset.definitions, (), 0)
        if type(token) is PickledParts:
            place = _place_of(token.preset, presets)
            node = (wire.PICKLED, place, token.known, token.nodes, token.data)
            held = tuple(token.held)
            token.held.clear()
            return Piece(
                self._pack(node), token.frames, token.preset.definitions, held, token.slot_bytes
            )
        if type(token) is Row:
            return self._row_piece(token)
        if type(token) is OverArray:
            piece = self._array_piece(token.token)
            piece.data = _OVER_HEAD + self._pack(maker_of(token.form)) + piece.data
            return piece
        return super()._piece_of(token, presets)

    def _row_piece(self, row: Row) -> Piece:
        lender = self._lender
        assert lender is not None
        slots: dict[SlotHandle, None] = {}

        def node(shared: SharedArray) -> object:
            found, held = lender.node(shared)
            take_over(slots, (held,))
            return found

        data = self._pack(node_of(row, node))
        return Piece(data, [], {}, tuple(slots), row.slot_bytes)

    def _array_piece(self, token: object) -> Piece:
        if type(token) is not SharedArray:
            return self._encoded(token)
        assert self._lender is not None
        node, held = self._lender.node(token)
        return Piece(self._pack(node), [], {}, (held,), token.slot_bytes)


def _place_of(preset: Preset, presets: list[Preset]) -> int:
    if not any(other is preset for other in presets):
        presets.append(preset)
    return next(place for place, other in enumerate(presets) if other is preset)
