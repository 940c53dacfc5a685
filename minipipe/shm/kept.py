"""Which leases are looked at, so that what users keep holds no more memory than it has to.

Arrays of a parcel lie side by side in one slot, and who keeps one of them keeps the slot.  So what
is alive in the slots that outlive their parcels is looked at now and then, and where that is less
than half of one, it is copied aside and the slot let go.  After each look the slots hold at most
twice what is alive in them, and until the next one there come at most a quarter more, or 16 MiB.
"""

from __future__ import annotations

from typing import Final

from minipipe.shm.lease import Kept, Lease

# The kernel lets a process have so many mappings, and each slot copied aside is one: where a
# quarter of them is in use, arrays are copied one by one instead (the rest is the user's).
MAPPINGS: Final = 65_530  # Linux' own bound, if nobody has set another one
_MAX_MAP_COUNT = "/proc/sys/vm/max_map_count"

SLACK_BYTES = 16 * 1024 * 1024
# A look costs as much as there are slots, so it is taken when they have grown by one in so many.
_GROWTH: Final = 4


def most_aside() -> int:
    """How many slots may be copied aside at a time."""
    try:
        with open(_MAX_MAP_COUNT) as file:
            return int(file.read()) // 4
    except (OSError, ValueError):
        return MAPPINGS // 4


class KeptLeases:
    """The leases that outlive their parcels, because somebody keeps arrays of them."""

    def __init__(self) -> None:
        self._leases: dict[Lease, None] = {}
        self._new_bytes = 0
        self.size_bytes = 0

    def add(self, lease: Lease) -> bool:
        """Adds one; whether a look should be taken now."""
        if lease not in self._leases:
            self._leases[lease] = None
            self.size_bytes += lease.size_bytes
        self._new_bytes += lease.size_bytes
        return self._new_bytes > SLACK_BYTES and _GROWTH * self._new_bytes > self.size_bytes

    def discard(self, *leases: Lease) -> None:
        """Forgets those that are there: nobody keeps them any more."""
        for lease in leases:
            if lease in self._leases:
                del self._leases[lease]
                self.size_bytes -= lease.size_bytes

    def mostly_dead(self) -> list[tuple[Lease, list[Kept]]]:
        """Those of which less than half is alive, with what is."""
        self._new_bytes = 0
        found = []
        for lease in list(self._leases):
            kept = lease.kept_pages()
            if kept is not None and 2 * sum(part.size_bytes for part in kept) < lease.size_bytes:
                found.append((lease, kept))
        return found
