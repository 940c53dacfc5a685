"""The private directory of a run, where its sockets are."""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import tempfile
import time
from pathlib import Path

PREFIX = "minipipe-run-"
# Only what looks like ours, to the letter, is ever removed: PREFIX and mkdtemp's eight.
PATTERN = f"{PREFIX}????????"
LOCK = ".minipipe-run-lock"
# A socket's path has 107 bytes: the base directory must leave room for the rest.
MAX_BASE_BYTES = 70
YOUNG_S = 60.0


def _base() -> str:
    for candidate in (os.environ.get("XDG_RUNTIME_DIR"), tempfile.gettempdir()):
        if (
            candidate
            and len(os.fsencode(candidate)) <= MAX_BASE_BYTES
            and os.access(candidate, os.W_OK | os.X_OK)
        ):
            return candidate
    return "/tmp"


class RunDirectory:
    """A directory of mode 0700 that is locked as long as its run lives."""

    def __init__(self) -> None:
        base = _base()
        sweep(base)
        self.path = tempfile.mkdtemp(prefix=PREFIX, dir=base)
        young = os.path.join(self.path, "young")  # under its name only when it is locked
        self._lock = os.open(young, os.O_CREAT | os.O_RDWR, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        os.rename(young, os.path.join(self.path, LOCK))

    def remove(self) -> None:
        """Removes it, with all that is in it."""
        shutil.rmtree(self.path, ignore_errors=True)
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


def sweep(base: str) -> None:
    """Removes the directories of runs that ended without being able to.

    (The supervisor and its guard were killed at the same moment.)
    """
    for path in Path(base).glob(PATTERN):
        try:
            status = path.lstat()
            if status.st_uid != os.getuid() or not stat.S_ISDIR(status.st_mode):
                continue
            _remove_if_orphaned(path)
        except OSError:
            continue  # somebody else's, or being removed right now


def _remove_if_orphaned(path: Path) -> None:
    lock = path / LOCK
    if not lock.exists():
        # Made, but not locked yet; or killed in between, and then it is empty.
        if time.time() - path.stat().st_mtime > YOUNG_S:
            path.rmdir()
        return
    fd = os.open(lock, os.O_RDWR)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return  # its run lives
    else:
        shutil.rmtree(path, ignore_errors=True)
    finally:
        os.close(fd)
