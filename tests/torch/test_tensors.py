"""Arrays become tensors over the same memory, or it is said why not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from minipipe.torch.tensors import TensorError, with_tensors  # noqa: E402

_DTYPES = ["?", "u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f2", "f4", "f8", "c8", "c16"]
_DTYPES += [">f4", ">i8"]


def test_a_writable_array_is_seen_and_not_copied() -> None:
    array = np.arange(6.0).reshape(2, 3)
    tensor = with_tensors({"a": array})["a"]

    tensor[0, 0] = 7
    assert array[0, 0] == 7
    assert with_tensors(array).shape == (2, 3)


def test_a_read_only_array_is_copied_so_that_nothing_writes_to_it() -> None:
    array = np.arange(6.0)
    array.flags.writeable = False
    tensor = with_tensors([array])[0]

    tensor += 1
    assert array.tolist() == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    "dtype",
    [
        "?",
        "u1",
        "u2",
        "u4",
        "u8",
        "i1",
        "i2",
        "i4",
        "i8",
        "f2",
        "f4",
        "f8",
        "c8",
        "c16",
        ">f4",
        ">i8",
    ],
)
def test_numbers_of_every_kind_become_tensors(dtype: str) -> None:
    array = np.array([[0, 1], [1, 1]]).astype(dtype)
    tensor = with_tensors((array,))[0]

    assert tensor.numpy().dtype == array.dtype.newbyteorder("=")
    assert tensor.tolist() == array.tolist()


@pytest.mark.parametrize("name", ["bfloat16", "float8_e4m3fn", "float8_e5m2"])
def test_dtypes_of_ml_dtypes_are_torchs_own(name: str) -> None:
    ml_dtypes = pytest.importorskip("ml_dtypes")
    array = np.array([0.5, 1.0, -2.0]).astype(getattr(ml_dtypes, name))
    (tensor,) = with_tensors([array])

    assert tensor.dtype is getattr(torch, name)
    assert tensor.float().tolist() == [0.5, 1.0, -2.0]


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6)[::-1],
        np.arange(12).reshape(3, 4).T,
        np.arange(12).reshape(3, 4)[:, ::2],
        np.zeros((0, 3)),
        np.array(5.0),
        np.broadcast_to(np.arange(3), (2, 3)),
        np.zeros(2, [("a", "i4"), ("b", "u1")])["a"],
    ],
)
def test_strides_of_every_kind_become_tensors(array: Any) -> None:
    (tensor,) = with_tensors([array])

    assert tensor.tolist() == array.tolist()


def test_scalars_and_strings_stay_as_they_are() -> None:
    item = {"n": np.float32(2), "s": "text", "i": 3, "b": b"x", "none": None}

    assert with_tensors(item) is item


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.array([{}, None], object), "array of object"),
        (np.array(["ab", "c"]), r"\.tolist\(\)"),
        (np.array([b"ab"]), "leave a list of bytes"),
        (np.array(["2026-01-01"], "M8[D]"), "make numbers of it"),
        (np.zeros(2, [("x", "f4")]), "a dict of its fields"),
        (np.ma.masked_array([1, 2], [0, 1]), "masked"),
        (np.zeros(2, np.longdouble), "astype"),
    ],
)
def test_what_torch_has_no_dtype_for_is_named_with_its_place(array: Any, words: str) -> None:
    with pytest.raises(TensorError, match=rf"item\['a'\]\[1\].*{words}"):
        with_tensors({"a": [1, array]})
