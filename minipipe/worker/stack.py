"""Where a worker is, whatever it does: its Python stack, written down at a signal."""

from __future__ import annotations

import ctypes
import faulthandler
import mmap
import os
import signal
import sys

from minipipe.stream.page import SIZE_BYTES

# One that hardly anybody uses; where there are none of these, one of the two for users.
SIGNAL = getattr(signal, "SIGRTMIN", None)
# (Windows has neither, and no workers.)
STACK_SIGNAL = getattr(signal, "SIGUSR2", 0) if SIGNAL is None else signal.Signals(SIGNAL) + 7


# Signals that come at once are handled each within the one before.  On the stack of 16 KiB that
# faulthandler has for all handlers, seven of them (a scheduler's, say) overflowed.
_HANDLERS_BYTES = 256 * 1024
_handlers_stack: mmap.mmap | None = None


class _SignalStack(ctypes.Structure):
    """A `stack_t` (sigaltstack(2))."""

    _fields_ = (
        ("address", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("size_bytes", ctypes.c_size_t),
    )


def write_down_at_signal(page: int) -> None:
    """From now on the signal appends the stacks of all threads to the page's file, behind the page.

    (By faulthandler, so also while the functor holds the interpreter lock, in a loop in C.)
    """
    os.lseek(page, SIZE_BYTES, os.SEEK_SET)
    write_stack_at_signal(page)


def write_stack_at_signal(fd: int) -> None:
    """From now on the signal writes the stacks of all threads to this descriptor."""
    global _handlers_stack
    faulthandler.register(STACK_SIGNAL, file=fd, all_threads=True)
    if sys.platform != "linux" or _handlers_stack is not None:  # children have it, too
        return
    # Private: each forked process has its own.
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
    _handlers_stack = mmap.mmap(-1, _HANDLERS_BYTES, flags=flags)
    address = ctypes.addressof(ctypes.c_char.from_buffer(_handlers_stack))
    ctypes.CDLL(None).sigaltstack(ctypes.byref(_SignalStack(address, 0, _HANDLERS_BYTES)), None)


def functors_part(text: str, thread: int | None = None) -> str:
    """Of what faulthandler wrote, the frames of the functor, the most recent one first.

    Args:
        thread: that it is called in; None: the main one, which alone does, then.
    """
    for block in text.split("\n\n"):
        if thread is not None and f"hread 0x{thread:016x} " not in block:
            continue
        lines = [line for line in block.splitlines() if line.startswith("  File ")]
        own = [i for i, line in enumerate(lines) if _is_ours(line)]
        if own and not any("service_thread.py" in line or "in _follow" in line for line in lines):
            return "\n".join(lines[: own[0]] or lines)  # it may hang before it comes there
    return ""


def _is_ours(line: str) -> bool:
    return f"{os.sep}minipipe{os.sep}worker{os.sep}" in line
