"""`mp.empty`: NumPy's, but where the next segment can see it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from minipipe.shm import SlotPool, arrays, find_slot, supported
from minipipe.shm.arrays import ObjectArrayError, empty, empty_like
from tests.conftest import named

SIZE = 100_000


@pytest.fixture
def pool() -> Iterator[SlotPool]:
    if not supported():
        pytest.skip("shared memory slots do not work here")
    made = SlotPool(64 * 1024 * 1024)
    arrays.set_pool(made)
    yield made
    arrays.set_pool(None)
    made.close()


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize(
    ("shape", "dtype"),
    [
        (SIZE, float),
        (np.int64(SIZE), np.uint8),
        ([300, 400], "<f4"),
        ((30, 40, 50), ">i8"),
        ((300, 400), "M8[s]"),
        ((300, 400), [("x", "f4"), ("y", "S3")]),
        ((300, 40), ("f8", (2, 3))),
        ((300, 400), "U3"),
    ],
    ids=named,
)
def test_in_a_worker_a_large_array_lies_in_a_slot_and_is_what_numpy_would_have_made(
    pool: SlotPool, shape: Any, dtype: Any, order: Any
) -> None:
    array, like = empty(shape, dtype, order), np.empty(shape, dtype, order)
    assert find_slot(array) is not None
    assert (array.shape, array.dtype, array.strides) == (like.shape, like.dtype, like.strides)
    assert type(array) is np.ndarray and array.flags.writeable and array.flags.aligned


BASE = np.zeros((20, 30, 100))


@pytest.mark.parametrize("order", ["C", "F", "A", "K"])
@pytest.mark.parametrize(
    "prototype",
    [BASE, BASE.T, BASE.transpose(1, 2, 0), BASE[::-1, ::2], np.ma.masked_array(BASE)],
    ids=["C", "F", "axes swapped", "strided", "of a subclass"],
)
def test_the_like_of_an_array_has_its_shape_dtype_and_layout(
    pool: SlotPool, prototype: Any, order: Any
) -> None:
    array, like = empty_like(prototype, order=order), np.empty_like(prototype, order=order)
    assert find_slot(array) is not None and type(array) is np.ndarray
    assert (array.shape, array.dtype, array.strides) == (like.shape, like.dtype, like.strides)


def test_the_like_of_an_array_may_have_another_shape_and_dtype(pool: SlotPool) -> None:
    array = empty_like([1, 2], "f4", shape=(50, 1000))
    assert find_slot(array) is not None
    assert (array.shape, array.dtype) == ((50, 1000), np.float32)


def test_a_slot_belongs_to_its_array_alone(pool: SlotPool) -> None:
    array = empty(SIZE)
    assert not np.shares_memory(array, empty(SIZE))
    address = array.ctypes.data
    del array
    assert empty(SIZE).ctypes.data == address


def test_outside_of_a_run_it_is_an_ordinary_array() -> None:
    array = empty((300, 400), "f4", "F")
    assert array.flags.owndata and array.flags.f_contiguous
    assert empty_like(array).flags.owndata


def test_what_is_too_small_or_too_large_for_a_slot_is_an_ordinary_array(pool: SlotPool) -> None:
    for shape in (0, (), 10, (0, 2**40), 65 * 1024 * 1024):
        assert empty(shape, np.uint8).flags.owndata


@pytest.mark.parametrize("dtype", [object, "O", [("x", "O")], ("O", 3)], ids=named)
def test_objects_are_refused_everywhere(dtype: Any) -> None:
    with pytest.raises(ObjectArrayError, match=r"mp\.empty makes .*NumPy's own function"):
        empty(SIZE, dtype)
    with pytest.raises(TypeError, match=r"mp\.empty_like"):
        empty_like(np.empty(3, dtype))


@pytest.mark.parametrize(
    ("shape", "error"),
    [
        (-1, ValueError),
        ((-1000, -1000), ValueError),
        (2**62, ValueError),
        ((2**40, 2**40), ValueError),
        ("3", TypeError),
        (3.5, TypeError),
        ((1,) * 70, ValueError),
    ],
    ids=str,
)
def test_an_impossible_shape_is_numpys_error_and_takes_no_slot(
    pool: SlotPool, shape: Any, error: type[Exception]
) -> None:
    with pytest.raises(error):
        empty(shape)
    assert pool.warm_bytes == 0
