"""What is in a message: items as msgpack-numpy writes them, in MiniPipe's own form, or the user's.

A codec has two functions, `pack(item) -> bytes` and `unpack(bytes) -> item`.  Neither of ours ever
unpickles, imports, or believes a length.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import msgpack

from minipipe.codec import ATOMS, Decoder, Encoder, msgpack_numpy
from minipipe.errors import ItemTypeError, OptionError, WireFormatError, did_you_mean

Packs: TypeAlias = Callable[[Any], "bytes | bytearray | memoryview"]
Unpacks: TypeAlias = Callable[[memoryview], Any]

NAMES = ("msgpack-numpy", "minipipe")
_MARK = b"MiniPipe item 1"


def packing(codec: object, where: str) -> Packs:
    """What makes a message of an item.

    Raises:
        OptionError: there is no such codec.
    """
    return _chosen(codec, where, msgpack_numpy.pack, pack_native, "an item", "bytes")


def unpacking(codec: object, where: str) -> Unpacks:
    """What makes an item of a message.

    Raises:
        OptionError: there is no such codec.
    """
    return _chosen(codec, where, msgpack_numpy.unpack, unpack_native, "bytes", "an item")


def _chosen(
    codec: object, where: str, foreign: Any, native: Any, takes: str, gives: str
) -> Callable[[Any], Any]:
    if codec == NAMES[0]:
        return foreign  # type: ignore[no-any-return]
    if codec == NAMES[1]:
        return native  # type: ignore[no-any-return]
    if callable(codec):
        return codec
    hint = did_you_mean(codec, NAMES) if isinstance(codec, str) else ""
    known = " or ".join(map(repr, NAMES))
    raise OptionError(
        f"codec of {where} is {known}, or a function that takes {takes} and gives {gives}, "
        f"got {codec!r}{hint}"
    )


def pack_native(item: Any) -> bytes:
    """A message of an item in MiniPipe's own form: tuples, dates and the like stay what they are.

    Raises:
        ItemTypeError: it would have to be pickled.
    """
    encoder = Encoder(allow_pickle=False)
    token = item if type(item) in ATOMS else encoder.snapshot(item)[0]
    parcel = encoder.encode([token])
    packed: bytes = msgpack.packb((_MARK, parcel.body, [bytes(frame) for frame in parcel.frames]))
    return packed


def unpack_native(message: bytes | memoryview) -> Any:
    """The item of a message that `pack_native` has made.

    Raises:
        WireFormatError: it is another one, or holds what would have to be unpickled.
    """
    try:
        scout = msgpack.Unpacker(max_buffer_size=0)
        scout.feed(message)
        scout.skip()  # after that no header claims more than is there
        parts = msgpack.unpackb(message)
    except (ValueError, TypeError, msgpack.UnpackException) as error:
        why = str(error) or type(error).__name__  # of msgpack's own, some say nothing
        raise WireFormatError(f"it is no message of MiniPipe: {why:.300}") from error
    if not (type(parts) is list and len(parts) == 3 and parts[0] == _MARK):
        raise WireFormatError("it is no message of codec 'minipipe' (that of another version?)")
    _, body, frames = parts
    if type(body) is not bytes or type(frames) is not list:
        raise WireFormatError("a message of MiniPipe has no body")
    if not all(type(frame) is bytes for frame in frames):
        raise WireFormatError("a message of MiniPipe has frames that are none")
    items = Decoder(allow_pickle=False).decode(body, frames)
    if len(items) != 1:
        raise WireFormatError(f"a message has one item, this one {len(items)}")
    return items[0]


def packed(packs: Packs, item: Any, where: str) -> bytes:
    """The message of an item.

    Raises:
        ItemTypeError: it has none; or the user's function gave something else than bytes.
    """
    made = packs(item)
    if isinstance(made, bytes | bytearray | memoryview):
        return bytes(made)
    why = f"the codec of {where} gives bytes, it gave a {type(made).__name__}"
    raise ItemTypeError("an item", type(item).__name__, why)
