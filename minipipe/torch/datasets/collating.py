"""Tensors of a batch are put together in shared memory, where the loop finds them.

DataLoader's default collation stacks tensors in memory of torch's that can be shared, made anew for
each batch. Here it is a slot, which is used again while it is warm, and from which nothing is
copied any more.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch.utils.data._utils import collate as torchs

from minipipe.shm.arrays import empty
from minipipe.torch.nested import replaced

MIN_BYTES = 65_536  # what is smaller travels inside messages

_SPARSE = frozenset(
    {torch.sparse_coo, torch.sparse_csr, torch.sparse_csc, torch.sparse_bsr, torch.sparse_bsc}
)


class InSlot:
    """Stands for a tensor in a batch on its way to the loop: the array that it is over."""

    __slots__ = ("_array",)

    def __init__(self, array: np.ndarray[Any, Any]) -> None:
        self._array = array

    def __reduce__(self) -> tuple[Any, ...]:
        return tensor_over, (self._array,)


def tensor_over(array: np.ndarray[Any, Any]) -> torch.Tensor:
    """Returns the tensor over an array. (Pickles refer to it by name.)"""
    return torch.from_numpy(array if array.flags.writeable else array.copy())


class Stacker:
    """Takes the place of what default collation does with tensors, in this process."""

    def __init__(self) -> None:
        self._made: list[tuple[torch.Tensor, np.ndarray[Any, Any]]] = []

    def install(self) -> None:
        """Default collation calls this from now on, unless the user has put something there."""
        known: Any = torchs.default_collate_fn_map
        if known.get(torch.Tensor) is torchs.collate_tensor_fn:
            known[torch.Tensor] = self

    def __call__(self, batch: Any, *, collate_fn_map: Any = None) -> torch.Tensor:
        first = batch[0]
        if first.is_nested or first.layout in _SPARSE:
            result: torch.Tensor = torchs.collate_tensor_fn(batch, collate_fn_map=collate_fn_map)
            return result
        shape = (len(batch), *first.shape)
        dtype = _DTYPES.get(first.dtype)
        size_bytes = first.numel() * len(batch) * first.element_size()
        if size_bytes < MIN_BYTES or dtype is None or first.device.type != "cpu":
            # As torch does it: what goes into a tensor of the first one's dtype becomes that.
            out = torch.empty(shape, dtype=first.dtype, device=first.device)
            return torch.stack(batch, 0, out=out)
        array = empty(shape, dtype)
        stacked = torch.from_numpy(array)
        torch.stack(batch, 0, out=stacked)
        self._made.append((stacked, array))
        return stacked

    def on_its_way(self, batch: Any) -> Any:
        """Returns a batch as it is to be sent: without a copy of what was stacked here.

        What was stacked before counts for nothing any more.
        """
        made, self._made = self._made, []
        others: Mapping[int, Any] = {id(tensor): InSlot(array) for tensor, array in made}
        return replaced(batch, others)


def _dtypes() -> Iterator[tuple[torch.dtype, np.dtype[Any]]]:
    for name in ("uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64"):
        yield getattr(torch, name), np.dtype(name)
    yield torch.bool, np.dtype(bool)
    yield torch.complex64, np.dtype(np.complex64)
    yield torch.complex128, np.dtype(np.complex128)


_DTYPES = dict(_dtypes())
