"""Whether values that came in a message are of the types that they should be.

Of which types, `stream.forms` says.  Asked of each record of each message, so this is compiled: as
Python it was a tenth of what a Sink does for an item.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

Contents = Callable[[Any], bool] | None


class Alike:
    """Whether all of a tuple are of one of these types, and their contents as they should be."""

    def __init__(self, types: tuple[type, ...], contents: Contents) -> None:
        self._first, self._types, self._contents = types[0], types, contents

    def __call__(self, values: Any) -> bool:
        first, contents = self._first, self._contents
        for value in values:
            kind = type(value)
            if kind is not first and kind not in self._types:
                return False
            if contents is not None and not contents(value):
                return False
        return True


class Fields:
    """Whether a tuple has so many values, each of one of the types of its place.

    Args:
        types: of each place.
        contents: of each place: whether what is in a value there is as it should be, if it is not
            empty; None: its type is enough.
    """

    def __init__(self, types: Sequence[tuple[type, ...]], contents: Sequence[Contents]) -> None:
        # By places whose type is looked at, and those whose contents are.
        self._count = len(types)
        self._typed = [i for i, kinds in enumerate(types) if object not in kinds]
        self._first = [kinds[0] for kinds in types]
        self._types = list(types)
        self._deep = [i for i, check in enumerate(contents) if check is not None]
        self._contents = list(contents)

    def __call__(self, values: Any) -> bool:
        if type(values) is not tuple or len(values) != self._count:
            return False
        for i in self._typed:
            kind = type(values[i])
            if kind is not self._first[i] and kind not in self._types[i]:
                return False
        for i in self._deep:
            value, contents = values[i], self._contents[i]
            if value and contents is not None and not contents(value):
                return False
        return True
