"""Reports in the native form: values as bytes that nothing of a run is unpickled or imported for.

A field of this kind (`stream.fields.Report`) is a pickle, or begins with NATIVE, which no pickle
does:

    NATIVE, number of buffers, length of each (little-endian), the buffers: a parcel's body, frames
"""

from __future__ import annotations

import struct
from typing import Any, Final

from minipipe.codec import ATOMS, Decoder, Encoder
from minipipe.errors import WireFormatError

NATIVE: Final = b"\x01"
_COUNT: Final = struct.Struct("<I")
_LENGTH: Final = struct.Struct("<Q")


def is_pickle(report: bytes) -> bool:
    """Whether code may run where a report is read; whatever is not native counts as a pickle."""
    return bool(report) and report[:1] != NATIVE


def write(value: object) -> bytes:
    """A value in the native form.

    Raises:
        ItemTypeError: it, or a part of it, has none.
    """
    encoder = Encoder(allow_pickle=False)
    token = value if type(value) in ATOMS else encoder.snapshot(value)[0]
    parcel = encoder.encode([token])
    buffers = (parcel.body, *parcel.frames)
    lengths = [_LENGTH.pack(len(buffer)) for buffer in buffers]
    return b"".join((NATIVE, _COUNT.pack(len(buffers)), *lengths, *buffers))


def read(report: bytes) -> Any:
    """The value of a report in the native form. Its arrays are its own.

    Raises:
        WireFormatError: it is none, or names a class of a module that is not imported here.
    """
    body, *frames = _buffers(report)
    items = Decoder(allow_pickle=False).decode(body, frames)
    if len(items) != 1:
        raise WireFormatError(f"a report holds {len(items)} values instead of one")
    return items[0]


def _buffers(report: bytes) -> list[memoryview]:
    data = memoryview(report)
    begin = len(NATIVE) + _COUNT.size
    if report[:1] != NATIVE or len(data) < begin:
        raise WireFormatError("it is no report in the native form")
    (count,) = _COUNT.unpack_from(data, len(NATIVE))
    at = begin + count * _LENGTH.size
    if not count or at > len(data):
        raise WireFormatError(f"a report is cut off: it says {count} buffers")
    found = []
    for (length,) in _LENGTH.iter_unpack(data[begin:at]):
        found.append(data[at : at + length])
        at += length
    if at != len(data):
        raise WireFormatError(f"a report has {len(data)} bytes where {at} were said")
    return found
