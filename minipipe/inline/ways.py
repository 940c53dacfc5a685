"""Where items go: from a segment's outputs, by its streams, to those who take from them."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from minipipe.graph.partings import Fork

if TYPE_CHECKING:
    from minipipe.inline.stage import Stage


class Ident(NamedTuple):
    """Which item it is: joins pair by it, errors name it.

    Sources, Regulators and their like number what they put out; what is made of it, one item of
    one, keeps the number, and its path grows by a step wherever there are several ways to go.
    """

    origin: int  # the segment that numbered it
    number: int
    path: tuple[tuple[Fork, int], ...] = ()

    def at(self, fork: Fork, slot: int) -> Ident:
        """The identity of what went this way at a fork."""
        return Ident(self.origin, self.number, (*self.path, (fork, slot)))

    def before(self, fork: Fork) -> Ident:
        """The identity of what came to this fork."""
        steps = itertools.takewhile(lambda step: step[0] != fork, self.path)
        return Ident(self.origin, self.number, tuple(steps))


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


_IMMUTABLE = frozenset((type(None), bool, int, float, complex, str, bytes))


def _copy(item: Any) -> Any:
    if type(item) in _IMMUTABLE:
        return item
    try:
        return copy.deepcopy(item)
    except Exception:  # a lock in it, say; between processes it would not travel at all
        return item


class Turns:
    """Which of the segments that share a stream is next."""

    def __init__(self) -> None:
        self.next = 0


class Outlet:
    """One segment's end of one stream that it puts to.

    Args:
        stream: its number.
        ways: in order of the stream's consumers.
        turns: the stream's; None for a broadcast, where all get everything.
        step: by which the path grows here; None: the segment has no other outlet.
    """

    def __init__(
        self,
        stream: int,
        ways: Sequence[Way],
        turns: Turns | None,
        *,
        step: tuple[Fork, int] | None,
    ) -> None:
        self.ways = tuple(ways)
        self._fork: Fork = ("broadcast", stream)
        self._turns = turns
        self._step = step

    @property
    def is_open(self) -> bool:
        """Whether anybody takes what is put here."""
        return any(way.is_open for way in self.ways)

    def put(self, item: Any, ident: Ident) -> list[Arrival]:
        """Where the item goes; `ident` is that of all outputs of its segment together."""
        if self._step is not None:
            ident = ident.at(*self._step)
        if self._turns is None:
            # To each its own, as between processes: what one of them does to it, no other sees.
            return [
                Arrival(way, _copy(item) if slot else item, ident.at(self._fork, slot))
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
