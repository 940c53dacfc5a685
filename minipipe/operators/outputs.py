"""What of a result goes to which output of a segment, and under which keys."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minipipe.operators.work_item import Key, P_co, WorkItem
from minipipe.protocol.wiring import Carried, Wiring
from minipipe.segments.functor import outputs_of


class Outputs:
    """The outputs of one segment.

    Args:
        ident: what the segment numbers its items as: the id of its worker.
        where: the segment, for errors.
    """

    def __init__(self, wiring: Wiring, ident: int, where: str) -> None:
        self.forks = len(wiring.outlets) > 1
        self.results = 0  # so far: what the elements of one have in common
        self._count = len(wiring.outlets)
        self._groups = wiring.tombstone_groups
        self._ident = ident
        self._where = where

    def split(self, result: Any) -> tuple[Any, ...]:
        """An element for each output: None for nothing.

        Raises:
            OutputsError: the result is not one item, or None, for each of several.
        """
        if not self.forks:
            return (result,) if self._count else ()
        return outputs_of(result, self._count, self._where)

    def filled(self, elements: Sequence[Any]) -> tuple[int, ...]:
        """The outputs that something goes to: an element, or, for a join to know, a tombstone."""
        sent = {i for i, element in enumerate(elements) if element is not None}
        for group in self._groups:
            if not sent.intersection(group):
                sent.add(group[0])
        return tuple(sorted(sent))

    def may_be_tombstone(self, output: int) -> bool:
        """Whether a join would have to know that nothing goes there."""
        return any(output in group for group in self._groups)

    def key(self, carried: Carried, taken: WorkItem[P_co] | None) -> Key:
        """What an element of the result under way will meet its other parts by, at this join."""
        if taken is not None:
            known = taken.key(carried)
            if known is not None:
                return known
        return (self._ident, self.results)  # here is where the parts part
