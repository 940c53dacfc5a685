"""Files that are there as a whole, or not at all: whoever reads one never finds half of it."""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from collections.abc import Iterable

SHORT = 40  # characters, of 4 bytes each at most


def write_whole(path: str, chunks: Iterable[bytes]) -> None:
    """The file holds these bytes; until then, what it held before.

    What is no regular file (a pipe, /dev/stdout) is written to as it is.

    Raises:
        OSError: that is not possible; nothing has changed then.
    """
    _check_name(path)
    if is_stream(path):  # (its name in /proc/self/fd is no path that could be resolved)
        with open(path, "wb") as file:  # of a directory it says what is wrong
            file.writelines(chunks)
        return
    path = os.path.realpath(path)
    fd, young = _young(path)
    try:
        with open(fd, "wb") as file:
            file.writelines(chunks)
            os.fchmod(file.fileno(), _mode_of(path))
        os.replace(young, path)
    except BaseException:
        os.unlink(young)
        raise


def check_can_be_written(path: str) -> None:
    """Whether `write_whole` could do so now; nothing is changed.

    Raises:
        OSError: it could not.
    """
    _check_name(path)
    if os.path.isdir(path):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not is_stream(path):
        fd, young = _young(os.path.realpath(path))
        os.close(fd)
        os.unlink(young)


def _young(path: str) -> tuple[int, str]:
    """A new file beside the one that it is to replace, and its path."""
    if os.path.exists(path):
        os.close(os.open(path, os.O_WRONLY))  # one that is write-protected is not replaced, either
    folder, name = os.path.split(path)
    # (A name may have 255 bytes, and this one is longer.)
    return tempfile.mkstemp(prefix=f".{name[:SHORT]}.", dir=folder)


def is_stream(path: str) -> bool:
    """Whether it is no regular file: what a pipe or a terminal was given stays there."""
    return os.path.exists(path) and not stat.S_ISREG(os.stat(path).st_mode)


def _check_name(path: str) -> None:
    try:
        is_name = b"\0" not in os.fsencode(path)
    except UnicodeEncodeError:
        is_name = False
    if not is_name:
        raise OSError(errno.EINVAL, "no file can be called so")


def _mode_of(path: str) -> int:
    """The permissions of a file that is replaced, or of one that is new."""
    try:
        return stat.S_IMODE(os.stat(path).st_mode)
    except FileNotFoundError:
        mask = os.umask(0)
        os.umask(mask)
        return 0o666 & ~mask
