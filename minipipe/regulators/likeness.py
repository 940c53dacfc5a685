"""What the samples of one batch have in common: each can be tried before it is added to the others.

`collate` says at the end what does not go together, and then there is no batch.  Here one sample is
refused, and the batch is made of the others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np

from minipipe.codec.library import Collation
from minipipe.codec.registry import collation_of
from minipipe.regulators.collate import collate_part, unlike
from minipipe.regulators.errors import CollateError
from minipipe.regulators.nested import Layer, layer_of

# Those of one of these types always go together; an int may be too large for the others.
_PLAIN = frozenset((bool, float, complex, str, bytes, np.bool_))
_LIMIT = 2**63

# By its place among the samples, and itself; raises CollateError if it is not like the first one.
_Check: TypeAlias = Callable[[int, Any], None]


class Likeness:
    """What is like the first sample of a batch.

    Raises:
        CollateError: that is of a type that has no batch.
    """

    def __init__(self, first: Any) -> None:
        self.check: _Check = _check_of(first, "")
        """Raises CollateError if a sample, at this place of the batch, is not like it."""


def _check_of(first: Any, where: str) -> _Check:
    layer = layer_of(first)
    if layer is not None:
        parts = zip(layer.keys, layer.parts(first), strict=True)
        return _layered(
            layer, [_check_of(part, where + layer.step(key)) for key, part in parts], where
        )
    if type(first) is np.ndarray:
        return _array(first, where)
    collate_part([first], where)
    collation = collation_of(first)
    return _value(first, where) if collation is None else _by_traits(collation, first, where)


def _value(first: Any, where: str) -> _Check:
    kind = type(first)
    plain = kind in _PLAIN or (issubclass(kind, np.number) and not issubclass(kind, np.timedelta64))

    def check(index: int, part: Any) -> None:
        if type(part) is not kind or not (plain or (kind is int and -_LIMIT <= part < _LIMIT)):
            _compare(first, part, index, where)

    return check


def _by_traits(collation: Collation, first: Any, where: str) -> _Check:
    traits = collation.traits(first)

    def check(index: int, part: Any) -> None:
        if not collation.accepts(part) or collation.traits(part) != traits:
            _compare(first, part, index, where)

    return check


def _layered(layer: Layer, checks: Sequence[_Check], where: str) -> _Check:
    def check(index: int, sample: Any) -> None:
        difference = layer.difference(sample)
        if difference is not None:
            raise unlike(index, where, *difference)
        for check_part, part in zip(checks, layer.parts(sample), strict=True):
            check_part(index, part)

    return check


def _array(first: Any, where: str) -> _Check:
    dtype, shape = first.dtype, first.shape
    # Of this shape, and of no size: the array itself may be filled anew.
    like = np.broadcast_to(np.empty((), dtype), shape)

    def check(index: int, part: Any) -> None:
        if type(part) is not np.ndarray or part.dtype != dtype or part.shape != shape:
            _compare(like, part, index, where)

    return check


def _compare(first: Any, part: Any, index: int, where: str) -> None:
    try:
        collate_part([first, part], where)
    except CollateError as error:
        said = (error.where, error.expected, error.got, error.mend)
        raise CollateError(f"sample {index} of the batch", *said) from None
