"""Shared memory for large arrays: written once by their owner, seen by others without a copy.

The owner takes a slot from its `SlotPool`, writes it and sends a reference to it; others borrow it
with their `SlotReader`.  A slot is written anew when no process counts on it any more, which the
kernel knows: each one that does has a lock on it, and its death takes that away.
"""

from __future__ import annotations

from minipipe.process.cpus import usable_cpus
from minipipe.shm.borrowed import Borrowed
from minipipe.shm.errors import SlotBarredError, SlotError, SlotLeftBehindError
from minipipe.shm.handle import SlotHandle
from minipipe.shm.lease import Lease
from minipipe.shm.locate import Place, find_slot
from minipipe.shm.memory_limits import available_bytes, memory_limit_bytes, oom_kills
from minipipe.shm.openness import is_open_to_others, lives
from minipipe.shm.pool import MIN_BYTES, OwnedSlot, SlotPool
from minipipe.shm.reader import SlotReader
from minipipe.shm.reference import SlotRef
from minipipe.shm.support import obstacle, supported

__all__ = [
    "MIN_BYTES",
    "Borrowed",
    "Lease",
    "OwnedSlot",
    "Place",
    "SlotBarredError",
    "SlotError",
    "SlotHandle",
    "SlotLeftBehindError",
    "SlotPool",
    "SlotReader",
    "SlotRef",
    "available_bytes",
    "find_slot",
    "is_open_to_others",
    "lives",
    "memory_limit_bytes",
    "obstacle",
    "oom_kills",
    "supported",
    "usable_cpus",
]
