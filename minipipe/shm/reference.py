"""What a message says about a slot."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from minipipe.errors import WireFormatError

_MAX: Final = 2**64


class SlotRef(NamedTuple):
    """Where a slot is: through which descriptor, in which arena, and in which generation.

    The descriptor is that of a process that counts on the slot: its owner, or one that got it
    and passes it on, so that the owner may die in between.  `arena` is a random number that
    stands in the arena itself: it tells when pid or descriptor have come to mean something else.
    """

    pid: int
    fd: int
    arena: int
    slot: int
    generation: int

    @classmethod
    def read(cls, words: Any) -> SlotRef:
        """Returns the reference that was sent as a list or tuple of five integers.

        Raises:
            WireFormatError: It is none.
        """
        if isinstance(words, (list, tuple)) and len(words) == 5:
            for word in words:
                if type(word) is not int or not 0 <= word < _MAX:
                    break
            else:
                return tuple.__new__(cls, words)
        raise WireFormatError(f"{words!r:.80} is no reference to a slot")
