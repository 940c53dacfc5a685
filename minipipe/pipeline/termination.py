"""SIGTERM, by which clusters and containers end a process: as good as a Ctrl-C.

While runs are on, and if the user has no handler, it stops them (so `local_term` has its grace)
and raises `Terminated` in the main thread; in the end the process dies of it.  Who has a handler
keeps it, whenever it was set.
"""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType
from typing import Protocol

from minipipe.process.exit_status import die_now_of
from minipipe.worker.signals import not_in_forks


class Terminated(KeyboardInterrupt):
    """SIGTERM has arrived.

    A KeyboardInterrupt, so that whoever cleans up after a Ctrl-C does after this, too.
    """


class Terminable(Protocol):
    """A run that is on."""

    @property
    def ended(self) -> bool: ...
    def terminate(self) -> None:
        """Stops it; at a second call without any grace.  Does not wait: for signal handlers."""


running: set[Terminable] = set()
_arrived = False
_hooked = False


def arrived() -> bool:
    """Whether this process is to die of a SIGTERM in the end."""
    return _arrived


def begin(run: Terminable) -> None:
    """From now on SIGTERM stops this run, if there is no other handler.

    Python sets handlers in the main thread only: of a run that another thread has started,
    SIGTERM simply kills the supervisor, unless the main thread has one of its own.
    """
    global _hooked
    running.add(run)
    if not _hooked and hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
        _hooked = True
        os.register_at_fork(after_in_child=_forget)
        not_in_forks([signal.SIGTERM], _on_term)
    if _can_set() and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _on_term)


def end(run: Terminable) -> None:
    """This run is over."""
    running.discard(run)
    if not running and _can_set():
        _reset()


def _can_set() -> bool:
    return threading.current_thread() is threading.main_thread()


def _reset() -> None:
    if signal.getsignal(signal.SIGTERM) is _on_term:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _forget() -> None:
    """In a child that the user has forked: the runs are its parent's."""
    global _arrived
    running.clear()
    _arrived = False


def _on_term(number: int, frame: FrameType | None) -> None:
    global _arrived
    alive = [run for run in list(running) if not run.ended]
    if not alive:
        die_now_of(number)
    _arrived = True
    for run in alive:
        run.terminate()
    raise Terminated("minipipe: ended by SIGTERM")
