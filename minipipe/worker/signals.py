"""Signals in workers and zygotes: what a scheduler sends to every process is for the supervisor.

They take no notice of it, by a handler that does nothing.  (Ignored, it would be ignored by what
functors start as well, and `Popen.terminate()` would do nothing.  A handler does not survive exec,
and in a child that is only forked it is taken away.)
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Collection, Iterator
from types import FrameType

from minipipe.worker.stack import STACK_SIGNAL

SENT_TO_ALL = tuple(
    number
    for name in ("SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGALRM", "SIGXCPU")
    if (number := getattr(signal, name, None)) is not None and number != STACK_SIGNAL
)

# By this the kernel tells a zygote that the thread which had started it has ended; another one
# than SIGTERM, which anybody may send.
PARENT_ENDED = signal.SIGTERM
if hasattr(signal, "SIGRTMIN"):
    PARENT_ENDED = signal.Signals(signal.SIGRTMIN) + 6  # type: ignore[assignment]


def take_no_notice() -> None:
    """From now on what is sent to all processes does nothing here, and nothing is held back."""
    for number in SENT_TO_ALL:
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup has it
            signal.signal(number, _nothing)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SENT_TO_ALL)


def notice_in_forks() -> None:
    """Children that a functor forks notice them again: `Process.terminate()` is to end them."""
    not_in_forks(SENT_TO_ALL, _nothing)


def not_in_forks(
    numbers: Collection[int], handler: Callable[[int, FrameType | None], None]
) -> None:
    """Children that are forked from now on have the default for these signals, not `handler`.

    What is sent to one is held back until then: between the fork and that the handler would get it.
    """
    masks = threading.local()

    def before() -> None:
        masks.saved = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)

    def after() -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, masks.saved)

    def after_in_child() -> None:
        for number in numbers:
            if signal.getsignal(number) is handler:
                signal.signal(number, signal.SIG_DFL)
        after()

    os.register_at_fork(before=before, after_in_parent=after, after_in_child=after_in_child)


@contextlib.contextmanager
def held_back() -> Iterator[None]:
    """What this thread starts meanwhile gets none of them until it takes no notice of them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SENT_TO_ALL)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _nothing(number: int, frame: FrameType | None) -> None:
    pass
