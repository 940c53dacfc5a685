"""What the other end of a connection still has of what it was sent: both ends keep one book.

Definitions of classes are sent once, and kept for as long as they are in use. Both ends go through
the same messages in the same order, so each knows what the other one has without being told, if
both forget by the same rule. Nothing but the number of definitions bounds the book, and it holds
the most recent ones: a program may well make a class for each item (`DataFrame.itertuples()`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final, Generic, TypeVar

Value = TypeVar("Value")

LIMIT: Final = 128


class Recent(Generic[Value]):
    """The definitions that were used last.

    Args:
        limit: How many are kept, once a message has been dealt with. The same at both ends.
    """

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._kept: dict[bytes, Value] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def lacking(self, tokens: Collection[bytes]) -> set[bytes]:
        """Returns those of the tokens that are not kept: their definitions must be sent."""
        return {token for token in tokens if token not in self._kept}

    def get(self, token: bytes) -> Value | None:
        """Returns what is kept under a token."""
        return self._kept.get(token)

    def used(self, named: Mapping[bytes, Value]) -> None:
        """Notes what a message named, in its order; what was not used for longest goes.

        A message may name more than the limit: all of that it needs is its own to keep.
        """
        kept = self._kept
        for token, value in named.items():
            kept.pop(token, None)
            kept[token] = value
        for token in list(kept)[: max(0, len(kept) - self._limit)]:
            del kept[token]
