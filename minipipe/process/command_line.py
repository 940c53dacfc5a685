"""What others see of this process's command line."""

from __future__ import annotations

import ctypes
from pathlib import Path


def hide(secret: str) -> bool:
    """Makes a secret that was an argument unreadable in `ps` and /proc; whether that was done.

    Every user of a machine can list the arguments of all of its processes.  They are read from the
    memory of the process itself, where the kernel has put them (proc_pid_stat(5), arg_start).
    """
    sought = secret.encode()
    try:
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        start, end = int(fields[45]), int(fields[46])
    except (OSError, ValueError, IndexError):
        return False  # no Linux, or it is not shown here
    if not sought or end <= start:
        return False
    arguments = ctypes.string_at(start, end - start)
    found, at = False, arguments.find(sought)
    while at >= 0:
        ctypes.memset(start + at, ord("x"), len(sought))
        found, at = True, arguments.find(sought, at + len(sought))
    return found
