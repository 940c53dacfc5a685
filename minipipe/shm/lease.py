"""Slots of other processes that arrays here see."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any, Literal, NamedTuple
from weakref import ref

import numpy as np

from minipipe.errors import WireFormatError
from minipipe.errors.cause import because
from minipipe.shm.arena import Arena
from minipipe.shm.errors import SlotError
from minipipe.shm.extent import c_strides, lies_within
from minipipe.shm.handle import RefCounts, SlotHandle
from minipipe.shm.mapping import PAGE_BYTES, Mapping
from minipipe.shm.view import Array, Places

# Dtypes that NumPy makes the very object of again from what it calls them.
_EASY = {id(d): d.str for d in map(np.dtype, "?bBhHiIlLqQefdgFDG") if np.dtype(d.str) is d}


class LeaseCounts(RefCounts):
    """Counts who counts on leases, and has private mappings of them."""

    @abstractmethod
    def private_mapping(self, lease: Lease) -> Mapping:
        """Returns one that shows what the slot holds.

        Raises:
            OSError: The process may not map so much.
        """


class Lease(SlotHandle):
    """A slot of another process, which is not written anew while anything here counts on it.

    Attributes:
        slices: The views of it that slices were made of: each, weakly, and its slices.  (Also
            those of private mappings.)
        is_aside: Whether the slot was let go, and what arrays see lies in memory of this process.
    """

    __slots__ = ("is_aside", "slices")

    def __init__(
        self,
        ref_counts: RefCounts,
        arena: Arena,
        index: int,
        size_bytes: int,
        own: Mapping | None = None,
    ) -> None:
        super().__init__(ref_counts, arena, index, size_bytes, own)
        self.slices: list[tuple[ref[Array], Places]] = []
        self.is_aside = False

    def array(
        self,
        dtype: Any,
        shape: Sequence[int],
        strides: Sequence[int] | None = None,
        offset: int = 0,
        access: Literal["read", "private", "write"] = "read",
    ) -> Array:
        """Returns an array that sees the slot, without a copy.

        Args:
            dtype: Its dtype, without objects.
            shape: Its shape.
            strides: Its strides in bytes; those of a C-contiguous array if None.
            offset: Where in the slot its first element is, in bytes.
            access: "read": a read-only array.  "private": a writable one; what is written stays
                here, page by page (also if a library writes that ignores NumPy's flag).  "write":
                a writable one; for the sole holder of the slot, since all see what is written.

        Raises:
            WireFormatError: Such an array does not fit into the slot.
            SlotError: This process may not map more memory.
        """
        dtype = np.dtype(dtype)
        if strides is None:
            strides = c_strides(shape, dtype.itemsize)
        if dtype.hasobject or not lies_within(
            self.size_bytes, offset, shape, strides, dtype.itemsize
        ):
            raise does_not_fit(self.size_bytes, dtype, shape, strides, offset)
        private = None
        if access == "private":
            # One of its own each time: two that are made of one item are each as it came.
            private = self.private_mapping()
        readonly = access == "read"
        try:
            name = _EASY.get(id(dtype))
            if name is not None:
                return self.seen(
                    name, tuple(shape), tuple(strides), offset, readonly=readonly, apart=private
                )
            every_byte = self.bytes_seen(readonly=readonly, private=private)
            return np.ndarray(shape, dtype, buffer=every_byte, offset=offset, strides=strides)
        except (ValueError, TypeError, OverflowError) as exc:  # too many dimensions, or too long
            raise because(
                WireFormatError(f"no array of {dtype}{tuple(shape)!r:.80}: {exc}"), exc
            ) from exc

    def private_mapping(self) -> Mapping:
        """Returns a private mapping of the slot that nothing else here sees it through.

        Raises:
            SlotError: This process may not map more memory.
        """
        arena, ref_counts = self.arena, self.ref_counts
        try:
            if isinstance(ref_counts, LeaseCounts):
                return ref_counts.private_mapping(self)
            return Mapping(arena.fd, arena.slot_bytes, arena.offset(self.index), private=True)
        except OSError as exc:
            raise because(SlotError(arena.pid, str(exc)), exc) from exc

    def kept_pages(self) -> list[Kept] | None:
        """The pages that slices lie in; None if somebody sees more than slices.

        For its ref_counts, with the lock held.
        """
        views = [(view, places) for whole, places in self.slices if (view := whole()) is not None]
        if self.is_isolated or self.writers or self.count != len(views):
            return None
        shared: list[tuple[int, int]] = []
        private = []
        for view, places in views:
            base: Any = view.base  # of `SlotHandle.seen`
            apart = base.apart
            if apart is None:
                shared += _pages(places)
            else:
                private.append(Kept(_merged(_pages(places)), apart))
        return [Kept(_merged(shared)), *private] if len(private) < len(views) else private


def does_not_fit(
    size_bytes: int, dtype: Any, shape: Sequence[int], strides: object, offset: object
) -> WireFormatError:
    """The error of an array that does not lie within a slot."""
    return WireFormatError(
        f"no array of {dtype}{tuple(shape)!r:.80} with strides {strides!r:.80} can be at "
        f"byte {offset!r:.40} of a slot of {size_bytes} bytes"
    )


class Kept(NamedTuple):
    """What somebody keeps of a slot, in one mapping."""

    pages: list[tuple[int, int]]
    """Begin and end of each range of them, in bytes."""
    apart: Mapping | None = None
    """A private one; None: where all arrays see it."""

    @property
    def size_bytes(self) -> int:
        """All of it."""
        return sum(end - begin for begin, end in self.pages)


def _pages(places: Places) -> list[tuple[int, int]]:
    """Begin and end of the pages of each slice that is alive, in bytes."""
    return [
        (at // PAGE_BYTES * PAGE_BYTES, -(-(at + found.nbytes) // PAGE_BYTES) * PAGE_BYTES)
        for weak, at in list(places.values())
        if (found := weak()) is not None
    ]


def _merged(intervals: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for begin, end in sorted(intervals):
        if merged and begin <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(end, merged[-1][1])
        else:
            merged.append((begin, end))
    return merged
