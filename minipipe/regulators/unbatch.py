"""`Unbatch`: a batch becomes its samples."""

from __future__ import annotations

import itertools
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Any

from minipipe.regulators.errors import CollateError
from minipipe.regulators.nested import describe, is_array, layer_of
from minipipe.segments.kinds import Regulator
from minipipe.segments.markers import EndOfStream

_EXPECTED = "arrays (or lists) whose entries are the samples"

if TYPE_CHECKING:
    from typing import Unpack

    from minipipe.segments.signature import RegulatorOptions


class Unbatch(Regulator):
    """Passes on the samples of each batch, one by one: the opposite of Batch.

    | batch | samples |
    |---|---|
    | array, dtype[n, ...] | n arrays, dtype[...]; NumPy's scalars if it has one axis |
    | dict, tuple, namedtuple, dataclass of batches | n of its form |
    | a list of arrays | n lists |
    | any other list; a tuple of numbers or texts | its elements |

        images: uint8[n, 28, 28], label: int64[n]  ->  images: uint8[28, 28], label: int64

        pline.add(mp.Unbatch())

    The samples are views of the batch.  None among them is not passed on.

    Beside what is named here it takes the options of every Regulator.

    Args:
        name: shown in errors and statistics.

    Raises:
        OptionError: an option that does not exist, or with an impossible value.
        CollateError: (in the worker) first axes that differ, or an item that is no batch.
    """

    read_only_functor = True

    def __init__(self, name: str = "Unbatch", **options: Unpack[RegulatorOptions]) -> None:
        super().__init__(Unbatching(), name, **options)


class Unbatching:
    """The functor of an Unbatch."""

    def run(self) -> Generator[Any, Any, None]:
        """Takes batches, gives samples."""
        while True:
            try:
                batch = yield
            except EndOfStream:
                return
            for sample in samples_of(batch):
                if sample is not None:
                    yield sample
            # Until the next one arrives, nothing keeps this one in memory.
            batch = sample = None

    def __repr__(self) -> str:
        return "Unbatching()"


def samples_of(batch: Any) -> Iterator[Any]:
    """The samples in `batch`, in order.

    >>> import numpy as np
    >>> list(samples_of({"x": np.array([[1, 2], [3, 4]]), "name": ["a", "b"]}))
    [{'x': array([1, 2]), 'name': 'a'}, {'x': array([3, 4]), 'name': 'b'}]

    Raises:
        CollateError: first axes differ, or it is no batch.
    """
    lengths: dict[str, int] = {}
    samples = _samples(batch, "", lengths)
    if not lengths:
        raise _no_batch("", batch)
    first, expected = next(iter(lengths.items()))
    for where, length in lengths.items():
        if length != expected:
            raise CollateError(
                "the batch",
                where,
                f"{expected} samples as at {first}",
                f"{length}",
                "give every array of a batch the same first axis",
            )
    return samples


def _samples(part: Any, where: str, lengths: dict[str, int]) -> Iterator[Any]:
    """The parts that `part` has in the samples; notes in `lengths` how many there are."""
    if is_array(part) and not part.ndim:
        raise _no_batch(where, part)
    if is_array(part) or _is_plain(part):
        lengths[where] = len(part)
        return iter(part)
    layer = layer_of(part)
    if layer is None:
        raise _no_batch(where, part)
    if not layer.keys:  # in every sample, as often as the other parts say
        return itertools.repeat(layer.make([]))
    parts = [
        _samples(each, where + layer.step(key), lengths)
        for key, each in zip(layer.keys, layer.parts(part), strict=True)
    ]
    return map(layer.make, zip(*parts, strict=False))


def _is_plain(part: Any) -> bool:
    """Whether it is a list of samples, rather than one of the columns of samples."""
    if isinstance(part, list):
        return not part or not all(map(is_array, part))
    if type(part) is tuple and part:
        return not any(is_array(each) or layer_of(each) is not None for each in part)
    return False


def _no_batch(where: str, part: Any) -> CollateError:
    mend = "give it an axis of samples, or leave Unbatch out"
    return CollateError("the batch", where, _EXPECTED, describe(part), mend)
