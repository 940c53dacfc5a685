"""The runs of this user on this machine, and what each of them says when it is asked."""

from __future__ import annotations

import os
import socket
import stat
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from minipipe.observe.bulletin import Bulletin
from minipipe.supervisor.enquiries import SOCKET
from minipipe.supervisor.rundir import PREFIX, bases

PATIENCE_S = 5.0  # a process that is stopped (SIGSTOP) never answers
_MOST_BYTES = 1 << 28
_CREDENTIALS = struct.Struct("3i")  # pid, uid, gid


@dataclass(frozen=True, slots=True)
class Found:
    """A run that is on.

    Attributes:
        ident: its name, as short as can be: two runs of a process have the same pid.
        pid: of its process; 0: that is not known.
        bulletin: what it says; None: it does not answer.
    """

    ident: str
    pid: int
    bulletin: Bulletin | None


def find_runs() -> list[Found]:
    """All that are on now, the oldest first; those that have died leave nothing but a directory."""
    found = [run for directory in directories() if (run := ask(directory)) is not None]
    return sorted(found, key=lambda run: (run.bulletin.began_at if run.bulletin else 0.0, run.pid))


def directories() -> list[str]:
    """The directories of runs of this user, dead ones, too."""
    places: dict[str, None] = {}
    for base in bases():
        places.update((str(path), None) for path in sorted(Path(base).glob(f"{PREFIX}*")))
    places.update((path, None) for path in _of_sockets())
    return [path for path in places if _is_ours(path)]


def _of_sockets() -> Iterator[str]:
    """Those whose sockets the kernel knows, wherever they lie: a run may have another TMPDIR."""
    try:
        lines = Path("/proc/net/unix").read_text(errors="surrogateescape").splitlines()
    except OSError:
        return  # no Linux
    for line in lines:
        path = line.partition("/")[2]
        directory, name = os.path.split(f"/{path}")
        if name == SOCKET and os.path.basename(directory).startswith(PREFIX):
            yield directory


def _is_ours(path: str) -> bool:
    """Whether it is a directory of this user's that nobody else could have put anything into."""
    try:
        status = os.lstat(path)
    except OSError:
        return False
    return (
        stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid() and not status.st_mode & 0o077
    )


def ask(directory: str) -> Found | None:
    """What the run of this directory says; None: it is over, or dead."""
    ident = directory[-8:]
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(PATIENCE_S)
        try:
            _connect(client, os.path.join(directory, SOCKET))
        except (FileNotFoundError, ConnectionRefusedError):
            return None
        except TimeoutError:  # it answers nobody, and as many as may wait do
            return Found(ident, 0, None)
        pid = _peer(client)
        if pid and not _is_alive(pid):
            return None  # a child of it has its socket
        try:
            text = _read(client)
        except TimeoutError:
            return Found(ident, pid, None)
        except ConnectionError:
            return None
    if not text:
        return None  # it has ended meanwhile
    try:
        return Found(ident, pid, Bulletin.from_json(text))
    except ValueError:
        return Found(ident, pid, None)


def _connect(client: socket.socket, path: str) -> None:
    until_s = time.monotonic() + PATIENCE_S
    while True:
        try:
            client.connect(path)
            return
        except BlockingIOError:  # others wait to be answered, as many as may
            if time.monotonic() > until_s:
                raise TimeoutError from None
            time.sleep(0.02)


def _read(client: socket.socket) -> bytes:
    parts: list[bytes] = []
    while part := client.recv(1 << 20):
        parts.append(part)
        if sum(map(len, parts)) > _MOST_BYTES:
            raise ConnectionError("it never ends")
    return b"".join(parts)


def _peer(client: socket.socket) -> int:
    """The process that listens."""
    try:
        option = socket.SO_PEERCRED
        told = client.getsockopt(socket.SOL_SOCKET, option, _CREDENTIALS.size)
        return int(_CREDENTIALS.unpack(told)[0])
    except (AttributeError, OSError):
        return 0  # macOS


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
