"""The file: a line that says what it is, then one record after the other.

    record = magic, length, CRC-32 of what follows; then, in msgpack,
             [what is known of it, body, frames, definitions of classes]

Each worker appends its own records, whole, under a lock; so the file may be read at any time.
How it is read is in `reading`.
"""

from __future__ import annotations

import os
import stat
import struct
import zlib
from collections.abc import Callable
from dataclasses import asdict, field
from typing import Any

import msgpack

try:
    import fcntl
except ImportError:  # Windows, where one process alone writes (inline)
    fcntl = None  # type: ignore[assignment]

from minipipe.codec import ATOMS, Encoder
from minipipe.dead_letters.errors import DeadLetterError
from minipipe.protocol.frozen import frozen

HEADER = b"MiniPipe dead letters 1\n"
RECORD = struct.Struct("<4sQI")
MAGIC = b"ltr\n"
_APPENDED = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_CLOEXEC", 0)
_APPENDED |= getattr(os, "O_BINARY", 0)  # Windows would write each end of a line as two bytes


@frozen
class DeadLetterRecord:
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
        left_out: why the item is not here; nothing: it is.
        is_plain: it came from another host, where nothing may be unpickled: not here, either.
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
    left_out: str = ""
    is_plain: bool = False
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
            DeadLetterError: it would have to be unpickled, or is not here.
        """
        return self._open(allow_pickle)


@frozen
class Kept:
    """An item as it was at one time, whatever was done to it later."""

    body: bytes
    frames: list[bytes]
    definitions: list[tuple[bytes, bytes]]


def keep(item: Any, *, allow_pickle: bool = True) -> Kept:
    """The item as it is now.

    Args:
        allow_pickle: whether what has no form of its own is pickled.

    Raises:
        ItemTypeError: it, or a part of it, has none, or cannot be pickled.
    """
    encoder = Encoder(allow_pickle=allow_pickle)
    token = item if type(item) in ATOMS else encoder.snapshot(item)[0]
    parcel = encoder.encode([token])
    frames = [bytes(frame) for frame in parcel.frames]
    return Kept(parcel.body, frames, list(parcel.classes.items()))


def encode_record(letter: DeadLetterRecord, kept: Kept) -> bytes:
    """A record of the file."""
    about = {key: value for key, value in asdict(letter).items() if not key.startswith("_")}
    payload: bytes = msgpack.packb(
        (about, kept.body, kept.frames, kept.definitions),
        unicode_errors="surrogatepass",  # what an exception says may be the name of a file
    )
    return RECORD.pack(MAGIC, len(payload), zlib.crc32(payload)) + payload


def write(path: str, letter: DeadLetterRecord, kept: Kept) -> None:
    """Adds an item to a file, which is made if it is not there.

    Raises:
        OSError: that could not be done.
    """
    add_record(path, encode_record(letter, kept))


def add_record(path: str, record: bytes) -> None:
    """Adds a record to a file, whole, whoever else does so."""
    fd = _locked(path)
    try:
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


def _locked(path: str) -> int:
    """The file, open to be added to, for nobody else meanwhile; made if it is not there."""
    while True:
        fd = os.open(path, _APPENDED, 0o600)
        try:
            if fcntl is None:
                return fd
            fcntl.flock(fd, fcntl.LOCK_EX)
            if os.fstat(fd).st_nlink:
                return fd
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)  # whoever checks whether it can be made has removed it meanwhile


def check_writable(path: str) -> None:
    """Sees that letters can be added to a file.

    Raises:
        OSError: they cannot.
        DeadLetterError: it is another kind of file.
    """
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        mode = None
    if mode is not None and (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)):
        raise DeadLetterError(path, "it is no file: a run would wait for who reads it")
    fd = _locked(path)
    try:
        if os.fstat(fd).st_size:
            os.lseek(fd, 0, os.SEEK_SET)
            _check_start(path, os.read(fd, len(HEADER)))
        elif mode is None:
            # Another run that is about to add the first letter waits for the lock, and then sees
            # that the file is gone.
            os.unlink(os.path.realpath(path))
    finally:
        os.close(fd)


def check_header(path: str) -> None:
    """Sees that it is a file of dead letters.

    Raises:
        OSError: it cannot be read.
        DeadLetterError: it is another kind of file.
    """
    with open(path, "rb") as file:
        _check_start(path, file.read(len(HEADER)))


def _check_start(path: str, start: bytes) -> None:
    if start != HEADER:
        raise DeadLetterError(
            path, f"it is no file of dead letters (it begins with {start[:24]!r}): look at the path"
        )
