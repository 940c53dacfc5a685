"""Samples to a batch, as PyTorch's `default_collate` does it, in NumPy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from minipipe.codec.library import Collation
from minipipe.codec.registry import collation_of
from minipipe.regulators.errors import CollateError
from minipipe.regulators.nested import describe, layer_of
from minipipe.shm.arrays import empty

_MEND = "make all samples alike in a Transform before, or give collate="

# Python's numbers are of these dtypes, on every platform.
_NUMBERS: dict[type, np.dtype[Any]] = {
    bool: np.dtype(np.bool_),
    int: np.dtype(np.int64),
    float: np.dtype(np.float64),
    complex: np.dtype(np.complex128),
}
# Python takes a 0 for a 0.0, so numbers of these may be mixed: the widest of them wins.
_MIXABLE = [np.dtype(np.int64), np.dtype(np.float64), np.dtype(np.complex128)]


def collate(samples: Sequence[Any]) -> Any:
    """One batch of `samples`, which are alike and at least one; no array of theirs is kept.

    | samples | batch |
    |---|---|
    | arrays, dtype[shape] | dtype[batch, shape] |
    | int, float, complex, bool | int64, float64, complex128, bool [batch] |
    | NumPy's scalars | their dtype [batch] |
    | torch's tensors | torch.stack of them |
    | str, bytes | a list of them |
    | tuples, lists, namedtuples, dataclasses | one, of the batches of the parts |
    | mappings | a dict of the batches of the values |

    >>> import numpy as np
    >>> collate([(np.zeros((2, 3)), 7, "a"), (np.ones((2, 3)), 8, "b")])[1:]
    (array([7, 8]), ['a', 'b'])

    Raises:
        CollateError: they are not alike, or of a type that has no batch.
    """
    return collate_part(samples, "")


def collate_part(samples: Sequence[Any], where: str) -> Any:
    """The same of one part of each sample, which stands at `where` in it."""
    first = samples[0]
    layer = layer_of(first)
    if layer is not None:
        for index, sample in enumerate(samples):
            difference = layer.difference(sample)
            if difference is not None:
                raise unlike(index, where, *difference)
        columns = zip(*map(layer.parts, samples), strict=True)
        return layer.make(
            [
                collate_part(column, where + layer.step(key))
                for key, column in zip(layer.keys, columns, strict=True)
            ]
        )
    if _dtype_of(first) is not None:
        return _stack(samples, where)
    collation = collation_of(first)
    if collation is not None:
        return _stacked_by(collation, samples, where)
    if isinstance(first, str | bytes):
        family = str if isinstance(first, str) else bytes
        for index, sample in enumerate(samples):
            if not isinstance(sample, family):
                raise unlike(index, where, describe(first), describe(sample))
        return list(samples)
    raise _no_batch(0, where, first)


def _stack(samples: Sequence[Any], where: str) -> npt.NDArray[Any]:
    first = samples[0]
    kind = _NUMBERS.get(type(first))
    if len(set(map(type, samples))) > 1:
        kind = _common_dtype(samples, where)
    elif kind is None:
        # Each type of NumPy's numbers has one dtype, so those need not be asked one by one.
        is_number = isinstance(first, np.number | np.bool_) and not isinstance(
            first, np.timedelta64
        )
        kind = first.dtype if is_number else _common_dtype(samples, where)
    try:
        if np.shape(first) == () and kind.kind != "O":
            return np.array(samples, dtype=kind)
        if any(isinstance(sample, np.ma.MaskedArray) for sample in samples):
            # np.stack would lose the masks.
            return np.ma.stack(samples)
        if kind.hasobject:
            return np.stack(samples, dtype=kind)
        # The dtype is given, or the byte order would become native.
        batch = empty((len(samples), *np.shape(first)), kind)
        return np.stack(samples, out=batch)
    except OverflowError:
        raise _too_large(samples, where, kind) from None


def _common_dtype(samples: Sequence[Any], where: str) -> np.dtype[Any]:
    """The dtype of the batch; all samples have one shape."""
    common, shape = _dtype_of(samples[0]), np.shape(samples[0])
    assert common is not None
    for index, sample in enumerate(samples):
        dtype = _dtype_of(sample)
        if dtype is None:
            if sample is None:
                raise _no_batch(index, where, sample)
            raise unlike(index, where, describe(samples[0]), describe(sample))
        if np.shape(sample) != shape:
            raise unlike(index, where, f"shape {shape}", f"shape {np.shape(sample)}")
        if dtype == common:
            continue
        both_texts = dtype.kind == common.kind and dtype.kind in "US"
        if both_texts or (shape == () and dtype in _MIXABLE and common in _MIXABLE):
            common = np.promote_types(dtype, common)
        else:
            raise unlike(index, where, f"dtype {common}", f"dtype {dtype}")
    return common


def _dtype_of(value: Any) -> np.dtype[Any] | None:
    """The dtype that a number or an array has in a batch; None for all else."""
    if isinstance(value, str | bytes):  # also NumPy's own, which go into lists like Python's
        return None
    if isinstance(value, np.ndarray | np.generic):
        return value.dtype
    for cls, dtype in _NUMBERS.items():
        if isinstance(value, cls):
            return dtype
    return None


def _stacked_by(collation: Collation, samples: Sequence[Any], where: str) -> Any:
    first = samples[0]
    expected = collation.traits(first)
    for index, sample in enumerate(samples):
        if not collation.accepts(sample):
            raise unlike(index, where, describe(first), describe(sample))
        for (what, wanted), (_, got) in zip(expected, collation.traits(sample), strict=True):
            if wanted != got:
                raise unlike(index, where, f"{what} {wanted}", f"{what} {got}")
    return collation.stack(samples)


def unlike(index: int, where: str, expected: str, got: str) -> CollateError:
    """The error of a sample, or a part of it, that is not like the first one."""
    expected += " as in sample 0"
    return CollateError(f"sample {index} of the batch", where, expected, got, _MEND)


def _too_large(samples: Sequence[Any], where: str, kind: np.dtype[Any]) -> CollateError:
    index = 0
    try:
        while True:
            np.array(samples[index], dtype=kind)
            index += 1
    except OverflowError:
        subject, got = f"sample {index} of the batch", f"{samples[index]!r}"
    return CollateError(subject, where, f"a number that fits {kind}", got, _MEND)


def _no_batch(index: int, where: str, sample: Any) -> CollateError:
    return CollateError(
        f"sample {index} of the batch",
        where,
        "numbers, arrays, texts, or dicts, tuples, lists and dataclasses of them",
        describe(sample),
        "give another value in its place, or collate="
        if sample is None
        else "convert it in a Transform before, or give collate=",
    )
