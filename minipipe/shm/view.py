"""The base of all arrays over a slot, whose end says that nobody sees it there any more.

It is never compiled: compiled classes have no `__del__`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias
from weakref import ref

import numpy as np

from minipipe.shm.private import PrivateMapping

if TYPE_CHECKING:
    from minipipe.shm.mapping import Mapping

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]
# By the id of each slice of a view: the slice, and where in the slot it begins.
Places: TypeAlias = dict[int, tuple[ref[Array], int]]


class View:
    """The base of every array over a slot: NumPy keeps it for as long as any view is alive."""

    __slots__ = ("__array_interface__", "apart", "held", "places", "writes")
    __array_interface__: dict[str, Any]
    held: Any  # a SlotHandle: handles know of views, and not the other way round
    apart: Mapping | None
    places: Places | None
    writes: bool

    def __del__(self) -> None:
        # In any thread, in the middle of anything, so no lock is taken here.
        held = getattr(self, "held", None)
        if held is not None:
            ref_counts = held.ref_counts
            if ref_counts is not None:
                apart = self.apart
                private = apart if type(apart) is PrivateMapping else None
                ref_counts.ended.append((held, self.writes, private))
