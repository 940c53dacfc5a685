"""Where items go: from a segment's outputs, by its streams, to those who take from them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from minipipe.inline.stage import Stage


class Ident(NamedTuple):
    """Which item it is: joins pair by it, errors name it.

    Segments with state number what they put out; what is made of it by functions keeps the
    number, and its path grows by a step wherever there are several ways to go.
    """

    origin: int  # the outlet that numbered it
    number: int
    path: tuple[int, ...] = ()

    def at(self, step: int) -> Ident:
        """The identity of what went this way at a fork."""
        return Ident(self.origin, self.number, (*self.path, step))


class Way(NamedTuple):
    """From an outlet to one segment that takes from its stream."""

    stage: Stage | None  # None: the caller's loop
    inlet: int
    loop: int | None = None  # the number of the loop that it closes

    @property
    def is_open(self) -> bool:
        """Whether items are taken at its other end."""
        return self.stage is None or self.stage.takes


class Arrival(NamedTuple):
    """An item on its way."""

    way: Way
    item: Any
    ident: Ident


class Turns:
    """Which of the segments that share a stream is next."""

    def __init__(self) -> None:
        self.next = 0


class Outlet:
    """One segment's end of one stream that it puts to.

    Args:
        origin: the number of this outlet, unique in the run.
        ways: in order of the stream's consumers.
        turns: the stream's; None for a broadcast, where all get everything.
        relays: items keep the identity of what they were made of.
        fork: the step by which their path grows here; None: it does not.
    """

    def __init__(
        self,
        origin: int,
        ways: Sequence[Way],
        turns: Turns | None,
        *,
        relays: bool,
        fork: int | None,
    ) -> None:
        self.ways = tuple(ways)
        self._origin = origin
        self._turns = turns
        self._relays = relays
        self._fork = fork
        self._number = 0

    @property
    def is_open(self) -> bool:
        """Whether anybody takes what is put here."""
        return any(way.is_open for way in self.ways)

    def put(self, item: Any, ident: Ident | None) -> list[Arrival]:
        """Where the item goes; `ident` is that of what it was made of."""
        if not self._relays:
            ident = Ident(self._origin, self._number)
            self._number += 1
        assert ident is not None
        if self._fork is not None:
            ident = ident.at(self._fork)
        if self._turns is None:
            return [
                Arrival(way, item, ident.at(slot))
                for slot, way in enumerate(self.ways)
                if way.is_open
            ]
        if len(self.ways) == 1:
            way = self.ways[0]
            return [Arrival(way, item, ident)] if way.is_open else []
        for _ in self.ways:
            way = self.ways[self._turns.next]
            self._turns.next = (self._turns.next + 1) % len(self.ways)
            if way.is_open:
                return [Arrival(way, item, ident)]
        return []
