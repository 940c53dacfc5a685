"""The joins, inline: what comes is held until there is an item of each upstream."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from minipipe.inline.connections import Identity
from minipipe.operators.joins import ByKey, InStep
from minipipe.operators.work_item import WorkItem
from minipipe.protocol.wiring import Carried

Item = WorkItem[Identity]


class Waiting:
    """What waits on one of several streams."""

    def __init__(self, stream: str, from_loop: bool) -> None:
        self.stream = stream
        self.from_loop = from_loop
        self.closed = False
        self.discarded = 0
        self._discards = False
        self._items: deque[Item] = deque()

    @property
    def ready(self) -> bool:
        return bool(self._items)

    @property
    def ended(self) -> bool:
        return self.closed and not self._items

    @property
    def waiting(self) -> int:
        return len(self._items)

    def put(self, item: Item) -> None:
        self._items.append(item)
        if self._discards:
            self.discard()

    def pop(self) -> Item:
        return self._items.popleft()

    def discard(self) -> None:
        self._discards = True
        self.discarded += len(self._items)
        self._items.clear()


class ZipJoin:
    """One item of each of several streams that have nothing to do with each other."""

    def __init__(self, where: str, waiting: Sequence[Waiting], *, strict: bool) -> None:
        self.strict = strict
        self._waiting = waiting
        self._in_step = InStep(where, waiting)

    @property
    def surplus(self) -> tuple[int, str]:
        """How much was left over and dropped, and what to say of it."""
        return self._in_step.surplus

    def add(self, inlet: int, item: Item) -> Item | None:
        """The whole that this part completes, if it does.

        Raises:
            UnpairedError: `strict`, and something is left over when another stream has ended.
        """
        if not item.is_tombstone:  # here nobody waits for what was dropped before
            self._waiting[inlet].put(item)
        if self._in_step.ready:
            return self._in_step.take()
        self._look_for_surplus()
        return None

    def ended(self, inlet: int) -> None:
        """Nothing more comes from this upstream; raises as `add` does."""
        self._waiting[inlet].closed = True
        self._look_for_surplus()

    def _look_for_surplus(self) -> None:
        if self._in_step.ready or not self._in_step.decided:
            return
        if not self.strict:
            self._in_step.discard()
        elif (unpaired := self._in_step.unpaired) is not None:
            raise unpaired


class KeyedJoin:
    """The parts of one item, which went different ways."""

    def __init__(self, where: str, streams: Sequence[str], pairs: Carried) -> None:
        self._by_key: ByKey[Identity] = ByKey(where, streams, pairs)
        self._open = set(range(len(streams)))

    def add(self, inlet: int, item: Item) -> Item | None:
        """The whole that this part completes, if it does.

        Raises:
            TwicePairedError: this part of the item has come before.
        """
        return self._by_key.add(inlet, item)

    def ended(self, inlet: int) -> None:
        """Nothing more comes from this upstream; raises as `add` does."""
        if inlet in self._open:
            self._open.remove(inlet)
            if not self._open:
                self._by_key.check_end()


Join = ZipJoin | KeyedJoin
