"""Arrays whose dtype is equal to a usual one, and another object: those that were unpickled."""

from __future__ import annotations

import pickle
from typing import Any

import msgpack
import numpy as np
import pytest

from minipipe.codec import dtypes, wire
from minipipe.codec.dtypes import NAMES, read_dtype, write_dtype
from minipipe.codec.wire import NotNativeError


def unpickled(array: Any) -> Any:
    found = pickle.loads(pickle.dumps(array))
    assert found.dtype == array.dtype and found.dtype is not array.dtype
    return found


@pytest.mark.parametrize("code", "?bBhHiIlLefdgFDG")
def test_it_is_known_by_name_from_the_second_array_on(code: str) -> None:
    usual = np.dtype(code)
    array = unpickled(np.zeros(3, usual))
    words = write_dtype(array.dtype)
    assert words == write_dtype(usual) and read_dtype(words).num == usual.num
    assert NAMES.get(id(array.dtype)) == NAMES.get(id(usual))


def test_no_more_than_some_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dtypes, "_equal", [])
    monkeypatch.setattr(dtypes, "NAMES", dict(NAMES))
    arrays = [unpickled(np.zeros(3)) for _ in range(dtypes._MOST_EQUAL + 10)]
    assert {write_dtype(array.dtype) for array in arrays} == {"<f8"}
    assert len(dtypes._equal) == dtypes._MOST_EQUAL


@pytest.mark.parametrize(
    "dtype",
    [np.dtype(">i4"), np.dtype("M8[s]"), np.dtype("U3"), np.dtype([("a", "u1")])],
    ids=str,
)
def test_what_is_none_of_the_usual_ones_is_not_taken_for_one(dtype: np.dtype[Any]) -> None:
    known = len(NAMES)
    assert read_dtype(write_dtype(dtype)) == dtype
    assert len(NAMES) == known and id(dtype) not in NAMES


def test_one_with_metadata_is_refused_as_before() -> None:
    with pytest.raises(NotNativeError, match="metadata"):
        write_dtype(np.dtype("u1", metadata={"a": 1}))


def test_such_arrays_alone_lie_side_by_side_as_others_do(end: Any) -> None:
    arrays = [unpickled(np.full(40_000, value, np.uint8)) for value in range(10)]
    for _ in range(3):
        end.received(end.parcel(*arrays))
    parcel = end.parcel(*arrays)
    assert msgpack.unpackb(parcel.body)[1] == wire.SLOTS
    assert [int(array[0]) for array in end.received(parcel)] == list(range(10))
