"""torch's tensors on the CPU, and its generator. torch is imported only when a tensor arrives.

    [TENSOR, dtype, [dimension, ...], axes, requires_grad, buffer]
    [SLOT_TENSOR, dtype, [dimension, ...], axes, requires_grad, [pid, ...], offset]

`axes` is their order in memory; a reference to a slot is that of an array (`minipipe.codec.wire`).
"""

from __future__ import annotations

import importlib
import math
import pickle
import sys
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from minipipe.codec.arrays import frozen_copy, is_shape
from minipipe.codec.library import ArrayForm, Collation, Library, Reduced
from minipipe.codec.nodes import NodeReader, NodeWriter, WriteNode
from minipipe.codec.registry import MODULES
from minipipe.codec.wire import OTHERS_SEE, NotNativeError, RefusedError
from minipipe.errors import WireFormatError

TENSOR, SLOT_TENSOR = MODULES["torch"].tags

# A list, because getattr(torch, name) on a name from the wire could be anything.
_DTYPES = frozenset(
    [
        *("bool", "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64"),
        *("float16", "bfloat16", "float32", "float64", "complex64", "complex128"),
        *("float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz"),
        # These torch can do little with; but torch.save takes them.
        *("complex32", "float8_e8m0fnu", "float4_e2m1fn_x2"),
        *("bits8", "bits16", "bits1x8", "bits2x4", "bits4x2"),
    ]
)


def _is_tensor(value: object) -> bool:
    return isinstance(value, getattr(sys.modules.get("torch"), "Tensor", ()))


def _writer_for(kind: type) -> WriteNode | None:
    return _write if kind is getattr(sys.modules["torch"], "Tensor", None) else None


def _reduce(value: Any) -> Reduced | None:
    """Returns how pickle shall take a tensor apart: it would write the whole storage, thrice.

    Raises:
        RefusedError: It is a tensor that must not travel.
    """
    kind = getattr(sys.modules["torch"], "Tensor", None)
    if kind is None or kind not in type(value).__mro__:
        if type(value).__name__ == "UntypedStorage":  # what torch pickles, it cannot load
            raise RefusedError("it is a storage without a dtype: send a tensor over it")
        return None
    _refuse_bound(value)
    if type(value) is not kind:
        return None  # a Parameter, say, which takes itself apart into tensors
    try:
        words, data = _take_apart(value)
    except NotNativeError:
        return None
    return _rebuild, (*words, pickle.PickleBuffer(data))


def _reduce_in_place(value: Any) -> Reduced | None:
    reduced = _reduce(value)
    return None if reduced is None else (_in_place, reduced[1])


def _write(writer: NodeWriter, value: Any) -> list[object]:
    (dtype, shape, axes, requires_grad), data = _take_apart(value)
    part = writer.lend(np.frombuffer(data, np.uint8)) if data.nbytes else None
    if part is not None:
        ref = list(part.held.reference())
        return [SLOT_TENSOR, dtype, shape, axes, requires_grad, ref, part.offset]
    return [TENSOR, dtype, shape, axes, requires_grad, writer.buffer(frozen_copy(data))]


def _array_of(tensor: Any) -> Any:
    """Returns an array over the memory of a tensor; None if there is more to be said of it."""
    try:
        if tensor.requires_grad or tensor.__dict__ or not tensor.is_contiguous():
            return None
        if can_pin() and tensor.is_pinned():
            return None
        return None if knows_names() and any(tensor.names) else tensor.numpy()
    except (TypeError, RuntimeError):  # it is on a device, sparse, lazy, or of a dtype of its own
        return None


@cache
def can_pin() -> bool:
    """Whether this build of torch knows pinned memory: else nobody needs to ask each tensor."""
    version = getattr(sys.modules["torch"], "version", None)
    return any(getattr(version, name, None) for name in ("cuda", "hip", "xpu"))


@cache
def knows_names() -> bool:
    """Whether dimensions can have names in this torch; 2.13 has them no longer."""
    return hasattr(getattr(sys.modules["torch"], "Tensor", None), "names")


def _is_pinned(tensor: Any) -> bool:
    torch = sys.modules["torch"]
    is_plain = tensor.device.type == "cpu" and tensor.layout is torch.strided
    return bool(is_plain and not tensor.is_nested and tensor.is_pinned())


