"""The exit status of this process, set while its interpreter ends already.

By then an exception is only printed, and `os._exit` would skip whatever is still to come: the
exit handlers of others, the flushing of open files.  So the status is changed at the very end, by
an exit handler of the C library, which runs when the interpreter is finalised.
"""

from __future__ import annotations

import ctypes
import signal


def end_with(status: int) -> None:
    """The process ends with this exit status, after everything that it does at its end."""
    libc = ctypes.CDLL(None)
    # In glibc, exit called by an exit handler goes on with the handlers that are left, and with
    # the new status; elsewhere it is undefined, so there they are skipped.
    goes_on = hasattr(libc, "gnu_get_libc_version")
    _at_the_end(libc, libc.exit if goes_on else libc._exit, status)


def die_of(number: int) -> None:
    """The process dies of this signal, after everything that Python does at its end."""
    libc = ctypes.CDLL(None)
    _at_the_end(libc, getattr(libc, "raise"), number)
    _at_the_end(libc, libc.fflush, None)  # the last one registered runs first


def die_now_of(number: int) -> None:
    """The process dies of this signal as if nobody had ever handled it."""
    signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [number])
    signal.raise_signal(number)


def _at_the_end(libc: ctypes.CDLL, function: object, argument: int | None) -> None:
    if libc.__cxa_atexit(function, ctypes.c_void_p(argument), None) != 0:
        raise MemoryError("the C library has no room for another exit handler")
