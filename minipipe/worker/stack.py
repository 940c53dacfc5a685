"""Where a worker is, whatever it does: its Python stack, written down at a signal."""

from __future__ import annotations

import faulthandler
import os
import signal

from minipipe.stream.page import SIZE_BYTES

# One that hardly anybody uses; where there are none of these, one of the two for users.
SIGNAL = getattr(signal, "SIGRTMIN", None)
# (Windows has neither, and no workers.)
STACK_SIGNAL = getattr(signal, "SIGUSR2", 0) if SIGNAL is None else signal.Signals(SIGNAL) + 7


def write_down_at_signal(page: int) -> None:
    """From now on the signal appends the stacks of all threads to the page's file, behind the page.

    (By faulthandler, so also while the functor holds the interpreter lock, in a loop in C.)
    """
    os.lseek(page, SIZE_BYTES, os.SEEK_SET)
    faulthandler.register(STACK_SIGNAL, file=page, all_threads=True)


def functors_part(text: str) -> str:
    """Of what faulthandler wrote, the frames of the functor, the most recent one first."""
    for block in text.split("\n\n"):
        lines = [line for line in block.splitlines() if line.startswith("  File ")]
        own = [i for i, line in enumerate(lines) if _is_ours(line)]
        if own and not any("service_thread.py" in line or "in _follow" in line for line in lines):
            return "\n".join(lines[: own[0]] or lines)  # it may hang before it comes there
    return ""


def _is_ours(line: str) -> bool:
    return f"{os.sep}minipipe{os.sep}worker{os.sep}" in line