def tensor_over(array: Any) -> object:
    """Returns the tensor whose memory is that of an array. (Pickles refer to it by name.)"""
    torch = sys.modules.get("torch") or _torch()
    return torch.from_numpy(array)


def _take_apart(tensor: Any) -> tuple[tuple[str, list[int], list[int], bool], memoryview]:
    torch = sys.modules["torch"]
    dtype = str(tensor.dtype).removeprefix("torch.")
    array = _array_of(tensor)
    if array is not None and array.nbytes:
        words = (dtype, list(array.shape), list(range(array.ndim)), False)
        return words, array.reshape(-1).view(np.uint8).data
    _refuse_bound(tensor)
    is_plain = (
        not tensor.is_nested  # which has no shape to be asked for
        and tensor.layout is torch.strided
        and tensor.device.type == "cpu"
        and dtype in _DTYPES
        and not (tensor.is_conj() or tensor.is_neg() or (knows_names() and any(tensor.names)))
        and not tensor.__dict__
    )
    if not is_plain:
        raise NotNativeError("it is a tensor of a special kind, or not on the CPU")
    # The order of the axes in memory, so that channels_last stays channels_last.
    axes = sorted(range(tensor.ndim), key=lambda axis: -tensor.stride(axis))
    plain = tensor.detach()
    if not plain.permute(axes).is_contiguous():
        axes = list(range(tensor.ndim))
    flat = plain.permute(axes).contiguous().reshape(-1)
    words = (dtype, list(tensor.shape), axes, tensor.requires_grad)
    return words, flat.view(torch.uint8).numpy().data


def _refuse_bound(tensor: Any) -> None:
    """Refuses what is bound to this process, and would arrive as something else.

    Of what an operation has made of tensors with gradients, pickle would drop the graph; of what is
    on a GPU it would make a copy there, by a context of CUDA's in each process that it comes to. Of
    pinned memory only what is in it would arrive.
    """
    if tensor.device.type == "cuda":
        raise RefusedError(
            f"it is a tensor on {tensor.device}, which only this process has: send tensor.cpu(), "
            "and copy where it is used (minipipe.torch.to_device, or loader(pline, device=...))"
        )
    if can_pin() and _is_pinned(tensor):
        raise RefusedError(
            "it is a tensor in pinned memory, as pin_memory() gives, and .to('cpu', "
            "non_blocking=True), which may not be done yet: it would not arrive pinned. Leave that "
            "away (minipipe.torch.loader(pline, device=...) and to_device need no pinned memory), "
            "or send tensor.clone()"
        )
    if not tensor.is_leaf:
        raise RefusedError("it is part of an autograd graph, which cannot travel: detach() it")


def _read(reader: NodeReader, node: list[Any]) -> object:
    _, dtype, shape, axes, requires_grad, data = node
    return _rebuild(dtype, shape, axes, requires_grad, reader.buffer(data))


def _read_slot(reader: NodeReader, node: list[Any]) -> object:
    _, dtype, shape, axes, requires_grad, ref, offset = node
    torch, kind, strides = _layout(dtype, shape, axes)
    size_bytes = math.prod(shape) * kind.itemsize
    # Private: torch knows no read-only memory, and would write where others see it.
    data = reader.borrower.array(
        *(np.dtype(np.uint8), [size_bytes], ref, offset, [1], OTHERS_SEE, "private"),
        reader.context.leases,
    )
    memory = torch.from_numpy(data).untyped_storage()
    # Not as_strided, whose result would be a view of a tensor of bytes.
    tensor = torch.empty(0, dtype=kind).set_(memory, 0, tuple(shape), tuple(strides))
    return tensor.requires_grad_() if requires_grad else tensor


def _slot_part(node: Sequence[Any]) -> tuple[Any, int, int]:
    _, dtype, shape, axes, _, ref, offset = node
    return ref, offset, math.prod(shape) * int(_layout(dtype, shape, axes)[1].itemsize)


