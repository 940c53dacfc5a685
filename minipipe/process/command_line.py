"""What others see of this process's command line, and of the environment that it was given."""

from __future__ import annotations

import ctypes
from pathlib import Path


def hide(secret: str) -> bool:
    """Makes a secret that was an argument, or in a variable, unreadable in `ps` and /proc.

    Every user of a machine can list the arguments of all of its processes, and the environments of
    their own.  Both are read from the memory of the process itself, where the kernel has put them
    (proc_pid_stat(5), arg_start, env_start).

    Args:
        secret: also where it is but a part; what is still in `os.environ` becomes another value.

    Returns:
        Whether it was there, and is no more.
    """
    sought = secret.encode()
    try:
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        start, end, *also = map(int, fields[45:49])
    except (OSError, ValueError):
        return False  # no Linux, or it is not shown here
    if not sought or not also:
        return False
    return any([_wipe(sought, start, end), _wipe(sought, *also)])


def _wipe(sought: bytes, start: int, end: int) -> bool:
    if end <= start:
        return False
    content = ctypes.string_at(start, end - start)
    found, at = False, content.find(sought)
    while at >= 0:
        ctypes.memset(start + at, ord("x"), len(sought))
        found, at = True, content.find(sought, at + len(sought))
    return found
