"""NumPy arrays, scalars and dtypes of all kinds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from minipipe.errors import ItemTypeError
from tests.codec.sameness import same, trip

STRUCT = np.dtype([("a", "<f4"), ("b", ">i2", (2, 3)), ("c", [("d", "U3"), ("e", "M8[25us]")])])
TITLED = np.dtype({"names": ["x"], "formats": ["f8"], "titles": ["the x"]})
SPACED = np.dtype(
    {"names": ["x", "y"], "formats": ["u1", "f8"], "offsets": [3, 20], "itemsize": 40}
)
ALIGNED = np.dtype([("a", "u1"), ("b", "f8")], align=True)
RECORD = np.dtype((np.record, [("a", "i4")]))
DTYPES = [
    *"?bBhHiIlLqQefdgFDG",
    *(
        ">f4",
        ">u2",
        ">c8",
        ">i8",
        "<U5",
        ">U5",
        "S3",
        "V7",
        "M8[ns]",
        "m8[25us]",
        "m8[D]",
        "V0",
        "U0",
        "S0",
    ),
    *(STRUCT, TITLED, SPACED, ALIGNED, RECORD, np.dtype([])),
]


@pytest.mark.parametrize("dtype", [np.dtype(each) for each in DTYPES], ids=str)
def test_arrays_of_this_dtype_arrive_as_they_left(dtype: np.dtype[Any]) -> None:
    for shape in [(), (0,), (3,), (2, 3), (700, 3)]:
        array = np.ndarray(shape, dtype, bytes(int(np.prod(shape)) * dtype.itemsize))
        arrived = trip(array)
        assert same(array, arrived) and same(trip([array])[0], array)
        assert arrived.flags.owndata and arrived.flags.writeable


@pytest.mark.parametrize("dtype", [np.dtype(each) for each in DTYPES], ids=str)
def test_a_dtype_is_an_item_too(dtype: np.dtype[Any]) -> None:
    arrived = trip({"dtype": dtype})["dtype"]
    assert arrived == dtype and arrived.num == dtype.num and arrived.type is dtype.type
    assert arrived.isalignedstruct == dtype.isalignedstruct


def test_a_sub_array_dtype_is_an_item_too() -> None:
    dtype = np.dtype(("f4", (2, 3)))
    assert trip([dtype])[0] == dtype


@pytest.mark.parametrize(
    "scalar",
    [
        *(np.bool_(True), np.int8(-1), np.longlong(3), np.float16(0.1), np.longdouble("0.1")),
        *(
            np.float64("nan"),
            np.complex64(1j),
            np.str_("a\0"),
            np.str_("\ud800"),
            np.bytes_(b"b\0"),
        ),
        *(np.datetime64("2024-01-01", "25us"), np.datetime64("NaT", "s"), np.timedelta64(3, "W")),
        *(np.void(b"abc"), np.zeros(1, STRUCT)[0], np.zeros(1, RECORD)[0]),
    ],
    ids=lambda scalar: type(scalar).__name__,
)
def test_a_scalar_arrives_as_the_same_scalar(scalar: np.generic) -> None:
    for arrived in (trip(scalar), trip({"x": [scalar]})["x"][0]):
        assert type(arrived) is type(scalar) and arrived.dtype == scalar.dtype
        assert arrived.tobytes() == scalar.tobytes()


def test_fortran_order_stays_and_all_else_becomes_c_order() -> None:
    base = np.arange(24.0).reshape(2, 3, 4)
    for array in (base, base.T, base[::-1], base[:, ::2], base.transpose(1, 0, 2)):
        for big in (array, np.tile(array, (10, 10, 10)).copy("K")):
            arrived = trip([big])[0]
            assert same(big, arrived)
            assert arrived.flags.fnc == big.flags.fnc


def test_a_read_only_array_arrives_writable() -> None:
    array = np.zeros(10_000)
    array.flags.writeable = False
    assert trip(array).flags.writeable


def test_arrays_in_a_pickled_item_arrive_writable() -> None:
    frozen = np.zeros(5000)
    frozen.flags.writeable = False
    item = {"type": int, "large": np.zeros(5000), "small": np.zeros(5), "frozen": frozen}
    item |= {"frozen small": frozen[:3], "fortran": np.asfortranarray(np.ones((100, 90)))}

    arrived = trip(item, allow_pickle=True)

    assert same(list(item.values()), list(arrived.values()))
    assert all(arrived[name].flags.writeable for name in item if name != "type")
    assert arrived["fortran"].flags.fnc


def test_an_array_of_objects_is_pickled_and_where_that_is_not_allowed_said_so() -> None:
    array = np.array([1, None], object)
    assert trip(array, allow_pickle=True).tolist() == [1, None]
    with pytest.raises(ItemTypeError, match=r"item\['x'\]\[1\].*numpy.ndarray.*holds Python obj"):
        trip({"x": [1, array]})


def test_a_subclass_of_ndarray_is_not_flattened() -> None:
    masked = np.ma.masked_array([1, 2], [True, False])
    with pytest.raises(ItemTypeError):
        trip(masked)
    assert type(trip(masked, allow_pickle=True)) is type(masked)


def test_metadata_of_a_dtype_is_not_lost_in_silence() -> None:
    array = np.zeros(2, np.dtype("f4", metadata={"unit": "m"}))
    with pytest.raises(ItemTypeError, match="metadata"):
        trip(array)
    assert trip(array, allow_pickle=True).dtype.metadata == {"unit": "m"}


@pytest.mark.parametrize("name", ["bfloat16", "float8_e4m3fn", "int4"])
def test_dtypes_of_ml_dtypes_arrive(name: str) -> None:
    dtype = np.dtype(getattr(pytest.importorskip("ml_dtypes"), name))
    array = np.arange(6).astype(dtype).reshape(2, 3)
    struct = np.zeros(2, [("a", dtype)])
    for item in (array, array.T, np.tile(array, 2000), array[0, 1], dtype, struct):
        arrived = trip([item])[0]
        assert type(arrived) is type(item) and same(arrived, item)
