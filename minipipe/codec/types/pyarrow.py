"""Arrow's tables and record batches, as Arrow IPC streams: `[ARROW, is_batch, buffer]`.

pyarrow is imported only when one arrives.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

import numpy as np

from minipipe.codec.library import Library
from minipipe.codec.nodes import NodeReader, NodeWriter, WriteNode
from minipipe.codec.registry import MODULES
from minipipe.codec.wire import NotNativeError
from minipipe.errors import WireFormatError

(ARROW,) = MODULES["pyarrow"].tags

# Before, a table could bring a pickled extension type that was loaded unasked: CVE-2023-47248.
_FIRST_SAFE_PYARROW = (14, 0, 1)


def _writer_for(kind: type) -> WriteNode | None:
    arrow = sys.modules["pyarrow"]
    tables = (getattr(arrow, "Table", None), getattr(arrow, "RecordBatch", None))
    return _write_table if kind in tables else None


def _write_table(writer: NodeWriter, value: Any) -> list[object]:
    arrow = sys.modules["pyarrow"]
    if value.num_columns == 0 or any(_is_extended(field.type) for field in value.schema):
        raise NotNativeError("it is a table of no columns, or with extension types")
    is_batch = isinstance(value, arrow.RecordBatch)
    return [ARROW, is_batch, writer.buffer(ipc_stream(arrow, value))]


def _is_extended(kind: Any) -> bool:
    if isinstance(kind, sys.modules["pyarrow"].BaseExtensionType):
        return True
    return any(_is_extended(kind.field(index).type) for index in range(kind.num_fields))


def ipc_stream(arrow: Any, table: Any) -> memoryview:
    """Returns a table as an Arrow IPC stream."""
    sink = arrow.BufferOutputStream()
    with arrow.ipc.new_stream(sink, table.schema) as stream:
        stream.write(table)
    return memoryview(sink.getvalue())


def _read_arrow(reader: NodeReader, node: list[Any]) -> object:
    _, is_batch, data = node
    return read_table(reader, data, is_batch=bool(is_batch))


def read_table(reader: NodeReader, node: Any, *, is_batch: bool = False) -> Any:
    """Returns the table, or the one record batch, of a stream in a buffer, copied once."""
    data = np.array(np.frombuffer(reader.buffer(node), np.uint8))
    try:
        arrow = importlib.import_module("pyarrow")
    except ImportError as exc:
        raise WireFormatError("a table needs pyarrow, which is not installed here") from exc
    if not reader.context.allow_pickle:
        version = tuple(map(int, arrow.__version__.split(".")[:3]))
        if version < _FIRST_SAFE_PYARROW:
            raise WireFormatError(f"tables from strangers need pyarrow >= {_FIRST_SAFE_PYARROW}")
    stream = arrow.ipc.open_stream(arrow.py_buffer(data))
    table = stream.read_next_batch() if is_batch else stream.read_all()
    if not reader.context.allow_pickle:
        # Offsets that point outside their buffers are not found by reading.
        table.validate(full=True)
    return table


LIBRARY = Library(writer_for=_writer_for, readers={ARROW: _read_arrow})
