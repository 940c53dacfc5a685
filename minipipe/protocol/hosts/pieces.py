"""Messages of a link, cut into pieces and put together again.

A connection delivers a message when all of it has come, and until then its other end seems to be
silent: 64 MiB over a slow line would cut it, and then again, for ever.  So a message goes in
pieces, each of which is a sign of life; how large they are, `protocol/hosts/pace.py` decides.  What
was cut too large for a line that has become slow is cut again.

A piece goes in chunks, and no frame of a connection is larger than one: what a stranger can make a
socket allocate is bounded by that.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from minipipe.errors import WireFormatError
from minipipe.protocol.hosts.pace import SMALLEST_BYTES

Buffer: TypeAlias = "bytes | bytearray | memoryview"

# A line that takes longer for the smallest piece than a connection may be silent (3 s) never gets
# it across: with 256 KiB that was each below 0.7 Mbit/s.
PIECE_BYTES = SMALLEST_BYTES
CHUNK_BYTES = 1 << 19
PLACED_BYTES = 1 << 16  # a frame above this is put where it is to lie, also if it comes at once
MAX_FRAMES = 1 << 14  # of a message: their sizes, in the head of its first piece, have 128 KiB
MAX_MESSAGE_BYTES = 1 << 34
# A frame gets its place when it is no larger than this, or so much of it has come: who says that a
# frame will have 16 GiB, and sends one byte, is not to have all of that memory.
FREELY_BYTES = 1 << 26
_SHARE = 8
HEAD_BYTES = 64  # what a piece costs beside what is in it: empty ones fill a window, too


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a message.

    Attributes:
        sizes: of all frames of the message, in its first piece; None: it goes on with one.
        chunks: consecutive parts of the frames; none of them is of two frames.
        ends_message: it is the last one, as its sender knows.
    """

    sizes: tuple[int, ...] | None
    chunks: tuple[memoryview, ...]
    ends_message: bool = field(default=False, compare=False)

    @property
    def size_bytes(self) -> int:
        """As it counts for the window of a link."""
        return HEAD_BYTES + sum(map(len, self.chunks))


def cut(
    frames: Sequence[Buffer],
    piece_bytes: Callable[[], int] = lambda: PIECE_BYTES,
    chunk_bytes: int = CHUNK_BYTES,
) -> Iterator[Piece]:
    """The pieces of a message, as they are asked for.

    Args:
        piece_bytes: how large the next one may be.

    Raises:
        ValueError: it has too many frames, or is too large.
    """
    views = [memoryview(frame).cast("B") for frame in frames]
    sizes: tuple[int, ...] | None = tuple(map(len, views))
    if len(views) > MAX_FRAMES or sum(map(len, views)) > MAX_MESSAGE_BYTES:
        raise ValueError(
            f"a message of a link has at most {MAX_FRAMES} frames and {MAX_MESSAGE_BYTES} bytes"
        )
    return _cut(views, sizes, piece_bytes, chunk_bytes, ends_message=True)


def recut(piece: Piece, piece_bytes: int) -> Iterator[Piece]:
    """A piece as several ones, none of them larger than that."""
    sizes, ends_message = piece.sizes, piece.ends_message
    return _cut(piece.chunks, sizes, lambda: piece_bytes, CHUNK_BYTES, ends_message=ends_message)


def _cut(
    views: Sequence[memoryview],
    sizes: tuple[int, ...] | None,
    piece_bytes: Callable[[], int],
    chunk_bytes: int,
    *,
    ends_message: bool,
) -> Iterator[Piece]:
    chunks, room = list[memoryview](), piece_bytes()
    for view in views:
        start = 0
        while start < len(view) or not len(view):
            if not room and len(view):
                yield Piece(sizes, tuple(chunks))
                sizes, chunks, room = None, [], piece_bytes()
            chunk = view[start : start + min(room, chunk_bytes)]
            chunks.append(chunk)
            start += len(chunk)
            room -= len(chunk)
            if not len(view):
                break
    yield Piece(sizes, tuple(chunks), ends_message)


class Assembler:
    """Puts the pieces of one direction together, which come in order.

    Args:
        allocate: makes the place for a frame that is large (`PLACED_BYTES`), or comes in several
            chunks; what else comes in one stays in the memory that it was received into.
    """

    def __init__(self, allocate: Callable[[int], Buffer] = bytearray) -> None:
        self._allocate = allocate
        self._sizes: tuple[int, ...] | None = None  # of the message that has begun
        self._frames: list[memoryview] = []
        self._place: memoryview | None = None  # of the frame that has begun
        self._early: list[memoryview] = []  # of that, what came before it had a place
        self._filled = 0

    def add(self, piece: Piece) -> list[memoryview] | None:
        """The frames of the message, if this is its last piece.

        Raises:
            WireFormatError: it does not fit what came before.
        """
        if (piece.sizes is None) != (self._sizes is not None):
            raise WireFormatError("a piece of a message without its first one, or two first ones")
        if piece.sizes is not None:
            self._sizes, self._frames = piece.sizes, []
        assert self._sizes is not None
        for chunk in piece.chunks:
            self._take(chunk, self._sizes)
        if len(self._frames) < len(self._sizes):
            return None
        self._sizes = None
        frames, self._frames = self._frames, []
        return frames

    def _take(self, chunk: memoryview, sizes: tuple[int, ...]) -> None:
        if len(self._frames) == len(sizes):
            raise WireFormatError("a piece has more than its message")
        size = sizes[len(self._frames)]
        if len(chunk) == size <= PLACED_BYTES and not self._filled:
            self._frames.append(chunk)
            return
        until = self._filled + len(chunk)
        if until > size or not len(chunk):
            raise WireFormatError(f"a frame of {size} bytes got {until}, or nothing")
        if self._place is not None:
            self._place[self._filled : until] = chunk
        else:
            self._early.append(chunk)
            if size <= max(FREELY_BYTES, _SHARE * until):
                self._place = self._place_for(size)
        self._filled = until
        if until == size:
            assert self._place is not None
            self._frames.append(self._place)
            self._place, self._filled = None, 0

    def _place_for(self, size: int) -> memoryview:
        """The place for a frame, with what of it has come so far."""
        place, at = memoryview(self._allocate(size)).cast("B"), 0
        for chunk in self._early:
            place[at : at + len(chunk)] = chunk
            at += len(chunk)
        self._early.clear()
        return place


class HandOver:
    """Which pieces count as handed over: all that come before one whose message is not.

    The pieces of a message that is still on its way are in memory of the receiver already, so they
    do not hold the window: otherwise a message larger than that could never come to its end.
    """

    def __init__(self) -> None:
        self._last = 0
        self._waiting: deque[int] = deque()  # the last pieces of messages that are not handed over

    def arrived(self, number: int, *, ends_message: bool) -> None:
        """The next piece has come."""
        self._last = number
        if ends_message:
            self._waiting.append(number)

    def handed_over(self, number: int) -> None:
        """So is the message whose last piece this is, and all before it."""
        while self._waiting and self._waiting[0] <= number:
            self._waiting.popleft()

    @property
    def up_to(self) -> int:
        """All pieces up to this one count."""
        return self._waiting[0] - 1 if self._waiting else self._last
