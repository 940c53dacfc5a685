"""The format of msgpack-numpy 0.4.8, for programs that are not MiniPipe.

Its own decoder is not used: it calls `pickle.loads` on the data of any map that is marked as an
object array, whoever sent it, and makes arrays that cannot be written to. The format is four keys:

    {b"nd": True, b"type": dtype.str or its descr, b"kind": b"" | b"V" | b"O", b"shape", b"data"}
    {b"nd": False, b"type": dtype.str, b"data"}     a NumPy scalar
    {b"complex": True, b"data": repr}

It knows no tuples: they go out as lists, and so arrive.
"""

from __future__ import annotations

from typing import Any, Literal

import msgpack
import numpy as np

from minipipe.codec import locate_failure
from minipipe.codec.arrays import array_from, is_shape
from minipipe.codec.dtypes import read_dtype
from minipipe.codec.registry import library_of
from minipipe.errors import ItemTypeError, WireFormatError

_MAX_DEPTH = 100


def pack(item: object) -> bytes:
    """Returns an item as msgpack-numpy writes it.

    Args:
        item: None, bool, int of 64 bits, float, complex, str, bytes, NumPy arrays and scalars
            (datetime64 too, which msgpack-numpy reads but cannot write), in dicts, lists and
            tuples; the tuples become lists.

    Raises:
        ItemTypeError: There is something else in it.
    """
    reason: Exception | None = None

    def fails(part: object) -> bool:
        try:
            msgpack.packb(part, default=_encoded, strict_types=True)
        except (TypeError, ValueError, OverflowError) as exc:
            nonlocal reason
            reason = exc
            return True
        return False

    if not fails(item):
        packed: bytes = msgpack.packb(item, default=_encoded, strict_types=True)
        return packed
    where, culprit = locate_failure.find(item, fails)
    why = f"msgpack-numpy has no form for it ({reason})"
    raise ItemTypeError(where, locate_failure.name_of(type(culprit)), why) from reason


def unpack(data: bytes | memoryview) -> object:
    """Returns the item of a message in msgpack-numpy's format; its arrays can be written to.

    Args:
        data: From anybody: nothing in it is run, imported or believed.

    Raises:
        WireFormatError: It is malformed, or holds an object array, which is a pickle.
    """
    try:
        scout = msgpack.Unpacker(strict_map_key=False, max_buffer_size=0)
        scout.feed(data)
        scout.skip()  # after that no header claims more than is there
        return _decoded(msgpack.unpackb(data, strict_map_key=False, ext_hook=_no_extension), 0)
    except WireFormatError:
        raise
    except (ValueError, TypeError, KeyError, OverflowError, msgpack.UnpackException) as exc:
        why = str(exc) or type(exc).__name__  # of msgpack's own, some say nothing
        raise WireFormatError(f"it is no message of msgpack-numpy: {why:.300}") from exc


def _encoded(value: Any) -> object:
    if type(value) is tuple:
        return list(value)
    if type(value) is complex:
        return {b"complex": True, b"data": repr(value)}
    is_array = type(value) is np.ndarray
    if not is_array and not (isinstance(value, np.generic) and type(value) is value.dtype.type):
        raise TypeError(f"{locate_failure.name_of(type(value))} is not one of its types")
    dtype = value.dtype
    if dtype.hasobject:
        raise TypeError(f"an array of {dtype} would have to be pickled")
    is_struct = dtype.kind == "V"
    words = dtype.descr if is_struct else dtype.str
    # descr and str leave out titles, alignment, overlaps, and what a library's dtype is.
    if read_descr(words) != dtype or library_of(dtype.type) is not None:
        raise TypeError(f"its dtype {dtype} cannot be put in words")
    if not is_array:
        if is_struct:
            raise TypeError("it has no form for structured scalars: use an array of one")
        return {b"nd": False, b"type": words, b"data": value.tobytes()}
    kind = b"V" if is_struct else b""
    shape = list(value.shape)
    return {b"nd": True, b"type": words, b"kind": kind, b"shape": shape, b"data": value.tobytes()}


def _decoded(value: Any, depth: int) -> Any:
    if depth > _MAX_DEPTH:
        raise WireFormatError(f"it is nested more than {_MAX_DEPTH} levels deep")
    if type(value) is list:
        return [_decoded(each, depth + 1) for each in value]
    if type(value) is not dict:
        return value
    # Keys are text where the sender packed without bin types.
    fields = {key.encode() if isinstance(key, str) else key: part for key, part in value.items()}
    if b"nd" in fields and b"data" in fields and b"type" in fields:
        return _array(fields)
    if b"complex" in fields and b"data" in fields:
        text = fields[b"data"]
        return complex(text.decode() if isinstance(text, bytes) else text)
    return {key: _decoded(part, depth + 1) for key, part in value.items()}


def _array(fields: dict[Any, Any]) -> object:
    if fields.get(b"kind") in (b"O", "O"):
        raise WireFormatError("it holds an object array, which is a pickle, and is not unpickled")
    data, shape = fields[b"data"], fields.get(b"shape", [])
    is_array = fields[b"nd"] is True
    if type(data) is not bytes or not is_shape(shape):
        raise WireFormatError("it holds an array without a shape or without bytes")
    order: Literal["C"] = "C"
    found = array_from(read_descr(fields[b"type"]), shape if is_array else [], order, data)
    return found if is_array else found[()]


def read_descr(words: Any, depth: int = 0) -> np.dtype[Any]:
    """Returns the dtype of a `dtype.str`, or of a `dtype.descr` whose tuples may be lists.

    Raises:
        WireFormatError: It is none, or one that holds objects.
    """
    if depth > _MAX_DEPTH:
        raise WireFormatError("a dtype is nested too deeply")
    if isinstance(words, bytes):
        words = words.decode()
    if isinstance(words, str):
        return read_dtype(words)
    fields = []
    for name, kind, *shape in words:
        label = name.decode() if isinstance(name, bytes) else name
        fields.append((label, read_descr(kind, depth + 1), *map(tuple, shape)))
    return np.dtype(fields)


def _no_extension(code: int, data: bytes) -> object:
    raise WireFormatError(f"it holds the msgpack extension {code}")
