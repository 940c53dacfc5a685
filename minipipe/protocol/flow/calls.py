"""Which calls of a functor may be under way at once, in the threads of one worker.

An item that a worker has died of, among others or alone, is called alone: if the worker dies once
more, it is known of which item.  So nothing is poison that did not kill a worker by itself.
"""

from __future__ import annotations


class CallLimits:
    """Decides when the next call may begin.

    Args:
        threads: how many calls may be under way at once.

    Attributes:
        under_way: how many are.
    """

    def __init__(self, threads: int) -> None:
        if threads < 1:
            raise ValueError(f"at least one call can be under way, got {threads}")
        self.under_way = 0
        self._threads = threads
        self._is_alone = False

    @property
    def is_full(self) -> bool:
        """Whether nothing may begin now, whatever it is."""
        return self._is_alone or self.under_way >= self._threads

    def may_begin(self, *, suspect: bool) -> bool:
        """Whether a call may begin now.

        Args:
            suspect: a worker has died while it had this item.
        """
        return not self.is_full and not (suspect and self.under_way)

    def began(self, *, suspect: bool) -> None:
        """A call has begun, which it was allowed to."""
        assert self.may_begin(suspect=suspect)
        self.under_way += 1
        self._is_alone = suspect

    def ended(self) -> None:
        """A call has come back."""
        assert self.under_way
        self.under_way -= 1
        self._is_alone = False  # if one was alone, it was that one
