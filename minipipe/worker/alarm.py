"""An alarm that costs next to nothing while nothing is to be looked for.

The service thread sleeps on it, and the main thread sets it when it goes to a functor while
something is owed to others.  With a timer of the kernel's that costs the main thread a system
call and wakes nobody before the time (an Event would wake the service thread at once).
"""

from __future__ import annotations

import ctypes
import os
import select
import struct
import sys
import time
from collections.abc import Sequence

CLOCK_MONOTONIC = 1
TFD_NONBLOCK = 0o4000
TFD_CLOEXEC = 0o2000000


class _Pipe:
    """Ends a wait from another thread."""

    def __init__(self) -> None:
        self.reader, self._writer = os.pipe()
        os.set_blocking(self.reader, False)

    def write(self) -> None:
        os.write(self._writer, b"!")

    def drain(self) -> None:
        try:
            os.read(self.reader, 4096)
        except BlockingIOError:
            pass

    def close(self) -> None:
        os.close(self.reader)
        os.close(self._writer)


class KernelAlarm:
    """A timerfd (timerfd_create(2)); Linux."""

    def __init__(self) -> None:
        # PyDLL: these calls take a microsecond and must not hand the interpreter lock over.
        libc = ctypes.PyDLL(None, use_errno=True)
        self._fd = libc.timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC)
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")
        self._set = libc.timerfd_settime
        self._times: dict[float, object] = {}  # as the kernel wants them
        try:
            self._ending = _Pipe()
        except OSError:
            os.close(self._fd)
            raise
        self.filenos = (self._fd, self._ending.reader)
        self._poll = select.poll()
        for fd in self.filenos:
            self._poll.register(fd, select.POLLIN)

    def set(self, seconds: float) -> None:
        """It rings once, after so long (0: never); what was set before does not count.

        Any thread.
        """
        when = self._times.get(seconds)
        if when is None:
            parts = divmod(int(seconds * 1e9), 10**9)
            when = ctypes.create_string_buffer(struct.pack("@4l", 0, 0, *parts))
            self._times[seconds] = when
        self._set(self._fd, 0, when, None)

    def wait(self, also: Sequence[int] = ()) -> bool:
        """Returns when it rings, one of `also` is readable, or it ends; whether it rang."""
        for fd in also:
            self._poll.register(fd, select.POLLIN)
        self._poll.poll()
        for fd in also:
            self._poll.unregister(fd)
        return self.rang()

    def rang(self) -> bool:
        """Whether it has rung since this was last asked."""
        try:
            os.read(self._fd, 8)
        except BlockingIOError:
            return False  # not yet, or it was set anew since
        return True

    def end(self) -> None:
        """No wait blocks any more."""
        self._ending.write()

    def close(self) -> None:
        """Gives its descriptors back."""
        os.close(self._fd)
        self._ending.close()


class ThreadAlarm:
    """The same without a timer of the kernel's: to be set wakes up the thread that waits."""

    def __init__(self) -> None:
        self._due_s = float("inf")
        self._set_anew = _Pipe()
        self.filenos = (self._set_anew.reader,)
        self._ended = False

    def set(self, seconds: float) -> None:
        """It rings once, after so long (0: never); what was set before does not count.

        Any thread.
        """
        self._due_s = time.monotonic() + seconds if seconds else float("inf")
        self._set_anew.write()

    def wait(self, also: Sequence[int] = ()) -> bool:
        """Returns when it rings, one of `also` is readable, or it ends; whether it rang."""
        poll = select.poll()
        for fd in (*self.filenos, *also):
            poll.register(fd, select.POLLIN)
        while not self.rang() and not self._ended:
            left_s = self._due_s - time.monotonic()
            ready = poll.poll(None if left_s > 1e6 else max(0, int(left_s * 1000 + 0.999)))
            if any(fd in also for fd, _ in ready):
                return self.rang()
        return not self._ended

    def rang(self) -> bool:
        """Whether it has rung since this was last asked."""
        if not self._ended:
            self._set_anew.drain()
        if time.monotonic() < self._due_s:
            return False
        self._due_s = float("inf")
        return True

    def end(self) -> None:
        """No wait blocks any more."""
        self._ended = True
        self._set_anew.write()

    def close(self) -> None:
        """Gives its descriptors back."""
        self._set_anew.close()


Alarm = KernelAlarm | ThreadAlarm


def alarm() -> Alarm:
    """An alarm of the best kind that there is here."""
    if sys.platform == "linux":
        try:
            return KernelAlarm()
        except OSError:
            pass  # refused (seccomp), or no descriptors are left for it
    return ThreadAlarm()
