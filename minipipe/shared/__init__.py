"""Shared memory for large arrays: written once by their owner, seen by others without a copy.

The owner takes a slot from its `SlotPool`, writes it and sends a reference to it; others borrow it
with their `SlotReader`.  A slot is written anew when no process counts on it any more, which the
kernel knows: each one that does has a lock on it, and its death takes that away.
"""

from __future__ import annotations

from minipipe.shared.cpus import usable_cpus
from minipipe.shared.errors import SlotBarredError, SlotError
from minipipe.shared.held import Held
from minipipe.shared.limits import available_bytes, memory_limit_bytes, oom_kills
from minipipe.shared.openness import is_open_to_others, lives
from minipipe.shared.pool import MIN_BYTES, OwnedSlot, SlotPool
from minipipe.shared.reader import Lease, SlotReader
from minipipe.shared.reference import SlotRef
from minipipe.shared.support import neighbourhood, obstacle, supported
from minipipe.shared.whereabouts import Place, owner_of

__all__ = [
    "MIN_BYTES",
    "Held",
    "Lease",
    "OwnedSlot",
    "Place",
    "SlotBarredError",
    "SlotError",
    "SlotPool",
    "SlotReader",
    "SlotRef",
    "available_bytes",
    "is_open_to_others",
    "lives",
    "memory_limit_bytes",
    "neighbourhood",
    "obstacle",
    "oom_kills",
    "owner_of",
    "supported",
    "usable_cpus",
]
