"""The descriptors 0, 1 and 2: in a process that was started without some of them, too."""

from __future__ import annotations

import os
import subprocess


def keep_their_numbers() -> None:
    """Those that are closed are the null device from now on.

    A pipe or a socket that got such a number would be taken for a child's stdout.
    """
    while (fd := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(fd, True)
    os.close(fd)


def inherited(fd: int) -> int | None:
    """What `subprocess` is to be told, so that a child has that descriptor open in any case.

    One that only this process may have (a file of the user's that got the number) is closed there.
    """
    try:
        return None if os.get_inheritable(fd) else subprocess.DEVNULL
    except OSError:  # closed since the run has begun
        return subprocess.DEVNULL
