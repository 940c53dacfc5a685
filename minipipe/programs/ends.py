"""When a stream of messages is over.  No socket and no clock: a Source asks, with what it knows."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from minipipe.errors import OptionError


class Missing(Enum):
    """In place of an item (which may be None)."""

    NOTHING = auto()


NOTHING = Missing.NOTHING
_PLAIN = (type(None), bool, int, float, str, bytes)


@dataclass(frozen=True)
class Ends:
    """When the stream of a ZmqSource is over: whatever comes first.

    Args:
        item: this one ends it, and is not passed on: None, a number, a text, bytes, or a list or
            dict of those.
        count: so many messages have come, those that were refused included.
        idle_s: for so long the Source has waited, and no message came (also at the start).

    Raises:
        OptionError: none of them, or one with an impossible value.
    """

    item: Any = NOTHING
    count: int | None = None
    idle_s: float | None = None

    def __post_init__(self) -> None:
        if self.item is NOTHING and self.count is None and self.idle_s is None:
            raise OptionError("Ends needs one of item=, count=, idle_s=")
        if self.item is not NOTHING and not _is_plain(self.item):
            raise OptionError(
                "item of Ends is None, a number, a text, bytes, or a list or dict of those "
                f"(what a message can hold, and be compared with), got a {type(self.item).__name__}"
            )
        if self.count is not None and not (type(self.count) is int and self.count >= 1):
            raise OptionError(f"count of Ends is a whole number of at least 1, got {self.count!r}")
        if self.idle_s is not None and not _is_time(self.idle_s):
            raise OptionError(
                f"idle_s of Ends is a positive number of seconds, got {self.idle_s!r}"
            )

    def by_item(self, item: Any) -> bool:
        """Whether this item ends the stream."""
        return self.item is not NOTHING and _same(item, self.item)


def check_ends(ends: object, where: str) -> Ends | None:
    """`ends`, if it is None or an Ends.

    Raises:
        OptionError: it is neither: a number alone could be items or seconds.
    """
    if ends is None or isinstance(ends, Ends):
        return ends
    raise OptionError(
        f"ends of {where} is mp.Ends(item=...), mp.Ends(count=...), mp.Ends(idle_s=...), or "
        f"None: never, got {ends!r}"
    )


def _is_time(value: object) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and 0 < value < math.inf  # type: ignore[operator]


def _is_plain(value: Any, depth: int = 0) -> bool:
    if depth > 20:
        return False
    if type(value) is list:
        return all(_is_plain(part, depth + 1) for part in value)
    if type(value) is dict:
        return all(_is_plain(key, 20) and _is_plain(part, depth + 1) for key, part in value.items())
    return type(value) in _PLAIN


def _same(item: Any, end: Any) -> bool:
    """Whether two are equal, also where arrays are in one of them."""
    if type(item) is not type(end):
        return False
    if type(end) is list:
        return len(item) == len(end) and all(map(_same, item, end))
    if type(end) is dict:
        return item.keys() == end.keys() and all(_same(item[key], end[key]) for key in end)
    return bool(item == end)
