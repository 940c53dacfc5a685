"""Arrays and tensors as bytes in a row, and the tensors that such bytes are again."""

from __future__ import annotations

import ctypes
import math
from typing import Any, NamedTuple

import numpy as np
import torch

from minipipe.torch.tensors import over, ready


class Laid(NamedTuple):
    """An array or tensor whose elements lie in a row, in whatever order of its axes.

    Attributes:
        owner: Keeps the memory.
        address: Where it begins.
        size_bytes: Its length.
        dtype: Of torch.
        shape: Its own.
        strides: In elements.
        requires_grad: As of a tensor.
    """

    owner: Any
    address: int
    size_bytes: int
    dtype: Any
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    requires_grad: bool


def laid(value: Any, at: str = "") -> Laid | None:
    """Returns an array or tensor as its bytes; None of a tensor that is more than that.

    Where it has gaps it is copied.

    Raises:
        TensorError: torch has no dtype for it.
    """
    if isinstance(value, np.ndarray):
        return _laid_array(value, at)
    if (
        type(value) not in (torch.Tensor, torch.nn.Parameter)
        or value.is_nested
        or value.layout is not torch.strided
        or value.device.type != "cpu"
        or value.is_quantized
        or value.is_conj()
        or value.is_neg()
    ):
        return None
    plain = value.detach()
    if not _is_dense(plain.shape, plain.stride()):
        plain = plain.contiguous()
    size_bytes = plain.numel() * plain.element_size()
    shape, strides = tuple(plain.shape), tuple(plain.stride())
    is_leaf = value.requires_grad and value.is_leaf
    return Laid(plain, plain.data_ptr(), size_bytes, plain.dtype, shape, strides, is_leaf)


def _laid_array(array: np.ndarray[Any, Any], at: str) -> Laid:
    array = ready(array, at)
    strides = tuple(step // array.itemsize for step in array.strides)
    if not _is_dense(array.shape, strides):
        array = np.ascontiguousarray(array).reshape(array.shape)
        strides = tuple(step // array.itemsize for step in array.strides)
    dtype = _dtype_of(array.dtype)
    address = array.__array_interface__["data"][0]
    return Laid(array, address, array.nbytes, dtype, array.shape, strides, False)


_dtypes: dict[Any, Any] = {}


def _dtype_of(dtype: np.dtype[Any]) -> Any:
    found = _dtypes.get(dtype)
    if found is None:
        found = _dtypes[dtype] = over(np.zeros(1, dtype)).dtype
    return found


def host_bytes(address: int, size_bytes: int) -> Any:
    """Returns a tensor over memory of this process, uint8[size_bytes], which it does not keep.

    It may be read-only: then nothing may write to the tensor.
    """
    memory: Any = (ctypes.c_uint8 * size_bytes).from_address(address)
    return torch.from_numpy(np.frombuffer(memory, np.uint8))


def tensor_over(blob: Any, offset: int, like: Laid) -> Any:
    """Returns the tensor that bytes are, from an offset on, anywhere on a device.

    Not a view of the bytes, whose versions would be one for all of them: what is written to one in
    place would be an error in the backward pass of another one.
    """
    size = like.dtype.itemsize
    tensor = torch.empty(0, dtype=like.dtype, device=blob.device)
    tensor.set_(blob.untyped_storage(), offset // size, like.shape, like.strides)
    return tensor.requires_grad_() if like.requires_grad else tensor


def _is_dense(shape: Any, strides: Any) -> bool:
    """Whether elements lie in a row without gaps, each once, in some order of the axes."""
    if math.prod(shape) == 0:
        return True
    expected = 1
    for length, step in sorted(
        ((n, step) for n, step in zip(shape, strides, strict=True) if n > 1),
        key=lambda axis: axis[1],
    ):
        if step != expected:
            return False
        expected *= length
    return True
