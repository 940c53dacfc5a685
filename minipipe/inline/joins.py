"""What a segment with several upstreams holds until it has an item of each."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any, Protocol

from minipipe.errors import TwicePairedError, UnpairedError
from minipipe.graph.joins import Fork
from minipipe.inline.connections import Ident
from minipipe.protocol.delivery.pairing import Pairing

Whole = tuple[tuple[Any, ...], Ident]


class Join(Protocol):
    """Parts in, wholes out."""

    def add(self, inlet: int, item: Any, ident: Ident) -> Whole | None:
        """The whole that this part completes, if it does."""

    def ended(self, inlet: int) -> None:
        """Nothing more comes from this upstream."""

    def settle(self) -> int:
        """Nothing is under way any more: how many parts were let go, as they have no partner."""


class ZipJoin:
    """The first of each upstream, then the second of each, and so on.

    Raises:
        UnpairedError: `strict`, and something is left over when another upstream has ended.
    """

    def __init__(
        self, where: str, streams: Sequence[str], from_loop: Sequence[bool], *, strict: bool
    ) -> None:
        self.surplus = [0] * len(streams)  # not strict: what was left over, by upstream
        self._where = where
        self._streams = streams
        self._from_loop = from_loop  # something always comes round when a loop ends: no surplus
        self.strict = strict
        self._queues: list[deque[tuple[Any, Ident]]] = [deque() for _ in streams]
        self._ended = [False] * len(streams)

    def add(self, inlet: int, item: Any, ident: Ident) -> Whole | None:
        self._queues[inlet].append((item, ident))
        if not all(self._queues):
            self._look_for_surplus()
            return None
        parts = [queue.popleft() for queue in self._queues]
        return tuple(part[0] for part in parts), parts[0][1]

    def ended(self, inlet: int) -> None:
        self._ended[inlet] = True
        self._look_for_surplus()

    def settle(self) -> int:
        return 0

    @property
    def unpaired(self) -> UnpairedError:
        """What to say of the surplus."""
        return self._error(self.surplus)

    def _look_for_surplus(self) -> None:
        lengths = [len(queue) for queue in self._queues]
        if not any(e and not n for e, n in zip(self._ended, lengths, strict=True)):
            return
        lengths = [0 if loop else n for n, loop in zip(lengths, self._from_loop, strict=True)]
        if not any(lengths):
            return
        if self.strict:
            raise self._error(lengths)
        self.surplus = [a + b for a, b in zip(self.surplus, lengths, strict=True)]
        for queue in self._queues:
            queue.clear()

    def _error(self, counts: Sequence[int]) -> UnpairedError:
        left = tuple((s, n) for s, n in zip(self._streams, counts, strict=True) if n)
        return UnpairedError(self._where, left)


class KeyedJoin:
    """The parts of one item, which went different ways."""

    def __init__(self, where: str, streams: Sequence[str], fork: Fork) -> None:
        self._where = where
        self._streams = streams
        self._fork = fork
        self._prefixes: dict[Any, int] = {}
        self._done: set[tuple[int, int, int]] = set()  # put together since all was last settled
        self._pairing = Pairing(len(streams))
        self._next: dict[int, int] = {}  # by origin: above all numbers that came

    def add(self, inlet: int, item: Any, ident: Ident) -> Whole | None:
        origin, number, path = ident.before(self._fork)
        prefix = self._prefixes.setdefault(path, len(self._prefixes))
        self._next[origin] = max(self._next.get(origin, 0), number + 1)
        try:
            if (origin, number, prefix) in self._done:
                raise ValueError("a part of what is whole already")
            whole = self._pairing.add(inlet, origin, number, (prefix,), item)
        except ValueError as error:
            raise TwicePairedError(self._where, self._streams[inlet]) from error
        if whole is None:
            return None
        self._done.add((origin, number, prefix))
        return whole, ident

    def ended(self, inlet: int) -> None:
        pass

    def settle(self) -> int:
        self._done.clear()
        if not self._pairing.held:
            return 0
        return sum(self._pairing.mark(origin, number) for origin, number in self._next.items())
