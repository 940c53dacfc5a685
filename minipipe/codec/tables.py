"""Arrow's tables and record batches, and pandas' DataFrames, as Arrow IPC streams.

pyarrow and pandas are imported only when one arrives.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

import numpy as np

from minipipe.codec import wire
from minipipe.codec.nodes import NodeReader, NodeWriter, ReadNode, WriteNode
from minipipe.codec.wire import NotNativeError
from minipipe.errors import WireFormatError

# Before, a table could bring a pickled extension type that was loaded unasked: CVE-2023-47248.
_FIRST_SAFE_PYARROW = (14, 0, 1)


def writer_for(kind: type) -> WriteNode | None:
    """Returns what writes tables of that class, if it is one and Arrow is there."""
    arrow, pandas = sys.modules.get("pyarrow"), sys.modules.get("pandas")
    if arrow is not None and kind is getattr(arrow, "Table", None):
        return _write_table
    if arrow is not None and kind is getattr(arrow, "RecordBatch", None):
        return _write_table
    # Frames can be made without Arrow: then they are pickled, and Arrow is not imported for them.
    if arrow is not None and pandas is not None and kind is getattr(pandas, "DataFrame", None):
        return _write_frame
    return None


def _write_table(writer: NodeWriter, value: Any) -> list[object]:
    arrow = sys.modules["pyarrow"]
    if value.num_columns == 0 or any(_is_extended(field.type) for field in value.schema):
        raise NotNativeError("it is a table of no columns, or with extension types")
    is_batch = isinstance(value, arrow.RecordBatch)
    return [wire.ARROW, is_batch, writer.buffer(_ipc(arrow, value))]


def _is_extended(kind: Any) -> bool:
    if isinstance(kind, sys.modules["pyarrow"].BaseExtensionType):
        return True
    return any(_is_extended(kind.field(index).type) for index in range(kind.num_fields))


def _ipc(arrow: Any, table: Any) -> memoryview:
    sink = arrow.BufferOutputStream()
    with arrow.ipc.new_stream(sink, table.schema) as stream:
        stream.write(table)
    return memoryview(sink.getvalue())


def _read_arrow(reader: NodeReader, node: list[Any]) -> object:
    _, is_batch, data = node
    return _table(reader, data, is_batch=bool(is_batch))


def _table(reader: NodeReader, node: Any, *, is_batch: bool = False) -> Any:
    data = np.array(np.frombuffer(reader.buffer(node), np.uint8))
    try:
        arrow = importlib.import_module("pyarrow")
    except ImportError as exc:
        raise WireFormatError("a table needs pyarrow, which is not installed here") from exc
    if not reader.trust.allow_pickle:
        version = tuple(map(int, arrow.__version__.split(".")[:3]))
        if version < _FIRST_SAFE_PYARROW:
            raise WireFormatError(f"tables from strangers need pyarrow >= {_FIRST_SAFE_PYARROW}")
    stream = arrow.ipc.open_stream(arrow.py_buffer(data))
    table = stream.read_next_batch() if is_batch else stream.read_all()
    if not reader.trust.allow_pickle:
        # Offsets that point outside their buffers are not found by reading.
        table.validate(full=True)
    return table


def _write_frame(writer: NodeWriter, value: Any) -> list[object]:
    if not _is_plain(value):
        raise NotNativeError("it is a DataFrame that Arrow would not return exactly as it is")
    arrow = sys.modules["pyarrow"]
    try:
        table = arrow.Table.from_pandas(value)
    except (arrow.ArrowException, UnicodeError) as exc:
        raise NotNativeError(f"it is a DataFrame that Arrow cannot take: {exc}") from exc
    empty = table.slice(0, 0).to_pandas()
    if list(empty.dtypes) != list(value.dtypes) or empty.columns.dtype != value.columns.dtype:
        raise NotNativeError("it is a DataFrame of which Arrow would change a dtype")
    return [wire.FRAME, writer.buffer(_ipc(arrow, table))]


def _is_plain(frame: Any) -> bool:
    pandas = sys.modules["pandas"]
    index, columns = frame.index, frame.columns
    return (
        not frame.attrs
        and frame.flags.allows_duplicate_labels
        and len(columns) > 0
        and type(columns) is pandas.Index
        and columns.name is None
        and columns.is_unique
        and all(type(name) is str and not name.startswith("__index_") for name in columns)
        and (index.name is None or (type(index.name) is str and index.name not in columns))
        and (type(index) is pandas.RangeIndex or _is_number_index(index, pandas))
        and all(_is_exact(dtype, pandas) for dtype in frame.dtypes)
    )


def _is_number_index(index: Any, pandas: Any) -> bool:
    # Not DatetimeIndex, which has a frequency, nor anything else with a class of its own.
    return type(index) is pandas.Index and getattr(index.dtype, "kind", "O") in "iuf"


def _is_exact(dtype: Any, pandas: Any) -> bool:
    # Not objects, categories, time zones, nor masked numbers.
    if isinstance(dtype, np.dtype):
        return dtype.kind in "biufMm" and dtype.isnative
    return isinstance(dtype, pandas.StringDtype)


def _read_frame(reader: NodeReader, node: list[Any]) -> object:
    _, data = node
    table = _table(reader, data)
    try:
        pandas = importlib.import_module("pandas")
    except ImportError as exc:
        raise WireFormatError("a DataFrame needs pandas, which is not installed here") from exc
    frame = table.to_pandas()
    # Columns may lie in Arrow's read-only memory. pandas 3 copies on write; before, writing failed.
    return frame.copy() if int(pandas.__version__.split(".")[0]) < 3 else frame


READERS: dict[int, ReadNode] = {wire.ARROW: _read_arrow, wire.FRAME: _read_frame}
