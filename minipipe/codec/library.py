"""What a library's file in `minipipe.codec.types` says of its types."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from minipipe.codec.nodes import ReadNode, WriteNode
from minipipe.errors import WireFormatError

Reduced: TypeAlias = tuple[Any, ...]


class Collation(NamedTuple):
    """How samples that are arrays of a library become a batch."""

    accepts: Callable[[object], bool]
    """Whether a value of the library's is such an array: it has `ndim`, a length and rows."""
    describe: Callable[[Any], str]
    """What it is, for an error: "a tensor of float32 and shape (3,)"."""
    traits: Callable[[Any], Sequence[tuple[str, object]]]
    """What has to be the same in all samples: names and values."""
    stack: Callable[[Sequence[Any]], Any]
    """Makes one array of them, along a new first axis."""
    to_numpy: str
    """How a user makes an array of NumPy of it: "tensor.numpy()"."""


class ArrayForm(NamedTuple):
    """How values that are arrays of a library travel as those of NumPy, in pickles."""

    array_of: Callable[[Any], np.ndarray[Any, Any] | None]
    """Returns an array over the memory of a value; None if that would not say all of it."""
    value_over: Callable[[Any], object]
    """Returns the value whose memory is that of such an array. (Pickles refer to it by name.)"""


class Sharing(NamedTuple):
    """What breaks when processes share a value by fork."""

    what: str
    """The value in words: "an open h5py.File"."""
    for_none: bool
    """Whether not even one forked process may use it; else one may, and several may not."""


def _nothing(*_: object) -> None:
    return None


def _no_slot(node: Sequence[Any]) -> tuple[Any, int, int]:
    raise WireFormatError(f"{node!r:.80} lies in no slot")


@dataclass(frozen=True, kw_only=True)
class Library:
    """What is done with the types of a library. What it does not say is done as for any type.

    Attributes:
        writer_for: Returns what writes the instances of a class as nodes, if it has such a form.
        readers: What reads those nodes, by tag: all tags of the library's line in the registry.
        slot_part: Returns the reference to the slot that a node of the library's lies in, where in
            it that begins, and how many bytes it has.
        in_pickles: Whether instances have that form between processes of one machine, too, beside
            the pickle of the rest; False: what pickle makes of them is as good, and faster.
        as_array: The same of small values: what takes less time than a node.
        reduce: Returns how pickle shall take a value apart, if that is to differ from what the
            value says itself.
        reduce_in_place: The same for a value that may stay in the buffer that it is loaded from.
        write_dtype: Returns the words, for msgpack, for a dtype of NumPy that is the library's.
        read_dtype: Returns the dtype that those words mean; given without the library's name.
        collation: How samples become a batch.
        seed: Seeds the library's global generators. It is called once the library is imported.
        seed_for_item: Does the same, before each item of a run that was given a seed, so it may
            cost a few microseconds, and leave out the generators of accelerators.
        fork_obstacle: Returns why this process must not fork now, as "X, which ..., does not
            survive that: do Y", if it must not.
        shared: Returns what breaks when processes share instances of a class by fork, if so.
    """

    writer_for: Callable[[type], WriteNode | None] = _nothing
    readers: Mapping[int, ReadNode] = field(default_factory=dict)
    slot_part: Callable[[Sequence[Any]], tuple[Any, int, int]] = _no_slot
    in_pickles: bool = True
    as_array: ArrayForm | None = None
    reduce: Callable[[Any], Reduced | None] = _nothing
    reduce_in_place: Callable[[Any], Reduced | None] = _nothing
    write_dtype: Callable[[np.dtype[Any]], list[object] | None] = _nothing
    read_dtype: Callable[..., np.dtype[Any]] | None = None
    collation: Collation | None = None
    seed: Callable[[int], None] | None = None
    seed_for_item: Callable[[int], None] | None = None
    fork_obstacle: Callable[[], str | None] = _nothing
    shared: Callable[[type], Sharing | None] = _nothing
