"""Where items go: from a segment's outputs, by its streams, to those who take from them."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from minipipe.codec import Decoder
from minipipe.dead_letters import keep
from minipipe.graph.joins import Fork


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


class Consumer(Protocol):
    """What a connection leads to: a segment that takes items while it `takes`."""

    takes: bool

    def take(self, inlet: int, item: Any, ident: Ident) -> Iterable[Delivery]:
        """Works an item off; gives, one by one, what that puts out."""


class Connection(NamedTuple):
    """From an outlet to one segment that takes from its stream."""

    stage: Consumer | None  # None: the caller's loop
    inlet: int
    loop: int | None = None  # the number of the loop that it closes

    @property
    def is_open(self) -> bool:
        """Whether items are taken at its other end."""
        return self.stage is None or self.stage.takes


class Delivery(NamedTuple):
    """An item on its way."""

    connection: Connection
    item: Any
    ident: Ident


_IMMUTABLE = frozenset((type(None), bool, int, float, complex, str, bytes))


def _copy(item: Any) -> Any:
    """The item as the next segment gets it: its own, as between processes.

    What either of the two does to it afterwards, the other must not see: a Source may fill one and
    the same array again, a Shuffle keep it, a Transform write to what it got.  Nobody knows who
    keeps what, so there is no way without a copy but for what cannot be changed.
    """
    if type(item) in _IMMUTABLE:
        return item
    if type(item) is np.ndarray and not item.dtype.hasobject:
        return item.copy(order="K")
    try:
        return copy.deepcopy(item)
    except Exception:  # a lock in it, say; or a class that copies itself in a way that fails
        return _sent(item)


def _sent(item: Any) -> Any:
    """The item as it arrives in another process, an `Unreadable` if it cannot be made there.

    Raises:
        ItemTypeError: it cannot be sent.
    """
    kept = keep(item)
    decoder = Decoder(allow_pickle=True)
    for token, blob in kept.definitions:
        decoder.define(token, blob)
    return decoder.decode(kept.body, kept.frames, each=True)[0]


class RoundRobin:
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
        connections: Sequence[Connection],
        turns: RoundRobin | None,
        *,
        step: tuple[Fork, int] | None,
    ) -> None:
        self.connections = tuple(connections)
        self._fork: Fork = ("broadcast", stream)
        self._turns = turns
        self._step = step

    @property
    def is_open(self) -> bool:
        """Whether anybody takes what is put here."""
        return any(connection.is_open for connection in self.connections)

    def put(self, item: Any, ident: Ident) -> list[Delivery]:
        """Where the item goes; `ident` is that of all outputs of its segment together."""
        if self._step is not None:
            ident = ident.at(*self._step)
        if self._turns is None:
            return [
                Delivery(connection, _copy(item), ident.at(self._fork, slot))
                for slot, connection in enumerate(self.connections)
                if connection.is_open
            ]
        if len(self.connections) == 1:
            connection = self.connections[0]
            return [Delivery(connection, _copy(item), ident)] if connection.is_open else []
        for _ in self.connections:
            connection = self.connections[self._turns.next]
            self._turns.next = (self._turns.next + 1) % len(self.connections)
            if connection.is_open:
                return [Delivery(connection, _copy(item), ident)]
        return []
