"""The file: a line that says what it is, then one record after the other.

    record = magic, length, CRC-32 of what follows; then, in msgpack,
             [what is known of it, body, frames, definitions of classes]

Each worker appends its own records, whole, under a lock; so the file may be read at any time.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

import msgpack

try:
    import fcntl
except ImportError:  # Windows, where one process alone writes (inline)
    fcntl = None  # type: ignore[assignment]

from minipipe.codec import ATOMS, Decoder, Encoder
from minipipe.errors import WireFormatError
from minipipe.letters.errors import DamagedError, DeadLetterError

HEADER = b"MiniPipe dead letters 1\n"
_RECORD = struct.Struct("<4sQI")
_MAGIC = b"ltr\n"
_APPENDED = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_CLOEXEC", 0)
_APPENDED |= getattr(os, "O_BINARY", 0)  # Windows would write each end of a line as two bytes


@dataclass(frozen=True)
class Letter:
    """An item that was skipped.

    Attributes:
        run: which run it was.
        time_s: when, in seconds since 1970.
        segment: where.
        worker: the worker's name.
        origin: who had numbered the item.
        number: its number there.
        path: which of the outputs on its way it went through.
        error: the type of what the functor raised, or of how the worker died.
        text: what that said.
        trace: the traceback.
    """

    run: int
    time_s: float
    segment: str
    worker: str
    origin: str
    number: int
    path: tuple[int, ...]
    error: str
    text: str
    trace: str
    _open: Callable[[bool], Any] = field(default=lambda allow_pickle: None, repr=False)

    @property
    def identity(self) -> tuple[Any, ...]:
        """What two letters have in common that are of one item: it was done again, say."""
        return self.run, self.segment, self.origin, self.number, tuple(self.path)

    def item(self, *, allow_pickle: bool = False) -> Any:
        """The item, as it came to the functor.

        Args:
            allow_pickle: whether pickles and classes by definition may be in it: these run code.

        Raises:
            DeadLetterError: it would have to be unpickled.
        """
        return self._open(allow_pickle)


@dataclass(frozen=True)
class Kept:
    """An item as it was at one time, whatever was done to it later."""

    body: bytes
    frames: list[bytes]
    definitions: list[tuple[bytes, bytes]]


def keep(item: Any) -> Kept:
    """The item as it is now."""
    encoder = Encoder()
    token = item if type(item) in ATOMS else encoder.snapshot(item)[0]
    parcel = encoder.encode([token])
    frames = [bytes(frame) for frame in parcel.frames]
    return Kept(parcel.body, frames, list(parcel.classes.items()))


def sealed(letter: Letter, kept: Kept) -> bytes:
    """A record of the file."""
    about = {key: value for key, value in asdict(letter).items() if not key.startswith("_")}
    payload: bytes = msgpack.packb((about, kept.body, kept.frames, kept.definitions))
    return _RECORD.pack(_MAGIC, len(payload), zlib.crc32(payload)) + payload


def write(path: str, letter: Letter, kept: Kept) -> None:
    """Adds an item to a file, which is made if it is not there.

    Raises:
        OSError: that could not be done.
    """
    add_record(path, sealed(letter, kept))


def add_record(path: str, record: bytes) -> None:
    """Adds a record to a file, whole, whoever else does so."""
    fd = os.open(path, _APPENDED, 0o600)
    try:
        if fcntl is not None:
            fcntl.flock(fd, fcntl.LOCK_EX)
        end = os.fstat(fd).st_size
        data = record if end else HEADER + record
        try:
            written = 0
            while written < len(data):
                written += os.write(fd, data[written:])
        except OSError:
            os.ftruncate(fd, end)  # not half of it
            raise
    finally:
        os.close(fd)


def check_writable(path: str) -> None:
    """Sees that letters can be added to a file.

    Raises:
        OSError: they cannot.
        DeadLetterError: it is another kind of file.
    """
    is_new = not os.path.exists(path)
    fd = os.open(path, _APPENDED, 0o600)
    os.close(fd)
    if is_new:
        os.unlink(path)
    elif os.path.getsize(path):
        check_header(path)


def check_header(path: str) -> None:
    """Sees that it is a file of dead letters.

    Raises:
        OSError: it cannot be read.
        DeadLetterError: it is another kind of file.
    """
    with open(path, "rb") as file:
        start = file.read(len(HEADER))
    if start != HEADER:
        raise DeadLetterError(
            path, f"it is no file of dead letters (it begins with {start[:24]!r}): look at the path"
        )


def check_whole(path: str) -> None:
    """Sees that a file of dead letters is whole.

    Raises:
        OSError: it cannot be read.
        DamagedError: it is cut off or damaged.
    """
    try:
        for _ in letters_in(path):
            pass
    except DamagedError as error:
        raise DamagedError(path, f"{error.what}; strict=False reads those") from error


def letters_in(path: str) -> Iterator[Letter]:
    """Yields the letters that are in a file now, each item once.

    Raises:
        OSError: it cannot be read.
        DeadLetterError: it is another kind of file.
        DamagedError: after what is whole: it is cut off or damaged.
    """
    check_header(path)
    seen: set[tuple[Any, ...]] = set()
    count = 0
    with open(path, "rb") as file:
        end = os.fstat(file.fileno()).st_size  # what comes later is for another time
        file.seek(len(HEADER))
        while file.tell() < end:
            letter = _next(path, file.read, count)
            count += 1
            if letter.identity not in seen:
                seen.add(letter.identity)
                yield letter


def _next(path: str, read: Callable[[int], bytes], count: int) -> Letter:
    head = read(_RECORD.size)
    broken = f"it is cut off or damaged after {count} whole letters"
    if len(head) < _RECORD.size:
        raise DamagedError(path, broken)
    magic, length, crc = _RECORD.unpack(head)
    if magic != _MAGIC:
        raise DamagedError(path, broken)
    payload = read(length)
    if len(payload) < length or zlib.crc32(payload) != crc:
        raise DamagedError(path, broken)
    try:
        about, body, frames, definitions = msgpack.unpackb(payload)
        known = {name: about[name] for name in Letter.__dataclass_fields__ if name[0] != "_"}
    except (ValueError, KeyError, TypeError, msgpack.UnpackException) as error:
        raise DamagedError(path, f"{broken} ({error})") from error

    def open_letter(allow_pickle: bool) -> Any:
        decoder = Decoder(allow_pickle=allow_pickle)
        try:
            for token, blob in definitions:
                decoder.define(token, blob)
            (item,) = decoder.decode(body, frames)
        except WireFormatError as error:
            hint = "" if allow_pickle else " (allow_pickle=True accepts it, if you trust the file)"
            raise DeadLetterError(path, f"letter {count}: {error}{hint}") from error
        return item

    return Letter(**known, _open=open_letter)
