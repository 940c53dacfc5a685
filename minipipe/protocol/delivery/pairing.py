"""Pairing: what a join of branches of one stream holds until all parts of an item are there.

The branches stem from the items of one sender, so the parts of an item share its identity:
origin, number, and the outputs of the path before the branches split.  A part whose partner was
dropped on the way, on purpose, will never be whole; the sender's MARK tells (rule 21 of the
delivery protocol).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush

_SLACK = 64  # a heap of fewer numbers is not worth a clearing out

Prefix = tuple[int, ...]  # outputs of the path before the branches split
Parts = dict[int, object]  # by input


@dataclass
class _Origin:
    """What is held of one sender."""

    mark: int = 0
    held: dict[int, dict[Prefix, Parts]] = field(default_factory=dict)  # by number
    heap: list[int] = field(default_factory=list)  # every held number, and some held no more

    def lowest(self) -> int | None:
        """The lowest number held; None if none is."""
        while self.heap and self.heap[0] not in self.held:
            heappop(self.heap)
        return self.heap[0] if self.heap else None

    def forget(self, number: int) -> None:
        """Holds nothing of `number` any more."""
        del self.held[number]
        # One straggler at the bottom would keep all that came after it in the heap.
        if len(self.heap) > 2 * len(self.held) + _SLACK:
            self.heap = list(self.held)
            heapify(self.heap)


class Pairing:
    """Parts of items, until they are whole or the mark of their sender has passed them."""

    def __init__(self, inputs: int) -> None:
        if inputs < 1:
            raise ValueError(f"a join has at least one input, got {inputs}")
        self.inputs = inputs
        self.held = 0  # parts
        self._origins: dict[int, _Origin] = {}

    def add(
        self, input: int, origin: int, number: int, prefix: Prefix, item: object
    ) -> tuple[object, ...] | None:
        """Holds this part; if it is the last, returns all in order of the inputs, and holds none.

        Raises:
            ValueError: the part is there already; or its number is below the mark of its sender,
                and so no part of it was under way any more.  Whatever arrived before a mark has
                to be added before it.
        """
        if not 0 <= input < self.inputs:
            raise ValueError(f"input {input} of a join that has {self.inputs}")
        sender = self._origins.setdefault(origin, _Origin())
        if number < sender.mark:
            raise ValueError(
                f"input {input} got item {number} of worker {origin}, which has said that all "
                f"below {sender.mark} is settled"
            )
        prefixes = sender.held.get(number)
        if prefixes is None:
            prefixes = sender.held[number] = {}
            heappush(sender.heap, number)  # O(1) where numbers ascend
        parts = prefixes.setdefault(prefix, {})
        if input in parts:
            raise ValueError(
                f"input {input} got item {number} of worker {origin} twice, at outputs {prefix}"
            )
        parts[input] = item
        self.held += 1
        if len(parts) < self.inputs:
            return None
        self.held -= self.inputs
        del prefixes[prefix]
        if not prefixes:
            sender.forget(number)
        return tuple(parts[i] for i in range(self.inputs))

    def mark(self, origin: int, number: int) -> int:
        """Holds nothing below `number` of this sender; returns how many parts were let go.

        A mark lower than one before is late and changes nothing.
        """
        sender = self._origins.setdefault(origin, _Origin())
        if number <= sender.mark:
            return 0
        sender.mark = number
        release = 0
        while (lowest := sender.lowest()) is not None and lowest < number:
            release += sum(len(parts) for parts in sender.held[lowest].values())
            sender.forget(lowest)
        self.held -= release
        assert self.held >= 0
        return release
