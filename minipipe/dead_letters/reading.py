"""Reading a file of dead letters: whatever is in it, and however it is damaged."""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

import msgpack

from minipipe.codec import Decoder
from minipipe.dead_letters.errors import DamagedError, DeadLetterError
from minipipe.dead_letters.file import HEADER, MAGIC, RECORD, DeadLetterRecord, Kept, check_header
from minipipe.errors import WireFormatError

_STEP = 1 << 20  # so much is looked through at a time for where the next record begins
_LATEST_S = 253402300799  # the last second of the year 9999: what comes later is no time
_TYPES: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("segment", "worker", "origin", "error", "text", "trace"), (str,)),
    **dict.fromkeys(("run", "number"), (int,)),
    "time_s": (int, float),
    "path": (list,),
}


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


def letters_in(path: str) -> Iterator[DeadLetterRecord]:
    """Yields the letters that are in a file now, each item once; also what is behind a damage.

    Raises:
        OSError: it cannot be read.
        DeadLetterError: it is another kind of file.
        DamagedError: after all that is whole: it is cut off or damaged.
    """
    check_header(path)
    seen: set[tuple[Any, ...]] = set()
    count = 0
    damage = ""
    with open(path, "rb") as file:
        end = os.fstat(file.fileno()).st_size  # what comes later is for another time
        at = len(HEADER)
        while at < end:
            payload = _payload(file, at, end)
            letter = None if payload is None else _letter(path, payload, count)
            if payload is None or letter is None:
                if not damage:
                    damage = f"it is cut off or damaged after {count} whole letters"
                    before = count
                at = _behind(file, at, end)
                continue
            at += RECORD.size + len(payload)
            count += 1
            if letter.identity not in seen:
                seen.add(letter.identity)
                yield letter
    if damage:
        behind = f", and {count - before} more are whole behind that" if count > before else ""
        raise DamagedError(path, damage + behind)


def count_in(path: str) -> int:
    """How many records are in a file, by their lengths alone; 0 if there is no such file."""
    try:
        with open(path, "rb") as file:
            end = os.fstat(file.fileno()).st_size
            at, count = len(HEADER), 0
            while at < end:
                length = _length(file, at, end)
                if length is None:
                    break
                at += RECORD.size + length
                count += 1
            return count
    except FileNotFoundError:
        return 0


def _length(file: BinaryIO, at: int, end: int) -> int | None:
    """How long what the record here holds is; None if no whole record can be here."""
    file.seek(at)
    head = file.read(RECORD.size)
    if len(head) < RECORD.size:
        return None
    magic, length, _ = RECORD.unpack(head)
    # A damaged length may be anything: so much is never asked for before that is looked at.
    if magic != MAGIC or length > end - at - RECORD.size:
        return None
    return int(length)


def _payload(file: BinaryIO, at: int, end: int) -> bytes | None:
    """What the record here holds; None if it is not whole."""
    length = _length(file, at, end)
    if length is None:
        return None
    file.seek(at)
    crc = RECORD.unpack(file.read(RECORD.size))[2]
    payload = file.read(length)
    return payload if len(payload) == length and zlib.crc32(payload) == crc else None


def _behind(file: BinaryIO, at: int, end: int) -> int:
    """Where to go on after a record that is damaged."""
    length = _length(file, at, end)
    if length is not None:
        # Only what it holds is damaged, if another one follows.  That may hold records, too.
        after = at + RECORD.size + length
        file.seek(after)
        if after == end or file.read(len(MAGIC)) == MAGIC:
            return after
    return _next_record(file, at + 1, end)


def _next_record(file: BinaryIO, at: int, end: int) -> int:
    """Where the next whole record begins, from here on; `end` if there is none."""
    while at < end:
        file.seek(at)
        chunk = file.read(min(_STEP, end - at) + len(MAGIC) - 1)
        found = chunk.find(MAGIC)
        if found < 0:
            at += _STEP
            continue
        at += found
        if _payload(file, at, end) is not None:
            return at
        at += 1
    return end


def _letter(path: str, payload: bytes, count: int) -> DeadLetterRecord | None:
    """The letter of a record; None if it holds anything else."""
    try:
        about, body, frames, definitions = msgpack.unpackb(payload, unicode_errors="surrogatepass")
        known = {name: about[name] for name in _TYPES}
        sound = all(isinstance(known[name], types) for name, types in _TYPES.items())
        sound = sound and 0 <= known["time_s"] <= _LATEST_S
        sound = sound and all(type(step) is int for step in known["path"])
        sound = sound and type(body) is bytes and type(frames) is list
        sound = sound and all(type(frame) is bytes for frame in frames)
        pairs = [(token, blob) for token, blob in definitions]
        sound = sound and all(type(t) is bytes and type(b) is bytes for t, b in pairs)
        left_out, is_plain = about.get("left_out", ""), about.get("is_plain", False)
        sound = sound and type(left_out) is str and type(is_plain) is bool
    except (ValueError, KeyError, TypeError, msgpack.UnpackException):
        return None
    if not sound:
        return None
    known["path"] = tuple(known["path"])
    kept = Kept(body, frames, pairs)
    opened = _opener(path, count, kept, left_out, is_plain)
    return DeadLetterRecord(**known, left_out=left_out, is_plain=is_plain, _open=opened)


def _opener(
    path: str, count: int, kept: Kept, left_out: str, is_plain: bool
) -> Callable[[bool], Any]:
    def open_letter(allow_pickle: bool) -> Any:
        if left_out:
            raise DeadLetterError(path, f"letter {count} is without its item: {left_out}")
        allow_pickle = allow_pickle and not is_plain
        decoder = Decoder(allow_pickle=allow_pickle)
        try:
            for token, blob in kept.definitions:
                decoder.define(token, blob)
            items = decoder.decode(kept.body, kept.frames)
        except WireFormatError as error:
            hint = "" if allow_pickle else " (allow_pickle=True accepts it, if you trust the file)"
            if is_plain:
                hint = " (it came from another host: of its classes, import the modules before)"
            raise DeadLetterError(path, f"letter {count}: {error}{hint}") from error
        if len(items) != 1:
            raise DeadLetterError(path, f"letter {count} holds {len(items)} items instead of one")
        return items[0]

    return open_letter
