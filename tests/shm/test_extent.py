"""Which bytes an array covers."""

from __future__ import annotations

from itertools import product

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from minipipe.shm.extent import c_strides, lies_within

AXES = st.lists(st.tuples(st.integers(0, 3), st.integers(-20, 20)), max_size=4)


@settings(max_examples=300)
@given(st.integers(0, 60), st.integers(-5, 60), AXES, st.sampled_from([1, 2, 8]))
def test_an_array_lies_within_if_each_of_its_elements_does(
    size_bytes: int, offset: int, axes: list[tuple[int, int]], item_bytes: int
) -> None:
    shape, strides = [axis[0] for axis in axes], [axis[1] for axis in axes]
    starts = [
        offset + sum(map(int.__mul__, position, strides))
        for position in product(*map(range, shape))
    ]
    inside = 0 <= offset <= size_bytes and all(
        0 <= start <= size_bytes - item_bytes for start in starts
    )
    assert lies_within(size_bytes, offset, shape, strides, item_bytes) == inside


@given(st.lists(st.integers(1, 4), max_size=5), st.sampled_from(["u1", "f4", "c16"]))
def test_strides_that_are_not_said_are_those_of_numpy(shape: list[int], dtype: str) -> None:
    array = np.empty(shape, dtype)
    assert c_strides(shape, array.itemsize) == array.strides
