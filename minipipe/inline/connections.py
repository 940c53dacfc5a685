"""Where items go: from a segment's outputs, by its streams, to those who take from them."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from minipipe.codec import Decoder
from minipipe.dead_letters.file import keep
from minipipe.operators.work_item import Key, WorkItem
from minipipe.protocol.delivery.numbering import first_of
from minipipe.protocol.delivery.paths import ROOT, Path
from minipipe.protocol.wiring import OutletSpec


class Identity(NamedTuple):
    """Who has numbered an item, and by which way it has come."""

    origin: int  # the segment that numbered it
    path: Path = ROOT


class Consumer(Protocol):
    """What a connection leads to: a segment that takes items while it `takes`."""

    takes: bool

    def take(self, inlet: int, item: WorkItem[Identity]) -> Iterable[Delivery]:
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
    item: WorkItem[Identity]


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
        connections: in order of the stream's consumers.
        turns: the stream's.

    Attributes:
        next_number: of what the segment numbers here.
    """

    def __init__(
        self, spec: OutletSpec, connections: Sequence[Connection], turns: RoundRobin
    ) -> None:
        self.spec = spec
        self.next_number = 0
        self.connections = tuple(connections)
        self._turns = turns

    def begin_pass(self, pass_: int) -> None:
        """What is numbered from now on is of this pass."""
        self.next_number = first_of(pass_)

    def end(self) -> tuple[Iterable[Delivery], int]:
        """A sender puts nothing more: what it still has to give, and how many are left out."""
        return (), 0

    @property
    def is_open(self) -> bool:
        """Whether anybody takes what is put here."""
        return any(connection.is_open for connection in self.connections)

    def copies(self, element: Any) -> list[tuple[int, Any]]:
        """A copy of it for each of those to whom it goes: to all of a broadcast, else to one.

        Raises:
            ItemTypeError: it could not be sent to another process.
        """
        if self.spec.broadcast:
            found = [i for i, one in enumerate(self.connections) if one.is_open]
        else:
            found = self._chosen()
        return [(i, _copy(element)) for i in found]

    def _chosen(self) -> list[int]:
        for _ in self.connections:
            i = self._turns.next
            self._turns.next = (i + 1) % len(self.connections)
            if self.connections[i].is_open:
                return [i]
        return []

    def put(
        self,
        copies: Sequence[tuple[int, Any]],
        number: int,
        identity: Identity,
        keys: Mapping[int, Key],
    ) -> Iterable[Delivery]:
        """The deliveries of these copies."""
        slots = tuple(range(len(self.connections)))
        for i, copied in copies:
            by = identity
            if self.spec.broadcast:
                by = Identity(identity.origin, (*identity.path, (i, slots)))
            yield Delivery(self.connections[i], WorkItem((copied,), number, by, keys))
