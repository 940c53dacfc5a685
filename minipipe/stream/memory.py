"""Shared memory as one worker uses it: what it lends, what it has borrowed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from minipipe.codec import Borrower, Lender, Moved
from minipipe.errors import WireFormatError
from minipipe.shm import Borrowed, SlotHandle, SlotPool, SlotReader, SlotRef
from minipipe.transport import Buffer

TEND_S: Final = 1.0
_WORDS: Final = len(SlotRef._fields)


class Memory:
    """The slots that a node writes into, and those of others that it sees.

    Args:
        limit_bytes: What its own slots may come to; None: it has none, and arrays travel inside
            the messages (it can still borrow what others lend).
    """

    def __init__(self, limit_bytes: int | None) -> None:
        self.pool = SlotPool(limit_bytes) if limit_bytes else None
        self.reader = SlotReader()
        self.lender = None if self.pool is None else Lender(self.pool)
        # Slots that were lent and that arrays of this process may still write to.
        self.writable_after_send: Sequence[SlotHandle] = (
            () if self.lender is None else self.lender.writable_after_send
        )
        self.borrower = Borrower(self.reader)
        self._tended_s = 0.0

    def borrow(self, words: Sequence[int]) -> dict[tuple[int, ...], Borrowed] | None:
        """Has all slots that a message refers to mapped and locked; None if one of them is gone.

        Returns them by reference, each with a count of one.

        Args:
            words: The references, end to end.

        Raises:
            SlotError: this process may not map more.
        """
        leases: dict[tuple[int, ...], Borrowed] = {}
        try:
            for at in range(0, len(words), _WORDS):
                ref = SlotRef.read(words[at : at + _WORDS])
                lease = self.reader.borrow(ref)
                if lease is None:
                    release(leases.values())
                    return None
                leases[ref] = Borrowed(self.reader, lease)
        except BaseException:
            release(leases.values())
            raise
        return leases

    def borrow_moved(
        self,
        words: Sequence[int],
        here: Sequence[int],
        parts: Sequence[Sequence[int]],
        frames: Sequence[Buffer],
    ) -> dict[tuple[int, ...], Moved] | None:
        """Does the same with slots of another host, wherever they lie now.

        Args:
            words: The references that the parcel has, end to end.
            here: References to where they lie now.
            parts: Of each, what has come.
            frames: One for each; not empty: it lies there.

        Raises:
            WireFormatError: these do not belong together.
            SlotError: this process may not map more.
        """
        if not len(words) == len(here) == _WORDS * len(parts) or len(frames) != len(parts):
            raise WireFormatError("it has other slots than are said to have come")
        moved: dict[tuple[int, ...], Moved] = {}
        try:
            for place, frame in enumerate(frames):
                at = _WORDS * place
                name = SlotRef.read(words[at : at + _WORDS])
                if len(frame):
                    moved[name] = Moved(parts[place], frame=frame)
                    continue
                lease = self.reader.borrow(SlotRef.read(here[at : at + _WORDS]))
                if lease is None:
                    release(moved.values())
                    return None
                moved[name] = Moved(parts[place], Borrowed(self.reader, lease))
        except BaseException:
            release(moved.values())
            raise
        return moved

    def isolate_sent_arrays(self, *, read_only_functor: bool = False) -> None:
        """What was put to the outlets stays as it is, whatever the functor does with it later.

        To be called if anything is `writable_after_send`, before the functor is called again, when
        nothing else holds the item any more.

        Args:
            read_only_functor: it is known to do nothing to it.
        """
        if self.lender is not None:
            if read_only_functor:
                self.lender.forget()
            else:
                self.lender.isolate_sent()

    @property
    def size_bytes(self) -> int:
        """The memory that its own slots have."""
        return 0 if self.pool is None else self.pool.warm_bytes

    def tend(self, now_s: float) -> None:
        """Gives back what nobody wants, about once a second."""
        if now_s - self._tended_s >= TEND_S:
            self._tended_s = now_s
            self.reader.tend()
            if self.pool is not None:
                self.pool.tend()

    def close(self) -> None:
        """Lends and borrows no more; arrays that are there stay as they are."""
        self.reader.close()
        if self.pool is not None:
            self.pool.close()


def references(held: Sequence[Any]) -> list[int]:
    """References to these slots, each once, end to end, as `Memory.borrow` takes them."""
    # (Of a slot whose arrays were cut off there may be two handles, which others need not know.)
    return [word for ref in dict.fromkeys(slot.reference() for slot in held) for word in ref]


def sizes(held: Sequence[Any]) -> dict[tuple[int, ...], int]:
    """How large each of these slots is, by its reference, in the same order."""
    return {slot.reference(): slot.size_bytes for slot in held}


def retain(held: Sequence[Any]) -> None:
    """Counts once more on each of these slots."""
    for slot in held:
        slot.retain()


def release(held: Iterable[Any]) -> None:
    """Counts once less on each of these slots."""
    for slot in held:
        slot.release()
