"""Locks on bytes of a file that belong to an open file description (fcntl(2), F_OFD_SETLK).

The kernel takes them away when the description's last descriptor closes, so also when its
process is killed.  They need not lie where the file has data: byte i stands for slot i.
"""

from __future__ import annotations

import errno
import struct
from functools import cache
from typing import Final

try:
    import fcntl
except ImportError:  # Windows, where there are no slots (`support`)
    pass

_F_OFD_SETLK: Final = 37  # the module has a name for it only in some builds
_FLOCK = struct.Struct("hhqqi4x")  # l_type, l_whence, l_start, l_len, l_pid: that of 64 bits


def read_lock(fd: int, index: int) -> bool:
    """Holds a read lock on the byte; False if another description has the write lock."""
    return _set(fd, fcntl.F_RDLCK, index)


def write_lock(fd: int, index: int) -> bool:
    """Holds the write lock on the byte; False if another description has a lock."""
    return _set(fd, fcntl.F_WRLCK, index)


def unlock(fd: int, index: int) -> None:
    """Holds no lock on the byte."""
    _set(fd, fcntl.F_UNLCK, index)


@cache
def _flock(kind: int, index: int) -> bytes:
    return _FLOCK.pack(kind, 0, index, 1, 0)


def _set(fd: int, kind: int, index: int) -> bool:
    try:
        fcntl.fcntl(fd, _F_OFD_SETLK, _flock(kind, index))
    except OSError as exc:
        if exc.errno in (errno.EAGAIN, errno.EACCES):
            return False
        raise
    return True
