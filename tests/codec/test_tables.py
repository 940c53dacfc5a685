"""Arrow's tables and pandas' frames."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from minipipe.errors import ItemTypeError
from tests.codec.sameness import trip

pa = pytest.importorskip("pyarrow")


def test_a_table_arrives() -> None:
    table = pa.table({"a": [1, None], "b": ["x", "y"], "c": [[1], []]})
    table = table.replace_schema_metadata({"k": "v"})
    large = pa.table({"a": np.arange(10_000)})
    for each in (table, large, table.slice(0, 0), pa.concat_tables([table, table])):
        arrived = trip({"t": each})["t"]
        assert type(arrived) is pa.Table
        assert arrived.equals(each) and arrived.schema.equals(each.schema, check_metadata=True)


def test_a_record_batch_arrives() -> None:
    batch = pa.record_batch({"a": [1, 2], "b": pa.array(["x", "x"]).dictionary_encode()})
    for each in (batch, batch.slice(0, 0), batch.slice(1)):
        arrived = trip(each)
        assert type(arrived) is pa.RecordBatch and arrived.equals(each)


def _frames() -> list[Any]:
    pd = pytest.importorskip("pandas")
    full = pd.DataFrame(
        {
            "i": np.arange(5, dtype="i4"),
            "f": [1.5, np.nan, -0.0, np.inf, 2],
            "b": [True, False, True, False, True],
            "t": pd.to_datetime(["2024-01-01", None, "2024-01-02", "2024-01-03", None]),
            "d": pd.to_timedelta([1, 2, 3, 4, 5], unit="s"),
        }
    )
    return [
        full,
        full[["f"]],
        full.iloc[:0],
        full.set_index("i"),
        full.iloc[::2],
        full[full.b],
        pd.DataFrame({"a": np.arange(100_000.0)}),
    ]


def test_a_frame_of_numbers_and_times_arrives_exactly_without_pickle() -> None:
    from pandas.testing import assert_frame_equal

    for frame in _frames():
        arrived = trip([frame])[0]
        assert_frame_equal(frame, arrived, check_exact=True, check_flags=True)
        assert type(arrived.index) is type(frame.index)


def test_a_frame_that_arrived_can_be_written_to() -> None:
    pd = pytest.importorskip("pandas")
    arrived = trip(pd.DataFrame({"a": np.arange(3.0)}))
    arrived.iloc[0, 0] = 7
    arrived.loc[1, "a"] = 8
    assert arrived["a"].tolist() == [7, 8, 2]


def test_a_frame_that_arrow_would_change_is_pickled() -> None:
    pd = pytest.importorskip("pandas")
    from pandas.testing import assert_frame_equal

    attributed = pd.DataFrame({"a": [1]})
    attributed.attrs["x"] = 1
    dated = pd.DataFrame({"a": [1, 2]}, index=pd.date_range("2024", periods=2))
    odd = [
        pd.DataFrame({"a": [1, "x", None]}, dtype=object),
        pd.DataFrame({1: [1]}),
        pd.DataFrame([[1, 2]], columns=["a", "a"]),
        pd.DataFrame({"a": pd.Categorical(["x"])}),
        pd.DataFrame({"a": [1]}, index=["x"]),
        attributed,
        dated,
    ]
    for frame in odd:
        with pytest.raises(ItemTypeError):
            trip(frame)
        arrived = trip(frame, allow_pickle=True)
        assert_frame_equal(frame, arrived, check_exact=True)
        assert arrived.attrs == frame.attrs


def test_text_columns_arrive_exactly() -> None:
    pd = pytest.importorskip("pandas")
    from pandas.testing import assert_frame_equal

    frame = pd.DataFrame({"a": ["x", None, "ü"], "b": [1, 2, 3]})
    assert_frame_equal(frame, trip(frame, allow_pickle=True), check_exact=True)
