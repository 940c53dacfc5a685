"""Messages of more frames than a link takes: those behind the head go as one, and are parted again.

(An item of twenty thousand small arrays has as many frames, where no shared memory is used.)
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Final

from minipipe.errors import WireFormatError
from minipipe.protocol.hosts.pieces import MAX_FRAMES
from minipipe.transport import Buffer

JOINED: Final = b"\0"  # stands before the route; no route begins with it
AT_MOST: Final = MAX_FRAMES - 1  # the route is a frame, too
_SIZE_BYTES: Final = 8


def joined(frames: Sequence[Buffer]) -> list[Buffer]:
    """Head, sizes, and all other frames as one, which is a copy."""
    head, *others = frames
    views = [memoryview(frame).cast("B") for frame in others]
    return [head, struct.pack(f"!{len(views)}Q", *map(len, views)), b"".join(views)]


def parted(frames: Sequence[Buffer]) -> list[Buffer]:
    """The frames that `joined` was given; views, but for the head.

    Raises:
        WireFormatError: these are not what it gave.
    """
    if len(frames) != 3:
        raise WireFormatError(f"joined frames came as {len(frames)}, and not as three")
    head, packed, whole = frames
    count, rest = divmod(len(packed), _SIZE_BYTES)
    sizes = () if rest else struct.unpack(f"!{count}Q", packed)
    if rest or sum(sizes) != len(whole):
        raise WireFormatError("joined frames came with other sizes than they have")
    view = memoryview(whole)
    return [head, *(view[begin:end] for begin, end in pairwise(accumulate(sizes, initial=0)))]
