"""When two items are exactly the same: types, dtypes, layout, NaN and -0.0 included."""

from __future__ import annotations

import dataclasses
import math
import struct
from typing import Any

import numpy as np

from minipipe.codec import ATOMS, Decoder, Encoder


def same(a: Any, b: Any) -> bool:
    """Whether b is a faithful copy of a."""
    if type(a) is not type(b):
        return False
    if isinstance(a, float):
        return (math.isnan(a) and math.isnan(b)) or struct.pack("d", a) == struct.pack("d", b)
    if isinstance(a, int):
        return a == b
    if isinstance(a, complex):
        return same(a.real, b.real) and same(a.imag, b.imag)
    if isinstance(a, np.ndarray | np.generic):
        return _same_arrays(np.asarray(a), np.asarray(b))
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b)) and _same_state(a, b)
    if isinstance(a, dict):
        return len(a) == len(b) and all(
            same(k, m) and same(v, w) for (k, v), (m, w) in zip(a.items(), b.items(), strict=True)
        )
    if isinstance(a, set | frozenset):
        rest = list(b)
        for each in a:
            match = next((n for n, other in enumerate(rest) if same(each, other)), None)
            if match is None:
                return False
            del rest[match]
        return not rest
    if dataclasses.is_dataclass(a):
        fields = dataclasses.fields(a)
        return _same_state(a, b) and all(
            same(getattr(a, f.name, None), getattr(b, f.name, None)) for f in fields
        )
    if hasattr(a, "fold"):
        return bool(a == b and a.fold == b.fold and a.tzinfo == b.tzinfo)
    return bool(a == b) and repr(a) == repr(b)


def _same_state(a: Any, b: Any) -> bool:
    return same(dict(getattr(a, "__dict__", {})), dict(getattr(b, "__dict__", {})))


def _same_arrays(a: Any, b: Any) -> bool:
    return (
        a.dtype == b.dtype
        and a.dtype.num == b.dtype.num
        and a.dtype.type is b.dtype.type
        and a.dtype.isalignedstruct == b.dtype.isalignedstruct
        and a.shape == b.shape
        and _same_contents(a, b)
    )


def _same_contents(a: Any, b: Any) -> bool:
    if a.dtype.names is not None:  # not the gaps between the fields
        return all(_same_contents(a[name], b[name]) for name in a.dtype.names)
    if a.dtype.char in "gG":  # not the six bytes of each that mean nothing
        return bool(np.array_equal(a, b, equal_nan=True))
    return bool(a.tobytes() == b.tobytes())


def parcel_trip(
    items: list[Any], *, allow_pickle: bool = False, decoder: Decoder | None = None
) -> list[Any]:
    """Returns items as they arrive; by default without pickle at either end."""
    encoder = Encoder(allow_pickle=allow_pickle)
    decoder = decoder or Decoder(allow_pickle=allow_pickle)
    tokens = [item if type(item) in ATOMS else encoder.snapshot(item)[0] for item in items]
    parcel = encoder.encode(tokens)
    for token, definition in parcel.classes.items():
        decoder.define(token, definition)
    # Transient memory, as ZeroMQ's: it is overwritten before anybody looks at the items.
    body = bytearray(parcel.body)
    frames = [bytearray(frame) for frame in parcel.frames]
    arrived = decoder.decode(memoryview(body), [memoryview(frame) for frame in frames])
    for memory in (body, *frames):
        memory[:] = b"\xff" * len(memory)
    return arrived


def trip(item: Any, *, allow_pickle: bool = False) -> Any:
    """Returns one item as it arrives."""
    (arrived,) = parcel_trip([item], allow_pickle=allow_pickle)
    return arrived
