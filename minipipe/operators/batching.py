"""What a functor gave for the items of one bundle becomes a batch."""

from __future__ import annotations

from typing import Any

from minipipe.regulators.collator import Collator
from minipipe.regulators.likeness import Likeness
from minipipe.segments.batching import Batching


class Samples:
    """The samples of one batch after the other.

    With a `collate` of the user's they are kept as the functor gave them, and it gets the list.
    Else arrays are copied to their place in the batch at once, so the functor may fill one and the
    same array each time (no tensor: those are stacked when the batch is full, as torch does it);
    and a sample that is not like the first one is refused alone.
    """

    def __init__(self, batching: Batching) -> None:
        self._collate = batching.collate
        self._size = batching.size
        self._kept: list[Any] = []
        self._collator = Collator(batching.size)
        self._likeness: Likeness | None = None

    @property
    def runs_user_code(self) -> bool:
        """Whether the batch is made by a function of the user's."""
        return self._collate is not None

    def add(self, sample: Any) -> None:
        """Adds a sample, which is not None.

        Raises:
            CollateError: it is not like the first one, or is of a type that has no batch.
        """
        if self._collate is not None:
            self._kept.append(sample)
            return
        if self._likeness is None:
            self._likeness = Likeness(sample)
        else:
            self._likeness.check(len(self._collator), sample)
        self._collator.add(sample)

    def batch(self) -> Any:
        """The batch of what was added since the last one, which is at least one sample."""
        if self._collate is not None:
            kept, self._kept = self._kept, []
            return self._collate(kept)
        self._likeness = None
        return self._collator.finish()

    def clear(self) -> None:
        """What was added is for nobody any more."""
        self._kept, self._likeness = [], None
        if len(self._collator):
            self._collator = Collator(self._size)
