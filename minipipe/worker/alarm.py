"""A periodic alarm that costs next to nothing while there is nothing to look for.

The service thread must notice a functor that takes long.  While there is work it looks every
millisecond; when there has been none for a while it looks only now and then, and the main
thread sets the alarm again before it goes to a functor that may be slow.  With a timer of the
kernel's that costs the main thread a system call and wakes nobody (an Event would wake the
service thread at once).
"""

from __future__ import annotations

import ctypes
import os
import select
import struct
import sys
import threading
import time

CLOCK_MONOTONIC = 1
TFD_NONBLOCK = 0o4000
TFD_CLOEXEC = 0o2000000


class KernelAlarm:
    """A timerfd (timerfd_create(2)); Linux."""

    def __init__(self, period_s: float, idle_s: float) -> None:
        # PyDLL: these calls take a microsecond and must not hand the interpreter lock over.
        libc = ctypes.PyDLL(None, use_errno=True)
        self._fd = libc.timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC)
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")
        self._set = libc.timerfd_settime
        self._on, self._off = (
            ctypes.create_string_buffer(struct.pack("@4l", *divmod(int(s * 1e9), 10**9) * 2))
            for s in (period_s, idle_s)
        )
        try:
            self._wake_read, self._wake_write = os.pipe()
        except OSError:
            os.close(self._fd)
            raise
        self._poll = select.poll()
        self._poll.register(self._fd, select.POLLIN)
        self._poll.register(self._wake_read, select.POLLIN)

    def arm(self) -> None:
        """From now on it rings every period."""
        self._set(self._fd, 0, self._on, None)

    def disarm(self) -> None:
        """It rings now and then only."""
        self._set(self._fd, 0, self._off, None)

    def wait(self) -> None:
        """Returns when it rings, or `end` was called."""
        self._poll.poll()
        try:
            os.read(self._fd, 8)
        except BlockingIOError:
            pass  # set anew since, or it is the end

    def end(self) -> None:
        """`wait` does not block any more."""
        os.write(self._wake_write, b"!")

    def close(self) -> None:
        """Gives its descriptors back."""
        for fd in (self._fd, self._wake_read, self._wake_write):
            os.close(fd)


class ThreadAlarm:
    """The same without a timer of the kernel's: it ticks while it is armed."""

    def __init__(self, period_s: float, idle_s: float) -> None:
        self._period_s = period_s
        self._idle_s = idle_s
        self._armed = threading.Event()

    def arm(self) -> None:
        """From now on it rings every period."""
        self._armed.set()

    def disarm(self) -> None:
        """It rings now and then only."""
        self._armed.clear()

    def wait(self) -> None:
        """Returns when it rings, or `end` was called."""
        if self._armed.wait(self._idle_s):
            time.sleep(self._period_s)

    def end(self) -> None:
        """`wait` does not block any more."""
        self._armed.set()

    def close(self) -> None:
        """Nothing to give back."""


Alarm = KernelAlarm | ThreadAlarm


def alarm(period_s: float, idle_s: float) -> Alarm:
    """An alarm of the best kind that there is here."""
    if sys.platform == "linux":
        try:
            return KernelAlarm(period_s, idle_s)
        except OSError:
            pass  # refused (seccomp), or no descriptors are left for it
    return ThreadAlarm(period_s, idle_s)
