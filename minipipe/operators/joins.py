"""What a segment with several upstreams puts together: one item of each stream."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, Protocol, cast

from minipipe.errors import TwicePairedError, UnpairedError
from minipipe.operators.work_item import P_co, WorkItem, together
from minipipe.protocol.delivery.pairing import Pairing
from minipipe.protocol.wiring import Carried

_MEND = " (strict=False makes this a warning)"


class Part(Protocol[P_co]):
    """One of the streams that are joined in step."""

    @property
    def stream(self) -> str:
        """Its name."""

    @property
    def from_loop(self) -> bool:
        """Whether the loop feeds it that the join is in."""

    @property
    def ready(self) -> bool:
        """Whether an item is there."""

    @property
    def ended(self) -> bool:
        """Whether nothing is there, and nothing comes any more."""

    @property
    def waiting(self) -> int:
        """How many items are there."""

    @property
    def discarded(self) -> int:
        """How many were dropped, since they have no partner."""

    def pop(self) -> WorkItem[P_co]:
        """Takes an item out."""

    def discard(self) -> None:
        """From now on, whatever is there and whatever comes is dropped."""


class InStep(Generic[P_co]):
    """The first item of each stream, then the second of each, and so on."""

    def __init__(self, where: str, parts: Sequence[Part[P_co]]) -> None:
        self._where = where
        self._parts = parts

    @property
    def ready(self) -> bool:
        """Whether each stream has an item."""
        return all(part.ready for part in self._parts)

    @property
    def decided(self) -> bool:
        """Whether all have an item, or one has ended: then there will be no more."""
        return self.ready or any(part.ended for part in self._parts)

    def take(self) -> WorkItem[P_co]:
        """One item of each; each has one."""
        return together([part.pop() for part in self._parts])

    @property
    def others(self) -> list[Part[P_co]]:
        """Once it has ended: the streams of which something may be left over.

        What comes round in a loop is not: something always does when a loop comes to its end.
        """
        return [part for part in self._parts if not (part.ended or part.from_loop)]

    @property
    def unpaired(self) -> UnpairedError | None:
        """What to say of what is left over there."""
        return self._error({part.stream: part.waiting for part in self.others if part.ready})

    def discard(self) -> None:
        """What is left over, and what comes yet, is dropped."""
        for part in self._parts:
            if not part.ended or part.from_loop:
                part.discard()

    @property
    def surplus(self) -> tuple[int, str]:
        """How much was dropped in that way, and what to say of it."""
        left = {p.stream: p.discarded for p in self._parts if p.discarded and not p.from_loop}
        return sum(left.values()), str(self._error(left) or "").removesuffix(_MEND)

    def _error(self, left: dict[str, int]) -> UnpairedError | None:
        return UnpairedError(self._where, tuple(left.items())) if left else None


class ByKey(Generic[P_co]):
    """The parts of one item, which went different ways, found by its identity at the fork."""

    def __init__(self, where: str, streams: Sequence[str], pairs: Carried) -> None:
        self._where = where
        self._streams = streams
        self._pairs = pairs
        self._pairing = Pairing(len(streams))

    def add(self, i: int, part: WorkItem[P_co]) -> WorkItem[P_co] | None:
        """Holds a part that came by stream `i`; returns the whole if it was the last one.

        Raises:
            TwicePairedError: that one is there already: two outputs of a fork lead into a stream.
        """
        key = part.key(self._pairs)
        assert key is not None, "what lost its identity carries a key"
        try:
            parts = self._pairing.add(i, key[0], key[1], key[2:], part)
        except ValueError as error:
            raise TwicePairedError(self._where, self._streams[i]) from error
        return None if parts is None else together(cast("Sequence[WorkItem[P_co]]", parts))

    def check_end(self) -> None:
        """Sees that nothing is held, as nothing more comes.

        Raises:
            TwicePairedError: each way brings one part of an item, if only a tombstone: one has
                brought two.
        """
        if self._pairing.held:
            raise TwicePairedError(self._where, " or ".join(self._streams))


def lost_parts(taken: WorkItem[P_co]) -> int:
    """How many parts of a tombstone are let go, as their partner was dropped."""
    return sum(argument is not None for argument in taken.arguments)
