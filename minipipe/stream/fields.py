"""Kinds of fields that records have."""

from __future__ import annotations

from collections.abc import Sequence
from types import NoneType
from typing import Annotated, Any, TypeAlias

from minipipe.protocol.delivery.intervals import Interval
from minipipe.stream.arrived import Key
from minipipe.stream.forms import Guard
from minipipe.stream.native_form import is_pickle


def _are_runs(numbers: tuple[Any, ...]) -> bool:
    if len(numbers) == 2:
        first, stop = numbers
        return type(first) is int and type(stop) is int and first < stop
    if len(numbers) % 2 or set(map(type, numbers)) != {int}:
        return False
    return all(first < stop for first, stop in unflat(numbers))


def _are_definitions(said: tuple[Any, ...]) -> bool:
    tokens, blobs = said[::2], said[1::2]
    are = set(map(type, tokens)) == {bytes} and set(map(type, blobs)) <= {bytes, NoneType}
    return are and len(tokens) == len(blobs)


def _are_keys(keys: tuple[Any, ...]) -> bool:
    return set(map(type, keys)) == {tuple}  # and no more: there is one for each item


Runs: TypeAlias = Annotated[Sequence[int], _are_runs]
"""Intervals of numbers, end to end (`flat`)."""
Report: TypeAlias = Annotated[bytes, Guard("code", "a pickle", is_pickle)]
"""A value in the native form (`stream.native_form`), or a pickle, or nothing."""
Definitions: TypeAlias = Annotated[
    Sequence[bytes | None], _are_definitions, Guard("code", "the definition of a class")
]
"""Each token of a class that the body names by it, and the definition, or None if the receiver
has that (`protocol.delivery.recent`)."""
SlotRefs: TypeAlias = Annotated[Sequence[int], Guard("slots", "a reference to shared memory")]
"""References to slots, end to end (`stream.memory.references`)."""
Keys: TypeAlias = Annotated[Sequence[Key], _are_keys]
"""What each item of a parcel had as identity at a fork."""


def flat(runs: Sequence[Interval]) -> Sequence[int]:
    """Intervals as a flat list of numbers, for a record."""
    if len(runs) == 1:
        return runs[0]
    return [number for run in runs for number in run]


def unflat(numbers: Sequence[int]) -> list[Interval]:
    """The intervals of a flat list."""
    return list(zip(numbers[::2], numbers[1::2], strict=True))
