"""Forks: open file descriptions, and with them locks, would be shared by parent and child."""

from __future__ import annotations

import os
import threading
from weakref import WeakSet

from minipipe.shm.handle import RefCounts

_keepers: WeakSet[RefCounts] = WeakSet()
_one_fork = threading.Lock()  # two threads that fork at once take turns
_forking: list[RefCounts] = []


def watch(ref_counts: RefCounts) -> None:
    """Tells a pool or reader of every `os.fork` from now on, for as long as it lives."""
    _keepers.add(ref_counts)


def _before() -> None:
    _one_fork.acquire()
    _forking[:] = _keepers
    for ref_counts in _forking:
        ref_counts.before_fork()


def _after_in_parent() -> None:
    for ref_counts in _forking:
        ref_counts.after_fork_in_parent()
    _forking.clear()
    _one_fork.release()


def _after_in_child() -> None:
    for ref_counts in _forking:
        ref_counts.after_fork_in_child()
    _forking.clear()
    _one_fork.release()


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(
        before=_before, after_in_parent=_after_in_parent, after_in_child=_after_in_child
    )
