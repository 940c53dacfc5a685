"""An item that was taken up, and whose it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Generic, Protocol, TypeAlias, TypeVar

from minipipe.protocol.delivery.paths import Path, outputs
from minipipe.protocol.wiring import Carried

Key: TypeAlias = tuple[int, ...]  # origin, number, outputs: what it had as identity at a fork


class Provenance(Protocol):
    """Who has numbered an item, and by which way it has come; of a worker: its parcel."""

    @property
    def origin(self) -> int: ...

    @property
    def path(self) -> Path: ...


P_co = TypeVar("P_co", bound=Provenance, covariant=True)
NO_KEYS: Final[Mapping[int, Key]] = {}


class WorkItem(Generic[P_co]):
    """An item for the functor: of each upstream one; and whose identity it has.

    Attributes:
        parcel: of the first of them.
        parts: what it was joined of.
        is_tombstone: whether a part of it was dropped on the way.
    """

    __slots__ = ("arguments", "is_tombstone", "keys", "number", "parcel", "parts")

    def __init__(
        self,
        arguments: tuple[Any, ...],
        number: int,
        parcel: P_co,
        keys: Mapping[int, Key] = NO_KEYS,
        parts: Sequence[WorkItem[P_co]] = (),
    ) -> None:
        self.arguments = arguments
        self.number = number
        self.parcel = parcel
        self.keys = keys
        self.parts = parts
        # (By identity: an array would be compared element by element.)
        self.is_tombstone = any(argument is None for argument in arguments)

    @property
    def shown(self) -> Any:
        """The item, for an error."""
        return self.arguments[0] if len(self.arguments) == 1 else self.arguments

    def key(self, carried: Carried) -> Key | None:
        """What it will meet its other parts by, at this join; None: they have not parted yet."""
        known = self.keys.get(carried.join)
        if known is not None or carried.depth is None:
            return known
        parcel = self.parcel
        return (parcel.origin, self.number, *outputs(parcel.path)[: carried.depth])


def together(parts: Sequence[WorkItem[P_co]]) -> WorkItem[P_co]:
    """Parts as one item, whose identity is that of the first."""
    first = parts[0]
    keys = {join: key for part in parts for join, key in part.keys.items()}
    arguments = tuple(argument for part in parts for argument in part.arguments)
    return WorkItem(arguments, first.number, first.parcel, keys or NO_KEYS, parts)