def _rebuild(
    dtype: str, shape: Sequence[int], axes: Sequence[int], requires_grad: bool, data: Any
) -> object:
    """Returns a fresh tensor with these bytes, copied once. (Pickles refer to it by name.)"""
    torch, kind, strides = _layout(dtype, shape, axes)
    source = np.frombuffer(data, np.uint8) if memoryview(data).nbytes else np.empty(0, np.uint8)
    if math.prod(shape) * kind.itemsize != source.nbytes:
        raise WireFormatError(f"a tensor of {shape!r:.80} {dtype} has {source.nbytes} bytes")
    tensor = torch.empty_strided(tuple(shape), tuple(strides), dtype=kind)
    if source.nbytes:
        tensor.permute(list(axes)).reshape(-1).view(torch.uint8).numpy()[:] = source
    return tensor.requires_grad_() if requires_grad else tensor


def _in_place(
    dtype: str, shape: Sequence[int], axes: Sequence[int], requires_grad: bool, data: Any
) -> object:
    """Returns a tensor over these bytes, if they may be written to, else over a copy of them."""
    if memoryview(data).readonly or not memoryview(data).nbytes:
        return _rebuild(dtype, shape, axes, requires_grad, data)
    torch, kind, strides = _layout(dtype, shape, axes)
    memory = torch.from_numpy(np.frombuffer(data, np.uint8)).untyped_storage()
    tensor = torch.empty(0, dtype=kind).set_(memory, 0, tuple(shape), tuple(strides))
    return tensor.requires_grad_() if requires_grad else tensor


def _layout(dtype: Any, shape: Any, axes: Any) -> tuple[Any, Any, list[int]]:
    """Returns torch, its dtype, and the strides that put the axes in that order."""
    torch = _torch()
    if type(dtype) is not str or dtype not in _DTYPES or not hasattr(torch, dtype):
        raise WireFormatError(f"torch has no dtype {dtype!r:.40} here")
    if not is_shape(shape):
        raise WireFormatError(f"{shape!r:.80} is no shape")
    if sorted(axes) != list(range(len(shape))):
        raise WireFormatError(f"{axes!r:.80} is no order of {len(shape)} axes")
    kind = getattr(torch, dtype)
    strides = [0] * len(shape)
    step = 1
    for axis in reversed(axes):
        strides[axis] = step
        step *= max(shape[axis], 1)
    return torch, kind, strides


def _torch() -> Any:
    try:
        return importlib.import_module("torch")
    except ImportError as exc:
        raise WireFormatError("a tensor needs torch, which is not installed here") from exc


def _describe(tensor: Any) -> str:
    return f"a tensor of {tensor.dtype} and shape {tuple(tensor.shape)}"


def _traits(tensor: Any) -> tuple[tuple[str, object], ...]:
    return ("shape", tuple(tensor.shape)), ("dtype", tensor.dtype), ("device", tensor.device)


def _stack(tensors: Sequence[Any]) -> Any:
    return sys.modules["torch"].stack(list(tensors))


def _seed(value: int) -> None:
    # Its default seed is the same in every process: all workers would draw the same numbers.
    torch = sys.modules["torch"]
    if hasattr(torch, "manual_seed"):
        torch.manual_seed(value)


def _seed_for_item(value: int) -> None:
    # 1 us; `torch.manual_seed` takes a hundred times as long, for devices that are not there.
    torch = sys.modules["torch"]
    if hasattr(torch, "default_generator"):
        torch.default_generator.manual_seed(value)


def _fork_obstacle() -> str | None:
    if not sys.modules["torch"].cuda.is_initialized():
        return None
    return (
        "CUDA, which this process has initialised, does not survive that: make what it holds "
        "inside the worker (a class as functor, or local_init), or use CUDA in this process only "
        "after run()"
    )


LIBRARY = Library(
    writer_for=_writer_for,
    readers={TENSOR: _read, SLOT_TENSOR: _read_slot},
    slot_part=_slot_part,
    as_array=ArrayForm(_array_of, tensor_over),
    reduce=_reduce,
    reduce_in_place=_reduce_in_place,
    collation=Collation(_is_tensor, _describe, _traits, _stack, "tensor.numpy()"),
    seed=_seed,
    seed_for_item=_seed_for_item,
    fork_obstacle=_fork_obstacle,
)
