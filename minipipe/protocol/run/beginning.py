"""Where a run begins that goes on where another one was left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import NamedTuple

from minipipe.protocol.delivery.delivered import begin_of
from minipipe.protocol.delivery.intervals import Interval
from minipipe.protocol.frozen import frozen


class Skip(NamedTuple):
    """What a worker of a Source is to go past, in the first pass of its run.

    Attributes:
        pass_: that pass.
        number: of the first item, or bundle, that it is to put, within the pass.
        by_position: it has given as many items before, and nothing else (no None, no error that was
            ignored), so it need not be asked for them.
    """

    pass_: int
    number: int
    by_position: bool


@frozen
class Beginning:
    """Where a run begins; the plain one at the beginning of its first pass.

    Attributes:
        pass_: the number of its first pass.
        delivered: how many items of that were delivered before.
        numbers: which those were, by the name of the worker that has numbered them, where Sources
            go past them; nothing: all are made once more, and so many are left out in the loop.
        by_position: none of the Sources' workers has dropped anything before.
        drawn: what the seeds of the other run followed from, if the user had given none.
    """

    pass_: int = 0
    delivered: int = 0
    numbers: Mapping[str, Sequence[Interval]] = field(default_factory=dict)
    by_position: bool = False
    drawn: int | None = None

    def skip(self, worker: str) -> Skip | None:
        """What this worker of a Source is to go past."""
        number = begin_of(self.numbers.get(worker, ()))
        return Skip(self.pass_, number, self.by_position) if number else None

    def drawn_or(self, other: int) -> int:
        """What the seeds follow from, if that was drawn before; else this other one."""
        return other if self.drawn is None else self.drawn

    @property
    def repeats(self) -> int:
        """How many items the loop leaves out, as they were delivered before."""
        return 0 if self.numbers else self.delivered


@frozen
class Progress:
    """How far it is.

    Attributes:
        at: where another run would go on.
        is_over: the pass has come to its end.
    """

    at: Beginning
    is_over: bool = False
