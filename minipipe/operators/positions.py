"""Going past items of a Source by their position, without asking for them."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from typing import Any

# What Python itself makes to go through what has an index: `__setstate__` is that index.
_BUILT_IN: tuple[Any, ...] = ([], (), range(0), range(2**70), "", b"", bytearray())
_BY_INDEX = type("_", (), {"__getitem__": None})()  # as NumPy's arrays
_INDEXED = tuple(type(iter(sequence)) for sequence in (*_BUILT_IN, _BY_INDEX))


def go_past(iterator: Iterator[Any], count: int) -> int | None:
    """Goes past so many items from where it is; how many that were: fewer, if it has fewer.

    None if it has no positions: then they have to be asked for.  An iterator of a user's has them
    if it has a method `go_past(count)`, which does the same.

    Raises:
        TypeError: that method has not said how many they were.
    """
    own = getattr(iterator, "go_past", None)
    if callable(own):
        said: Any = own(count)
        return _checked(said, count, iterator)
    if type(iterator) not in _INDEXED:
        return None
    left = operator.length_hint(iterator, -1)
    if left < 0:
        return None
    passed = min(count, left)
    iterator.__setstate__(passed)  # type: ignore[attr-defined]
    # It counts from its first item (but ranges of Python 3.12 and later), and its maker may have
    # taken some of them: a header, say.
    taken = operator.length_hint(iterator) - (left - passed)
    if taken:
        iterator.__setstate__(taken + passed)  # type: ignore[attr-defined]
    return passed


def _checked(said: Any, count: int, iterator: Iterator[Any]) -> int:
    # Without its `return`, what it went past would be gone past once more: lost, and nobody told.
    passed = operator.index(said) if hasattr(type(said), "__index__") else -1
    if isinstance(said, bool) or not 0 <= passed <= count:
        raise TypeError(
            f"go_past({count}) of a {type(iterator).__name__} returns how many items it went past, "
            f"from 0 to {count}, it returned {said!r:.80}"
        )
    return passed
