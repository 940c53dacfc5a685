"""Forks: open file descriptions, and with them locks, would be shared by parent and child."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Protocol
from weakref import WeakSet


class Forked(Protocol):
    """What has to know of forks: a pool, or a reader."""

    def before_fork(self) -> None:
        """Has everything in order, and so it stays until one of the next two."""

    def after_fork_in_parent(self) -> None:
        """Goes on as if nothing had happened."""

    def after_fork_in_child(self) -> None:
        """Leaves alone what is the parent's."""


class Watch:
    """Whom forks are told to, for as long as it is kept.

    (Pools and readers are not known here themselves, but keep one of these each: that one may refer
    to weakly, and not to objects of compiled classes.)
    """

    __slots__ = ("__weakref__", "after_in_child", "after_in_parent", "before")

    def __init__(self, keeper: Forked) -> None:
        self.before: Callable[[], object] = keeper.before_fork
        self.after_in_parent: Callable[[], object] = keeper.after_fork_in_parent
        self.after_in_child: Callable[[], object] = keeper.after_fork_in_child

    def only(self, lock: threading.Lock) -> None:
        """The keeper is closed: from now on nothing of it is looked after but its lock.

        (And nothing here refers to it any more, so it goes when nobody else does.)
        """
        self.before = lock.acquire
        self.after_in_parent = self.after_in_child = lock.release


_watches: WeakSet[Watch] = WeakSet()
_one_fork = threading.Lock()  # two threads that fork at once take turns
_forking: list[Watch] = []


def watch(keeper: Forked) -> Watch:
    """Tells a pool or reader of every `os.fork` from now on, for as long as it keeps the watch."""
    made = Watch(keeper)
    _watches.add(made)
    return made


def _before() -> None:
    _one_fork.acquire()
    _forking[:] = _watches
    for one in _forking:
        one.before()


def _after_in_parent() -> None:
    for one in _forking:
        one.after_in_parent()
    _forking.clear()
    _one_fork.release()


def _after_in_child() -> None:
    for one in _forking:
        one.after_in_child()
    _forking.clear()
    _one_fork.release()


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(
        before=_before, after_in_parent=_after_in_parent, after_in_child=_after_in_child
    )
