"""The parcel under way of an outlet: items that wait for others to share their message."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from minipipe.codec import ATOMS
from minipipe.protocol.delivery.intervals import Interval, runs_of
from minipipe.stream.arrived import Key
from minipipe.stream.shipment import Keys

# An array in a slot is only referred to: 64 of 64 KiB in a parcel instead of 4 are 15 % faster.
SLOT_SHARE: Final = 1 / 16
# Immutable, and of a size that need not be looked at.
FAST: Final = frozenset((int, float, bool))


class Pending:
    """Tokens that wait to be sent; of each, what of its identity is not that of all.

    Attributes:
        tokens: atoms, and snapshots of what is none.  To be looked at only.
        size_bytes: of these, but for what is in `FAST`.
        load_bytes: the same, with slots for a fraction: how large the parcel is.
        tombstones: how many of them stand for something dropped.
        began_s: when the oldest was made; 0: there is none.

    Args:
        joins: those that want to know by what a token will meet its other parts there.
        numbered: whether tokens have numbers, those of the items they were made of (of a stateless
            segment; else they get numbers of their own when they are sent).
    """

    def __init__(self, joins: Iterable[int], *, numbered: bool) -> None:
        # All of one length.
        self.tokens: list[object] = []
        self._numbers: list[int] = []
        self._keys: dict[int, list[Key]] = {join: [] for join in joins}
        self._numbered = numbered
        self.size_bytes = 0
        self.load_bytes = 0.0
        self.tombstones = 0
        self.began_s = 0.0
        # Adds what is in `FAST`, if no keys go beside it; where tokens are numbered, its number
        # right after it: a call of a method of our own for each would cost a Source, or a quick
        # functor, a twentieth of its time.  So the lists stay the same ones.
        self.append_bare = self.tokens.append
        self.append_number = self._numbers.append

    def append(self, token: object, size: int, number: int = -1, keys: Sequence[Key] = ()) -> None:
        """Adds an atom, or a snapshot of this size; there must be room.

        Args:
            number: that of the item it was made of, if they are numbered.
            keys: for each of the joins, what it had as identity at its fork.
        """
        kind = type(token)
        if kind not in ATOMS:
            self.size_bytes += size
            # (0: a small array, which is its own token.)
            self.load_bytes += size - (1 - SLOT_SHARE) * getattr(token, "slot_bytes", 0)
        elif kind is str or kind is bytes:
            size = len(token)  # type: ignore[arg-type]
            self.size_bytes += size
            self.load_bytes += size
        elif token is None:
            self.tombstones += 1
        self.tokens.append(token)
        if self._numbered:
            self._numbers.append(number)
        if self._keys:
            for known, key in zip(self._keys.values(), keys, strict=True):
                known.append(key)

    def append_copied(self, array: object, size: int, number: int) -> None:
        """Adds a small array, which is its own token; there must be room, and no keys beside it."""
        self.size_bytes += size
        self.load_bytes += size
        self.tokens.append(array)
        if self._numbered:
            self._numbers.append(number)

    def numbers(self, count: int) -> list[Interval]:
        """The numbers of the oldest `count`, if they are numbered."""
        if count == 1 and self._numbered:
            return [(self._numbers[0], self._numbers[0] + 1)]
        return runs_of(self._numbers[:count])

    def keys(self, count: int) -> Keys:
        """The keys of the oldest `count`, by join."""
        if not self._keys:
            return ()
        return tuple((join, known[:count]) for join, known in self._keys.items())

    def item_numbers(self, count: int) -> list[int]:
        """The same, one by one."""
        return self._numbers[:count]

    def drop_newest(self, count: int) -> list[object]:
        """The newest so many will not be sent; these are they."""
        gone = self.tokens[len(self.tokens) - count :]
        del self.tokens[len(self.tokens) - count :]
        if not self.tokens:
            self.size_bytes, self.load_bytes, self.began_s = 0, 0.0, 0.0
        return gone

    def drop_oldest(self, count: int, size_bytes: int) -> int:
        """The oldest `count` are sent, or are for nobody any more; they had this size.

        Returns:
            How many of them are tombstones.
        """
        gone = sum(token is None for token in self.tokens[:count]) if self.tombstones else 0
        left = len(self.tokens) - count
        del self.tokens[:count], self._numbers[:count]
        for known in self._keys.values():
            del known[:count]
        self.tombstones -= gone
        self.size_bytes = max(0, self.size_bytes - size_bytes) if left else 0
        self.load_bytes = float(self.size_bytes)
        if not left:
            self.began_s = 0.0
        return gone


def are_plain(tokens: list[Any]) -> bool:
    """Whether msgpack has all of them: floats, or integers of at most 64 bits."""
    if len(tokens) == 1:  # somebody waits for this one
        kind = type(tokens[0])
        return kind is float or (kind is int and -(2**63) <= tokens[0] < 2**63)
    kinds = set(map(type, tokens))
    if kinds == {int}:
        return min(tokens) >= -(2**63) and max(tokens) < 2**63  # type: ignore[no-any-return]
    return kinds == {float}
