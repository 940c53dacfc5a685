"""An item that was taken up, and whose it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from minipipe.protocol.delivery.paths import outputs
from minipipe.protocol.wiring import Carried
from minipipe.stream.arrived import Arrived, Key

NO_KEYS: Mapping[int, Key] = {}


@dataclass(slots=True)
class WorkItem:
    """An item for the functor: of each upstream one; and whose identity it has."""

    arguments: tuple[Any, ...]
    number: int
    parcel: Arrived  # of the first of them
    keys: Mapping[int, Key] = field(default_factory=lambda: NO_KEYS)
    parts: Sequence[WorkItem] = ()  # what it was joined of

    @property
    def is_tombstone(self) -> bool:
        """Whether a part of it was dropped on the way."""
        return any(argument is None for argument in self.arguments)

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
