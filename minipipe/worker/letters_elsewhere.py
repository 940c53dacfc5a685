"""Dead letters, and crash suspects, of a worker on another host than their file.

What they hold travels in the native form. In a run that takes no pickles from other hosts there
are none in it, either: `dead_letters.reading` opens such letters without, whatever it is told.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from minipipe.dead_letters.file import Kept, keep
from minipipe.errors import ItemTypeError, WireFormatError
from minipipe.process.describe import describe
from minipipe.stream import native_form
from minipipe.transport import Trust

MAX_BYTES: Final = 256 * 1024 * 1024  # of an item: the supervisor has all of it in memory at once
_NOTHING: Final = Kept(b"", [], [])


class Content(NamedTuple):
    """What a worker says of an item, beside its identity.

    Attributes:
        error, text, trace: as in a DeadLetterRecord.
        left_out: why the item is not here; nothing: it is.
        kept: the item.
    """

    error: str
    text: str
    trace: str
    left_out: str
    kept: Kept


def kept_for(item: Any, trust: Trust) -> tuple[str, Kept]:
    """An item as it is now, or why it cannot be sent.

    Args:
        trust: what the supervisor's inbox accepts: as that of a worker, as they are of one kind.
    """
    try:
        kept = keep(item, allow_pickle=trust.code)
    except ItemTypeError as error:
        return f"{error}; in words it is {describe(item)}", _NOTHING
    size_bytes = len(kept.body) + sum(map(len, kept.frames))
    if size_bytes <= MAX_BYTES:
        return "", kept
    why = (
        f"it takes {size_bytes >> 20} MiB, and another host keeps none above {MAX_BYTES >> 20} MiB"
    )
    return f"{why}; in words it is {describe(item)}", _NOTHING


def write(content: Content) -> bytes:
    """The same as bytes."""
    *about, kept = content
    return native_form.write((*about, kept.body, kept.frames, kept.definitions))


def read(data: bytes, trust: Trust) -> Content:
    """What `write` wrote.

    Raises:
        WireFormatError: it is something else, or holds what is not accepted.
    """
    said = native_form.read(data)
    if type(said) is not tuple or tuple(map(type, said)) != (str, str, str, str, bytes, list, list):
        raise WireFormatError("it is no letter")
    error, text, trace, left_out, body, frames, definitions = said
    if not all(type(frame) is bytes for frame in frames):
        raise WireFormatError("a frame of a letter is no bytes")
    if definitions and not trust.code:
        raise WireFormatError("a letter holds the definition of a class, and none is accepted")
    if not all(type(d) is tuple and tuple(map(type, d)) == (bytes, bytes) for d in definitions):
        raise WireFormatError("a definition in a letter is none")
    return Content(error, text, trace, left_out, Kept(body, frames, definitions))
