"""The private directory of a run, where its sockets are."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import socket
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from minipipe.errors import RunDirectoryLostError, StartError

PREFIX = "minipipe-run-"
# Only what looks like ours, to the letter, is ever removed: PREFIX and mkdtemp's eight.
PATTERN = f"{PREFIX}????????"
UNLOCKED_PREFIX = f"{PREFIX}unlocked-"  # no other run may take it for abandoned
LOCK = ".minipipe-run-lock"
# A socket's path has 107 bytes: the base directory must leave room for the rest.
MAX_BASE_BYTES = 70
UNFINISHED = ("young", "try")  # what is in it before there is a lock under its name
YOUNG_S = 60.0
LOOK_S = 1.0
_NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.EPERM, errno.EACCES, errno.EINVAL)


class RunDirectory:
    """A directory of mode 0700 that is locked as long as its run lives.

    It is where temporary files are, and not in XDG_RUNTIME_DIR, which goes when the user logs out,
    while a run in tmux or under nohup goes on.  Both the directory and a file in it are locked
    (flock(2)).  systemd-tmpfiles clears /tmp of what is old, but not of a directory that is locked,
    nor of what is in it (tmpfiles.d(5)).  And the file's lock is seen from other machines, if the
    directory is on a network's file system.

    Raises:
        StartError: it can be made nowhere.
    """

    def __init__(self) -> None:
        self.path = ""
        self._fds: list[int] = []
        refusals: list[str] = []
        without_locks: list[str] = []
        for base in bases():
            try:
                _check(base)
                self._make(base)
                return
            except NoLocksError as error:
                without_locks.append(base)
                refusals.append(f"{base!r} ({error})")
            except OSError as error:
                refusals.append(f"{base!r} ({error.strerror or error})")
        for base in without_locks:
            try:
                self._make(base, locked=False)
                return
            except OSError as error:
                refusals.append(f"{base!r} ({error.strerror or error})")
        raise StartError(
            f"the run's directory cannot be made in {', nor in '.join(refusals)}: "
            "set TMPDIR to a directory that can hold files and sockets"
        )

    def _make(self, base: str, *, locked: bool = True) -> None:
        """Makes it in `base`, or leaves nothing there.

        Raises:
            NoLocksError: it cannot be locked there.
            OSError: it cannot be made there.
        """
        sweep(base)
        while True:
            path = tempfile.mkdtemp(prefix=PREFIX if locked else UNLOCKED_PREFIX, dir=base)
            try:
                self._fds.append(os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
                if locked:
                    _lock(self._fds[0])
                    if not _is_at(self._fds[0], path):
                        self._close()  # another run has found it before it was locked
                        continue
                young = os.path.join(path, "young")  # under its name only when it is locked
                self._fds.append(os.open(young, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
                if locked:
                    _lock(self._fds[1])
                _try_socket(path)
                os.rename(young, os.path.join(path, LOCK))
            except OSError:
                shutil.rmtree(path, ignore_errors=True)
                self._close()
                raise
            self.path = path
            return

    @property
    def is_lost(self) -> bool:
        """Whether somebody has removed it, or what is in it."""
        try:
            return not (
                _is_at(self._fds[0], self.path)
                and _is_at(self._fds[1], os.path.join(self.path, LOCK))
            )
        except OSError:
            return False  # nothing is known of it just now: a network's file system, say

    def remove(self) -> None:
        """Removes it, with all that is in it."""
        shutil.rmtree(self.path, ignore_errors=True)
        self._close()

    def _close(self) -> None:
        while self._fds:
            os.close(self._fds.pop())


class DirectoryWatch:
    """Looks now and then whether the run's directory is still there, until it is not."""

    def __init__(self, directory: RunDirectory) -> None:
        self._directory = directory
        self._next_s: float | None = 0.0

    def due_in_s(self, now_s: float) -> float | None:
        """Seconds until it is time to look; None: never again."""
        return None if self._next_s is None else max(0.0, self._next_s - now_s)

    def look(self, now_s: float, at_once: bool = False) -> RunDirectoryLostError | None:
        """Looks, if it is time (or `at_once`); what to say of a directory that is lost, once."""
        if self._next_s is None or not (at_once or now_s >= self._next_s):
            return None
        self._next_s = now_s + LOOK_S
        if not self._directory.is_lost:
            return None
        self._next_s = None
        return RunDirectoryLostError(self._directory.path)


class NoLocksError(OSError):
    """Files cannot be locked in a directory."""


def bases() -> Iterator[str]:
    """Where such a directory may be, the best place first."""
    try:
        first = [os.path.abspath(tempfile.gettempdir())]
    except FileNotFoundError:  # by its own test, none of the usual places can be written to
        first = []
    yield from dict.fromkeys([*first, "/tmp", "/var/tmp", "/dev/shm"])


def _check(base: str) -> None:
    """Raises `OSError` if no address of a socket in there could be written."""
    try:
        encoded = base.encode()
    except UnicodeEncodeError:
        encoded = b""
    if encoded != os.fsencode(base):  # libzmq is given UTF-8, the file system might be another's
        raise OSError(errno.EILSEQ, "its name is not UTF-8")
    if len(encoded) > MAX_BASE_BYTES:
        raise OSError(errno.ENAMETOOLONG, f"its name is longer than {MAX_BASE_BYTES} bytes")


def _lock(fd: int) -> None:
    """Holds the lock; whoever sweeps has it for a moment only."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
    except OSError as error:
        if error.errno in _NO_LOCKS:
            raise NoLocksError(error.errno, f"no locks: {error.strerror}") from error
        raise


def _is_at(fd: int, path: str) -> bool:
    """Whether `path` leads to what `fd` was opened as."""
    try:
        found = os.stat(path, follow_symlinks=False)
    except (FileNotFoundError, NotADirectoryError):
        return False
    ours = os.fstat(fd)
    return (found.st_dev, found.st_ino) == (ours.st_dev, ours.st_ino)


def _try_socket(path: str) -> None:
    """Raises `OSError` if the file system has no sockets."""
    place = os.path.join(path, "try")
    with socket.socket(socket.AF_UNIX) as trial:
        trial.bind(place)
    os.unlink(place)


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
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    lock = -1
    try:
        fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if (path / LOCK).exists():
            lock = os.open(path / LOCK, os.O_RDWR)
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        elif time.time() - path.stat().st_mtime < YOUNG_S:
            return  # made by another machine, say, which has not come to lock it
        else:
            _remove_unfinished(path)
            return
        shutil.rmtree(path, ignore_errors=True)
    except BlockingIOError:
        pass  # its run lives
    finally:
        os.close(directory)
        if lock >= 0:
            os.close(lock)


def _remove_unfinished(path: Path) -> None:
    """Removes the directory of a run that was killed before it had locked it.

    If there is anything in it that such a run has not made, it is not ours, whatever its name.
    """
    for name in UNFINISHED:
        (path / name).unlink(missing_ok=True)
    path.rmdir()
