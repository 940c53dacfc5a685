"""What one agent says to another by the gateway, among the items that go that way.

    frames of a message = [b"P" + kind, link, number]                            SWITCHED, FELL_BACK
                          [b"P" + kind, link, number + (b"D" + route), head, frame, ...]      AGAIN

What these mean is in `protocol/flow/bypass.py`.  The link is one that the gateway has had these two
make (`agent/introducing.py`): so it knows whom this is for, and that it is from one of them.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from enum import IntEnum
from typing import Final, NamedTuple

from minipipe.agent.words import DATA
from minipipe.errors import WireFormatError
from minipipe.transport import Buffer

PAIRED: Final = b"P"
_HEAD: Final = struct.Struct("!cBQQ")


class Kind(IntEnum):
    """What is said."""

    SWITCHED = 1
    FELL_BACK = 2  # number: of the first message that comes again
    AGAIN = 3  # number: of this message


class Paired(NamedTuple):
    """What was said.

    Attributes:
        kind: one of `Kind`.
        link: of the two, by its number.
        items: of `AGAIN`, as they would have come by the link.
    """

    kind: int
    link: int
    number: int
    items: Sequence[Buffer]


def write_paired(kind: int, link: int, number: int, items: Sequence[Buffer] = ()) -> list[Buffer]:
    """The frames of such a message."""
    head = _HEAD.pack(PAIRED, kind, link, number)
    return [head + bytes(items[0]), *items[1:]] if items else [head]


def read_paired(frames: Sequence[Buffer]) -> Paired:
    """What these frames say.

    Raises:
        WireFormatError: nothing.
    """
    first = bytes(frames[0])
    if len(first) >= _HEAD.size:
        mark, kind, link, number = _HEAD.unpack_from(first)
        rest = first[_HEAD.size :]
        if mark == PAIRED and kind == Kind.AGAIN and rest[:1] == DATA and len(frames) > 1:
            return Paired(kind, link, number, [rest, *frames[1:]])
        is_alone = len(frames) == 1 and not rest
        if mark == PAIRED and kind in (Kind.SWITCHED, Kind.FELL_BACK) and is_alone:
            return Paired(kind, link, number, ())
    raise WireFormatError("a message from one agent to another that says nothing")
