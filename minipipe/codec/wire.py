"""The format: one msgpack body, and the frames that lie beside it.

A body is the array `[FORMAT_VERSION, kind, payload]`:

    kind     payload
    PLAIN    the items themselves, all of them small atoms
    ARRAYS   runs `[dtype, [dimension, ...], count, buffer]`: `count` small arrays, end to end
    NODES    one node per item
    SLOTS    runs `[dtype, [dimension, ...], [stride, ...] or nil, [pid, fd, arena, slot,
             generation], exclusive, [offset, ...]]`: arrays in a slot, one for each offset
             (no strides: C)
    OVER_ARRAYS  `"module:qualname"` of what makes values over arrays, and a body of such
    PICKLES  one pickle per item, between processes of one machine
    ROWS     `[[key, ...] or nil, [maker, ...], [column, ...]]`: samples, dicts or else tuples; of
             each part a column: plain items if its maker is nil, runs as of SLOTS if it is "", else
             the same, and the `"module:qualname"` of what makes values over these arrays

After that, if there are frames, stands how many there are up to the end of each item: one that
cannot be made again need not keep those behind it from being read. Then, if there are pickles of
this kind, what stands in the memo before each of them (`minipipe.codec.preset`): a list for
PICKLES, a list of such lists for NODES.

A node is a leaf (None, bool, int, float, str, bytes) as msgpack has it, or a list that begins with
a tag from the table below. A buffer is bytes, or, when it lies in a frame of its own, the length of
that frame. Frames are used up in the order in which a reader meets their lengths, so they need no
numbers, and the nodes of separately encoded items can simply be joined.

The nodes of the types of libraries are described with them, in `minipipe.codec.types`.

Between processes of one machine, large arrays need not be in the message:

    [SLOT_ARRAY, dtype, [pid, fd, arena, slot, generation], offset, [stride, ...] or nil,
        exclusive, dimension, ...]

Without strides it is C-contiguous. `exclusive` says who else may see the slot: 0 others, 1 only the
sender, 2 nobody.

    [PICKLED, preset, known, [node or buffer, ...], [buffer, ...]]

    [OVER, "module:qualname", node]

The latter is a value over the array of the node (`minipipe.codec.library.ArrayForm`). The former
is a pickle with what lies beside it: which of the presets, and how many of its objects, are in the
memo; the buffers that the pickle refers to, of which a node stands for the value that it makes; the
pickle itself, in parts.

Tagged nodes are numbered within their item in the order in which they are complete, and REF is
the number of one that was met before: an object that occurs twice in an item occurs twice in what
arrives. What gets hashed (keys, elements of sets) is neither numbered nor referred to. Otherwise a
body of a few hundred bytes, nested tuples whose halves are the same, takes for ever to hash.

A class is `"module:qualname"`, or the 16-byte token of its definition.
"""

from __future__ import annotations

from typing import Final

FORMAT_VERSION: Final = 1

OUT_OF_BAND_BYTES: Final = 4096
"""Buffers from here on get a frame of their own."""

MAX_DEPTH: Final = 100
"""Levels of nesting. An item that is deeper is pickled; a body that is deeper is refused."""

MAX_HASHED_NODES: Final = 10_000_000
"""Tagged nodes within keys and sets of one item, where nothing is shared and all is spelled out."""

PLAIN, ARRAYS, NODES, SLOTS, PICKLES, OVER_ARRAYS, ROWS = range(7)

# Tags. The numbers are the format: take the next that is free, also of those that libraries have
# (`minipipe.codec.registry`), or raise FORMAT_VERSION.
(
    REF,
    INT,  # beyond 64 bits: little-endian two's complement
    STR,  # long, or not UTF-8 because of lone surrogates: UTF-8 with surrogatepass
    BYTES,
    LIST,
    TUPLE,
    DICT,
    SET,
    FROZENSET,
    BYTEARRAY,
    COMPLEX,
    DATE,
    TIME,
    DATETIME,
    TIMEDELTA,
    TIMEZONE,
    ZONEINFO,
    DECIMAL,
    UUID_,
    PATH,
    ARRAY,
    SCALAR,
    NUMPY_TEXT,
    DTYPE,
    DATACLASS,
    NAMEDTUPLE,
    ENUM,
    FLAG,
) = range(28)
PICKLE, SLOT_ARRAY = 31, 32
PICKLED, OVER = 34, 35

# Who else may see an array that lies in a slot.
OTHERS_SEE: Final = 0
SENDER_SEES: Final = 1
NOBODY_ELSE_SEES: Final = 2

ATOMS: Final[frozenset[type]] = frozenset({type(None), bool, int, float, complex, str, bytes})
"""Exact types that are immutable and hold nothing else, so they are their own snapshot."""

LEAVES: Final = ATOMS - {complex}
"""What msgpack carries as it is."""


class NotNativeError(Exception):
    """Something has no form of its own here and would have to be pickled. Never leaves the codec.

    Attributes:
        why: The reason, as the end of a sentence.
        of_item: The whole item is the reason (a cycle, its depth) and not one part of it.
    """

    def __init__(self, why: str, *, of_item: bool = False) -> None:
        """The reason, which ends up in an ItemTypeError or is forgotten."""
        super().__init__(why)
        self.why = why
        self.of_item = of_item


class RefusedError(Exception):
    """Something must not travel, in a form of its own or pickled. Never leaves the codec.

    (Pickle would take it, and something else would arrive.)
    """


class UnpicklingError(Exception):
    """A pickle could not be loaded; the cause says why. Never leaves the codec.

    Attributes:
        what: What was looked up last, likely the class that was being made.
    """

    def __init__(self, what: str) -> None:
        """What it was about."""
        super().__init__(what)
        self.what = what
