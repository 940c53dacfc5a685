"""Samples to a batch."""

from __future__ import annotations

import pickle
import sys
from collections import namedtuple
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from minipipe.regulators.collate import collate
from minipipe.regulators.errors import CollateError

Point = namedtuple("Point", "x y")


@dataclass(frozen=True)
class Digit:
    image: Any
    label: int

    def __post_init__(self) -> None:
        assert self.image.ndim == 2, "a rule for samples, which a batch does not keep"


class Colour(IntEnum):
    RED = 3


@pytest.mark.parametrize(
    ("samples", "dtype"),
    [
        ([1, 2], np.int64),
        ([1.0, 2.0], np.float64),
        ([True, False], np.bool_),
        ([1j, 2j], np.complex128),
        ([1, 2.5], np.float64),
        ([2.5, np.float64(1)], np.float64),
        ([np.float32(1), np.float32(2)], np.float32),
        ([np.uint8(1), np.array(2, np.uint8)], np.uint8),
        ([np.datetime64("2020-01-01"), np.datetime64("2021-01-01")], "M8[D]"),
        ([Colour.RED, 4], np.int64),
    ],
)
def test_numbers_become_an_array_of_their_dtype(samples: list[Any], dtype: Any) -> None:
    batch = collate(samples)
    assert type(batch) is np.ndarray and batch.dtype == dtype and batch.shape == (2,)
    assert list(batch) == samples


@pytest.mark.parametrize("dtype", ["u1", ">i4", "f2", "?", "U3", "O", [("a", "i4"), ("b", "f8")]])
@pytest.mark.parametrize("shape", [(), (3,), (0, 2), (2, 3)])
def test_arrays_get_a_new_first_axis(dtype: Any, shape: tuple[int, ...]) -> None:
    samples = [np.zeros(shape, dtype), np.ones(shape, dtype)]
    batch = collate(samples)
    assert batch.dtype == samples[0].dtype and batch.shape == (2, *shape)
    assert (batch[0] == samples[0]).all() and (batch[1] == samples[1]).all()


def test_a_batch_shares_no_memory_with_its_samples() -> None:
    sample = np.zeros(3)
    assert not np.shares_memory(collate([sample]), sample)


def test_masks_are_kept() -> None:
    batch = collate([np.ma.array([1, 2], mask=[True, False])] * 2)
    assert batch.mask.tolist() == [[True, False]] * 2


def test_arrays_of_texts_may_be_of_different_lengths() -> None:
    assert collate([np.array(["a"]), np.array(["bcd"])]).tolist() == [["a"], ["bcd"]]


def test_texts_become_a_list() -> None:
    assert collate(["a", np.str_("b")]) == ["a", "b"]
    assert collate([b"a", b"b"]) == [b"a", b"b"]


def test_what_holds_samples_holds_batches() -> None:
    batch = collate(
        [
            {"p": Point(1, "a"), "l": [1.0, ()], "d": {}},
            {"d": {}, "l": [2.0, ()], "p": Point(2, "b")},
        ]
    )
    assert list(batch) == ["p", "l", "d"]
    assert type(batch["p"]) is Point and type(batch["l"]) is list
    assert batch["p"].x.tolist() == [1, 2] and batch["p"].y == ["a", "b"]
    assert batch["l"][0].tolist() == [1.0, 2.0] and batch["l"][1] == () and batch["d"] == {}


def test_a_dataclass_holds_batches_without_its_checks_of_samples() -> None:
    batch = collate([Digit(np.zeros((2, 2)), 1), Digit(np.zeros((2, 2)), 2)])
    assert type(batch) is Digit
    assert batch.image.shape == (2, 2, 2) and batch.label.tolist() == [1, 2]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("samples", "words"),
    [
        (
            [{"a": [np.zeros(2)]}, {"a": [np.zeros(2)]}, {"a": [np.zeros((2, 1))]}],
            r"sample 2 of the batch, at \['a'\]\[0\]: expected shape \(2,\) as in sample 0, "
            r"got shape \(2, 1\); .*collate=",
        ),
        ([np.zeros(2, "f4"), np.zeros(2)], "sample 1.*dtype float32 .*got dtype float64"),
        ([np.uint8(1), 1], "sample 1.*dtype uint8 .*got dtype int64"),
        ([True, 1], "sample 1.*dtype bool .*got dtype int64"),
        ([Point(1, 2), Point(1, "b")], r"sample 1 of the batch, at \.y: .*an int .*got a str"),
        ([1, [1]], "expected an int as in sample 0, got a list"),
        ([[1], 1], "expected a list as in sample 0, got an int"),
        ([(1, 2), [1, 2]], "expected a tuple as in sample 0, got a list"),
        ([(1, 2), Point(1, 2)], "expected a tuple as in sample 0, got a Point"),
        ([(1, 2), (1, 2, 3)], "expected a tuple of 2 as in sample 0, got one of 3"),
        (
            [{"x": 1}, {"x": 1, "y": 2}],
            r"the keys \['x'\] as in sample 0, got the keys \['x', 'y'\]",
        ),
        ([{"x": 1}, {"y": 1}], r"the keys \['x'\] as in sample 0, got the keys \['y'\]"),
        (["a", b"a"], "expected a str as in sample 0, got a bytes"),
        ([(1, None)], r"sample 0 of the batch, at \[1\]: .*got None; give another value"),
        ([1, None], "sample 1 .*got None; give another value"),
        ([np.zeros(1), None], "sample 1 .*got None; give another value"),
        ([Path("a")], "sample 0 .*got a PosixPath; convert it"),
        ([1, 2**63], "sample 1 .*a number that fits int64, got 9223372036854775808"),
    ],
)
def test_samples_that_are_not_alike_are_an_error(samples: list[Any], words: str) -> None:
    with pytest.raises(CollateError, match=words) as caught:
        collate(samples)
    assert isinstance(caught.value, ValueError)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


class _Tensor:
    """As much of a torch.Tensor as is asked for."""

    __module__ = "torch"
    device = "cpu"

    def __init__(self, array: Any) -> None:
        self.array = np.array(array)
        self.shape, self.dtype, self.ndim = self.array.shape, self.array.dtype, self.array.ndim


def test_tensors_are_stacked_by_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = ModuleType("torch")
    torch.Tensor = _Tensor  # type: ignore[attr-defined]
    torch.stack = lambda tensors: _Tensor([t.array for t in tensors])  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch", torch)
    batch = collate([(_Tensor([1, 2]), 1), (_Tensor([3, 4]), 2)])
    assert type(batch[0]) is _Tensor and batch[0].array.tolist() == [[1, 2], [3, 4]]
    with pytest.raises(CollateError, match=r"sample 1 .*shape \(2,\) .*got shape \(1,\)"):
        collate([_Tensor([1, 2]), _Tensor([3])])
    with pytest.raises(CollateError, match=r"sample 1 .*a tensor of int64 .*got an array of int64"):
        collate([_Tensor([1, 2]), np.array([1, 2])])


def test_a_tensor_of_the_real_torch_is_stacked() -> None:
    torch = pytest.importorskip("torch")
    assert torch.equal(collate([torch.zeros(2), torch.ones(2)])[1], torch.ones(2))
