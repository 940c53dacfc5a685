"""NumPy's scalars, and dtypes as items."""

from __future__ import annotations

from typing import Any

import numpy as np

from minipipe.codec import wire
from minipipe.codec.arrays import array_from
from minipipe.codec.dtypes import read_dtype, write_dtype
from minipipe.codec.nodes import NodeReader, NodeWriter, ReadNode, WriteNode
from minipipe.codec.wire import NotNativeError
from minipipe.errors import WireFormatError


def _write_scalar(writer: NodeWriter, value: np.generic) -> list[object]:
    if value.dtype.type is not type(value):
        raise NotNativeError("its class is a subclass of NumPy's")
    data = value.tobytes()
    return [wire.SCALAR, write_dtype(value.dtype), writer.buffer(data)]


def _read_scalar(reader: NodeReader, node: list[Any]) -> object:
    _, words, data = node
    return array_from(read_dtype(words), [], "C", reader.buffer(data))[()]


def _write_text(writer: NodeWriter, value: np.str_ | np.bytes_) -> list[object]:
    # Not through an array, which would cut zeros off its end.
    plain = str.__str__(value) if isinstance(value, str) else bytes(value)
    return [wire.NUMPY_TEXT, writer.leaf(plain)]


def _read_text(reader: NodeReader, node: list[Any]) -> object:
    _, text = node
    plain = reader.node(text)
    if type(plain) is str:
        return np.str_(plain)
    if type(plain) is bytes:
        return np.bytes_(plain)
    raise WireFormatError(f"a NumPy text is a {type(plain).__name__}")


def _write_dtype(writer: NodeWriter, value: np.dtype[Any]) -> list[object]:
    return [wire.DTYPE, write_dtype(value)]


def _read_dtype(reader: NodeReader, node: list[Any]) -> object:
    _, words = node
    return read_dtype(words)


def writer_for(kind: type) -> WriteNode | None:
    """Returns what writes NumPy scalars or dtypes of that class, if it is one."""
    if kind is np.str_ or kind is np.bytes_:
        return _write_text
    if issubclass(kind, np.generic):
        return _write_scalar
    return _write_dtype if issubclass(kind, np.dtype) else None


READERS: dict[int, ReadNode] = {
    wire.SCALAR: _read_scalar,
    wire.NUMPY_TEXT: _read_text,
    wire.DTYPE: _read_dtype,
}
