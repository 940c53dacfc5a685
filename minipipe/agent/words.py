"""What a gateway and an agent say to each other over their link, beside the items of workers.

    frames of a message = [b"D" + route, head, frame, ...]      items and records, for workers
                          [b"C" + msgpack of (word, field, ...), frame, ...]
                          [b"P" + ...]            what agents say to each other (`agent/paired.py`)

Who sends these has come in by the run's token.  What an agent says is checked all the same before
it is used: its fields are plain data, of the types that stand here.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from enum import IntEnum
from typing import Any, Final

import msgpack

from minipipe.errors import WireFormatError
from minipipe.errors.cause import because
from minipipe.process.describe import both_ends
from minipipe.transport import Buffer
from minipipe.worker.descendants import UNKNOWN

DATA: Final = b"D"
_CONTROL: Final = b"C"

# The streams of a worker that are forwarded.
OUT, ERR, SIDE = STREAMS = (0, 1, 2)
MAX_TEXT = 100_000
LAST_BYTES = 1 << 20  # of each, that a worker had written and nobody had read when it died
_MOST_ERRNO, _MOST_SIGNAL = 4096, 128
CREDIT_BYTES = 256 * 1024  # of each of them that may be under way; then the worker waits, as here


class Word(IntEnum):
    """What is said.  (The fields are those of `_FIELDS`.)"""

    START = 1  # to an agent: worker; and what it needs, as a frame
    ORDERS = 2  # worker; bytes of its control socket, as a frame
    HANG_UP = 3  # worker: its control socket is closed
    KILL = 4  # worker, call or nothing, hard
    CALL_OFF = 5
    ASK_FOR_STACK = 6  # worker
    TAKEN = 7  # worker, stream, bytes that were written
    FORGET = 8  # workers of other hosts, or of this one, that are over
    SHIPMENT = 9  # the user's code: what is in it, and that, as frames
    MAY_LEAVE = 10  # no worker comes any more: it may go when it has none
    # Another agent, to have a link with: the link, serial, name, public key, where it listens
    # (nothing: it comes to this one), and what is accepted of it: code, slots.
    PEER = 11
    PARTED = 12  # serial: of an agent that is gone
    RUNS = 13  # serial, workers: these run there
    STARTED = 20  # from here on to the gateway: worker, pid
    REFUSED = 21  # worker, errno, why
    EXITED = 22  # worker, wait status, condemned, stack
    ZYGOTE_LOST = 23  # workers, never ready, exit code or nothing, why
    PRINTED = 24  # worker, stream; the bytes, as a frame
    END_OF_STREAM = 25  # worker, stream
    VITALS = (
        26  # worker, clock_ns, state, cpu_ns, own_cpu_ns, wait_ns, memory_bytes, at; page, rest
    )
    LEAVING = 27  # why: it wants to go
    NOTE = 28  # level, text, for the log
    LINK = 29  # for so long, in ns, items from there were under way; their bytes
    LISTENS = 30  # the public key that other agents know it by, and addresses that they may go to
    AWAITS = 31  # link: the other agent may come to it now
    # Of a worker that was killed: worker, thread, and of its own clock, when it began and the time
    # now; what it has written down of what it did when, as a frame.
    SPANS = 32


_FIELDS: Final[dict[Word, tuple[tuple[type, ...], ...]]] = {
    Word.START: ((int,),),
    Word.ORDERS: ((int,),),
    Word.HANG_UP: ((int,),),
    Word.KILL: ((int,), (tuple, type(None)), (bool,)),
    Word.CALL_OFF: (),
    Word.ASK_FOR_STACK: ((int,),),
    Word.TAKEN: ((int,), (int,), (int,)),
    Word.FORGET: ((tuple,),),
    Word.SHIPMENT: (),
    Word.MAY_LEAVE: (),
    Word.PEER: ((int,), (int,), (str,), (str,), (str,), (bool,), (bool,)),
    Word.PARTED: ((int,),),
    Word.RUNS: ((int,), (tuple,)),
    Word.STARTED: ((int,), (int,)),
    Word.REFUSED: ((int,), (int,), (str,)),
    Word.EXITED: ((int,), (int,), (bool,), (str,)),
    Word.ZYGOTE_LOST: ((tuple,), (bool,), (int, type(None)), (str,)),
    Word.PRINTED: ((int,), (int,)),
    Word.END_OF_STREAM: ((int,), (int,)),
    Word.VITALS: ((int,), (int,), (int,), (int,), (int,), (int,), (int,), (int,)),
    Word.LEAVING: ((str,),),
    Word.NOTE: ((int,), (str,)),
    Word.LINK: ((int,), (int,)),
    Word.SPANS: ((int,), (int,), (int,), (int,)),
    Word.LISTENS: ((str,), (str,)),
    Word.AWAITS: ((int,),),
}


def say(word: Word, *fields: Any, frames: Sequence[Buffer] = ()) -> list[Buffer]:
    """The frames of a message."""
    return [_CONTROL + msgpack.packb((int(word), *fields), use_bin_type=True), *frames]


def said(head: Buffer) -> tuple[Word, tuple[Any, ...]]:
    """What the first frame of a message says that is none of items.

    Raises:
        WireFormatError: it is no word of ours, or its fields are not those of the word.
    """
    content = bytes(head)
    try:
        if content[:1] != _CONTROL:
            raise ValueError("it begins otherwise")
        number, *fields = msgpack.unpackb(content[1:], use_list=False)
        word = Word(number)
    except (ValueError, TypeError, msgpack.UnpackException) as error:
        unreadable = WireFormatError(f"a message between hosts that says nothing: {error}")
        raise because(unreadable, error) from error
    expected = _FIELDS[word]
    if len(fields) != len(expected) or not all(
        type(field) in types for field, types in zip(fields, expected, strict=True)
    ):
        raise WireFormatError(f"{word.name} between hosts with other fields than it has")
    lists = [field for field in fields if type(field) is tuple]
    if any(type(one) is not int for each in lists for one in each) or not _is_possible(
        word, fields
    ):
        raise WireFormatError(f"{word.name} between hosts with fields that cannot be")
    return word, tuple(fields)


def _is_possible(word: Word, fields: Sequence[Any]) -> bool:
    """Whether what is said of a process can be: the C library is asked what these numbers mean."""
    match word, fields:
        case Word.STARTED, [_, pid]:
            return bool(0 < pid < 1 << 31)
        case Word.REFUSED, [_, reason, _]:
            return bool(0 <= reason < _MOST_ERRNO)
        case Word.EXITED, [_, status, _, _]:
            return status == UNKNOWN or (
                0 <= status < 1 << 16 and (os.WIFEXITED(status) or os.WIFSIGNALED(status))
            )
        case Word.ZYGOTE_LOST, [_, _, code, _]:
            return code is None or -_MOST_SIGNAL <= code < 1 << 8
        case Word.NOTE, [level, _]:
            return bool(0 <= level <= logging.CRITICAL)
    return True


def printable(text: str) -> str:
    """What an agent says, as it may stand on somebody's terminal, and in the log; not too long."""
    kept = both_ends(text, MAX_TEXT)
    return "".join(c if c.isprintable() or c in "\n\t" else "?" for c in kept)
