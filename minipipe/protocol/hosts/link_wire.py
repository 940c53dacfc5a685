"""The frames of a link as bytes: a head of fixed layout, and the chunks of a piece behind it.

Nothing here is allocated by a size that came, and whatever came is either a frame or an error.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from minipipe.errors import WireFormatError
from minipipe.protocol.flow.link_frames import Acknowledge, Beat, Farewell, Frame, Message, Resume
from minipipe.protocol.hosts.pieces import MAX_FRAMES, MAX_MESSAGE_BYTES, Buffer, Piece

VERSION = 1
MAX_WHY_BYTES = 1000
_RESUME, _FIRST, _NEXT, _ACKNOWLEDGE, _BEAT, _FAREWELL = range(1, 7)
_RESUME_HEAD = struct.Struct("!BBQQQQ")
_NUMBERED = struct.Struct("!BQ")
_SIZE_BYTES = 8


def write(frame: Frame, attempt: int) -> list[Buffer]:
    """The frames of ZeroMQ.

    Args:
        attempt: the number of the connection, for a `Resume`.
    """
    if isinstance(frame, Message):
        piece = frame.body
        assert isinstance(piece, Piece)
        if piece.sizes is None:
            return [_NUMBERED.pack(_NEXT, frame.number), *piece.chunks]
        sizes = struct.pack(f"!{len(piece.sizes)}Q", *piece.sizes)
        return [_NUMBERED.pack(_FIRST, frame.number) + sizes, *piece.chunks]
    if isinstance(frame, Acknowledge):
        return [_NUMBERED.pack(_ACKNOWLEDGE, frame.number)]
    if isinstance(frame, Resume):
        numbers = (attempt, frame.incarnation, frame.other, frame.received)
        return [_RESUME_HEAD.pack(_RESUME, VERSION, *numbers)]
    if isinstance(frame, Farewell):
        return [bytes((_FAREWELL, frame.heard)) + frame.why.encode()[:MAX_WHY_BYTES]]
    return [bytes((_BEAT,))]


def read(frames: Sequence[Buffer]) -> tuple[Frame, int]:
    """The frame, and of a `Resume` the number of its connection, else 0.

    Raises:
        WireFormatError: it is none.
    """
    if not frames:
        raise WireFormatError("an empty message on a link")
    views = [memoryview(frame).cast("B") for frame in frames]
    head, chunks = bytes(views[0]), tuple(views[1:])
    kind = head[0] if head else 0
    if kind in (_FIRST, _NEXT):
        return _message(kind, head, chunks), 0
    if chunks:
        raise WireFormatError(f"a frame of kind {kind} with {len(chunks)} more behind it")
    if kind == _RESUME:
        return _resume(head)
    if kind == _ACKNOWLEDGE and len(head) == _NUMBERED.size:
        return Acknowledge(_NUMBERED.unpack(head)[1]), 0
    if kind == _BEAT and len(head) == 1:
        return Beat(), 0
    if kind == _FAREWELL and 2 <= len(head) <= 2 + MAX_WHY_BYTES:
        return Farewell(head[2:].decode(errors="replace"), head[1] != 0), 0
    raise WireFormatError(f"a frame of kind {kind} with {len(head)} bytes")


def _resume(head: bytes) -> tuple[Resume, int]:
    if len(head) > 1 and head[1] != VERSION:
        raise WireFormatError(f"a link of version {head[1]}, this MiniPipe has {VERSION}")
    if len(head) != _RESUME_HEAD.size:
        raise WireFormatError(f"the beginning of a connection has {len(head)} bytes")
    _, _, attempt, incarnation, other, received = _RESUME_HEAD.unpack(head)
    if not incarnation or not attempt:
        raise WireFormatError("an incarnation or a connection with the number 0")
    return Resume(incarnation, other, received), attempt


def _message(kind: int, head: bytes, chunks: tuple[memoryview, ...]) -> Message:
    count, rest = divmod(len(head) - _NUMBERED.size, _SIZE_BYTES)
    if count < 0 or rest or count > MAX_FRAMES or (kind == _NEXT and count):
        raise WireFormatError(f"a piece of a message whose head has {len(head)} bytes")
    number = _NUMBERED.unpack_from(head)[1]
    sizes = struct.unpack_from(f"!{count}Q", head, _NUMBERED.size) if kind == _FIRST else None
    if not number or (sizes is not None and sum(sizes) > MAX_MESSAGE_BYTES):
        raise WireFormatError("a message with the number 0, or too large")
    piece = Piece(sizes, chunks)
    return Message(number, piece.size_bytes, piece)
