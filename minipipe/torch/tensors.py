"""Arrays of NumPy as tensors on the CPU, over the same memory wherever that may be."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from minipipe.errors import MiniPipeError
from minipipe.torch.nested import leaves, replaced


class TensorError(MiniPipeError, TypeError):
    """No tensor can be made of an array.

    Args:
        at: Where in the item it stands, as in `["text"]`.
        what: What it is.
        advice: What to do about it.
    """

    def __init__(self, at: str, what: str, advice: str) -> None:
        super().__init__(at, what, advice)
        self.at = at
        self.what = what
        self.advice = advice

    def __str__(self) -> str:
        return f"no tensor can be made of item{self.at}, which is {self.what}: {self.advice}"


def is_array(value: Any) -> bool:
    """Whether it is an array of NumPy's, of whatever dtype (a scalar is none)."""
    return isinstance(value, np.ndarray)


def with_tensors(item: Any) -> Any:
    """Returns an item with a tensor in the place of each array; all else stays as it is.

    A tensor shares the memory of its array if that may be written to; else it has a copy, as torch
    knows no read-only memory.

    Raises:
        TensorError: torch has no dtype for one of them.
    """
    if isinstance(item, np.ndarray):
        return tensor_of(item)
    return replaced(item, {id(a): tensor_of(a, at) for at, a in leaves(item, is_array)})


def tensor_of(array: np.ndarray[Any, Any], at: str = "") -> Any:
    """Returns an array as a tensor.

    Raises:
        TensorError: torch has no dtype for it.
    """
    array = ready(array, at)
    if not array.flags.writeable:
        array = array.copy("K")
    return over(array)


def ready(array: np.ndarray[Any, Any], at: str = "") -> np.ndarray[Any, Any]:
    """Returns the array itself, or a copy in the machine's byte order and with usual strides.

    Raises:
        TensorError: torch has no dtype for it.
    """
    _check(array, at)
    if not array.dtype.isnative:
        return array.astype(array.dtype.newbyteorder("="))
    if any(step < 0 or step % array.itemsize for step in array.strides):
        return array.copy("K")
    return array


def over(array: np.ndarray[Any, Any]) -> Any:
    """Returns the tensor over the memory of an array that is `ready`, and writable."""
    name = _OF_ML_DTYPES.get(array.dtype.name)
    if name is None:
        return torch.from_numpy(array)
    bits = np.dtype(f"u{array.itemsize}")
    return torch.from_numpy(array.view(bits)).view(getattr(torch, name))


_NAMES = frozenset(
    [
        *("bool", "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64"),
        *("float16", "float32", "float64", "complex64", "complex128"),
    ]
)
# Of the package ml_dtypes, which NumPy knows by name only: torch's own names.
_OF_ML_DTYPES = {
    name: name
    for name in (
        "bfloat16",
        "float8_e4m3fn",
        "float8_e4m3fnuz",
        "float8_e5m2",
        "float8_e5m2fnuz",
    )
    if hasattr(torch, name)
}
_ADVICE = {
    "O": "make an array of numbers of it, or leave a list (`.tolist()`)",
    "U": "leave a list of str (`.tolist()`), or encode it as numbers",
    "S": "leave a list of bytes (`.tolist()`), or `.view('u1')`",
    "M": "make numbers of it (`.astype('int64')`)",
    "m": "make numbers of it (`.astype('int64')`)",
}


def _check(array: np.ndarray[Any, Any], at: str) -> None:
    if isinstance(array, np.ma.MaskedArray):
        raise TensorError(at, "a masked array", "fill it (`.filled(0)`), and pass on its mask")
    dtype = array.dtype
    if dtype.name in _NAMES or dtype.name in _OF_ML_DTYPES:
        return
    if dtype.kind == "V":
        advice = "make a dict of its fields, as in {'x': array['x']}"
    else:
        advice = _ADVICE.get(dtype.kind, "convert it (`.astype('float64')`)")
    raise TensorError(at, f"an array of {dtype} with shape {array.shape}", advice)
