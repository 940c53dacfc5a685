"""pandas' DataFrames, as Arrow IPC streams: `[FRAME, buffer]`. pandas is imported only for one."""

from __future__ import annotations

import importlib
import sys
from typing import Any

import numpy as np

from minipipe.codec.library import Library
from minipipe.codec.nodes import NodeReader, NodeWriter, WriteNode
from minipipe.codec.registry import MODULES
from minipipe.codec.types.pyarrow import ipc_stream, read_table
from minipipe.codec.wire import NotNativeError
from minipipe.errors import WireFormatError

(FRAME,) = MODULES["pandas"].tags


def _writer_for(kind: type) -> WriteNode | None:
    # Frames can be made without Arrow: then they are pickled, and Arrow is not imported for them.
    if "pyarrow" in sys.modules and kind is getattr(sys.modules["pandas"], "DataFrame", None):
        return _write_frame
    return None


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
    return [FRAME, writer.buffer(ipc_stream(arrow, table))]


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
    table = read_table(reader, data)
    try:
        pandas = importlib.import_module("pandas")
    except ImportError as exc:
        raise WireFormatError("a DataFrame needs pandas, which is not installed here") from exc
    frame = table.to_pandas()
    # Columns may lie in Arrow's read-only memory. pandas 3 copies on write; before, writing failed.
    return frame.copy() if int(pandas.__version__.split(".")[0]) < 3 else frame


LIBRARY = Library(writer_for=_writer_for, readers={FRAME: _read_frame}, in_pickles=False)
