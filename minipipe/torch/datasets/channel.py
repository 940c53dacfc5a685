"""The sockets by which orders go to workers: one for each, at an address of the loader's own.

A worker is a Source, which is not fed by the pipeline; and orders must come in the order in which
the loop gives them, to the worker that it means.
"""

from __future__ import annotations

import mmap
import os
import pickle
import secrets
import select
import shutil
import socket
import struct
import sys
import tempfile
from collections.abc import Callable
from typing import Any

from minipipe.errors import StartError
from minipipe.process import by_value
from minipipe.torch.datasets.orders import Order

_HEAD = struct.Struct("!Q")
_SECRET_BYTES = 32
_WORD = struct.Struct("q")  # of the page
_HELLO = struct.Struct(f"!{_SECRET_BYTES}sI")
LOOK_S = 0.05  # how often it is looked whether workers that are awaited can still come


class Switchboard:
    """The loader's side.

    Args:
        workers: How many there will be.
    """

    def __init__(self, workers: int) -> None:
        self._secret = secrets.token_bytes(_SECRET_BYTES)
        self._directory: str | None = None
        self._sockets: list[socket.socket | None] = [None] * workers
        self._listener = socket.socket(socket.AF_UNIX)
        if sys.platform == "linux":
            path = f"\0minipipe-{secrets.token_hex(16)}"  # of no file, so none is left over
        else:
            self._directory = tempfile.mkdtemp(prefix="minipipe-loader-")
            path = os.path.join(self._directory, "s")
        self._listener.bind(path)
        self._listener.listen(workers)
        self.address = (path, self._secret)
        # Which batch each worker is at, plus one; 0: none.  It outlives the worker.
        self._page_fd = _anonymous(_WORD.size * workers)
        self._page = mmap.mmap(self._page_fd, 0)

    def connect(self, check: Callable[[], object]) -> None:
        """Waits until all workers are there.

        Args:
            check: Raises why they will not come, if they will not.
        """
        while None in self._sockets:
            if not _is_readable(self._listener, LOOK_S):
                check()
                continue
            connection, _ = self._listener.accept()
            connection.settimeout(5.0)  # a stranger might say nothing
            try:
                secret, worker = _HELLO.unpack(_exactly(connection, _HELLO.size))
                known = secrets.compare_digest(secret, self._secret)
            except (OSError, EOFError):
                known = False
            if not known or worker >= len(self._sockets):
                connection.close()
                continue
            connection.settimeout(None)
            socket.send_fds(connection, [b"!"], [self._page_fd])
            self._sockets[worker] = connection

    def send(self, worker: int, order: Order, descriptor: int | None = None) -> None:
        """Sends an order; to a worker that is not there any more, nothing is sent.

        Args:
            descriptor: Goes with it, as a copy.
        """
        connection = self._sockets[worker]
        data = by_value.dumps(order)
        if connection is None:
            return
        try:
            if descriptor is None:
                connection.sendall(_HEAD.pack(len(data)) + data)
            else:
                socket.send_fds(connection, [_HEAD.pack(len(data))], [descriptor])
                connection.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass  # its run says how it ended

    def at(self, worker: int) -> int | None:
        """The number of the batch that a worker is at, or was when it died."""
        (word,) = _WORD.unpack_from(self._page, _WORD.size * worker)
        return word - 1 if word else None

    def hang_up(self) -> None:
        """Closes the connections: workers end when they have read what was sent to them."""
        for worker, connection in enumerate(self._sockets):
            if connection is not None:
                connection.close()
                self._sockets[worker] = None
                _WORD.pack_into(self._page, _WORD.size * worker, 0)

    def close(self) -> None:
        """Closes everything. May be called again."""
        if self._listener.fileno() < 0:
            return
        self.hang_up()
        self._listener.close()
        self._page.close()
        os.close(self._page_fd)
        if self._directory is not None:
            shutil.rmtree(self._directory, ignore_errors=True)


class Line:
    """A worker's side.

    Args:
        address: Of the switchboard.
        worker: Its number.
    """

    def __init__(self, address: tuple[str, bytes], worker: int) -> None:
        path, secret = address
        self._place = _WORD.size * worker
        self._socket = socket.socket(socket.AF_UNIX)
        try:
            self._socket.connect(path)
            self._socket.sendall(_HELLO.pack(secret, worker))
            _, (page_fd,), _, _ = socket.recv_fds(self._socket, 1, 1)
        except (OSError, ValueError) as error:
            self._socket.close()
            raise StartError(
                f"a worker of the loader cannot reach its loader ({error}): has that been closed?"
            ) from error
        self._page = mmap.mmap(page_fd, 0)
        os.close(page_fd)

    def begins(self, number: int) -> None:
        """The worker is at this batch from now on; -1: at none."""
        _WORD.pack_into(self._page, self._place, number + 1)

    def has_more(self, wait_s: float | None = 0.0) -> bool:
        """Whether an order has come, or the end; within `wait_s` seconds, or whenever it does."""
        return _is_readable(self._socket, wait_s)

    def receive(self) -> tuple[Order, int | None]:
        """Returns the next order, and the descriptor that came with it.

        Raises:
            EOFError: The loader has hung up.
        """
        head, descriptors, _, _ = socket.recv_fds(self._socket, _HEAD.size, 1)
        if not head:
            raise EOFError
        head += _exactly(self._socket, _HEAD.size - len(head))
        (size_bytes,) = _HEAD.unpack(head)
        order: Order = pickle.loads(_exactly(self._socket, size_bytes))
        return order, descriptors[0] if descriptors else None

    def close(self) -> None:
        self._socket.close()


def _anonymous(size_bytes: int) -> int:
    """Returns a descriptor of memory, or a file, that has no name."""
    if hasattr(os, "memfd_create"):
        fd = os.memfd_create("minipipe-loader", os.MFD_CLOEXEC)
    else:
        with tempfile.TemporaryFile() as file:
            fd = os.dup(file.fileno())
    os.ftruncate(fd, size_bytes)
    return fd


def _is_readable(connection: socket.socket, wait_s: float | None) -> bool:
    poll = select.poll()  # select() knows no descriptors above 1023
    poll.register(connection, select.POLLIN)
    return bool(poll.poll(None if wait_s is None else wait_s * 1000))


def _exactly(connection: socket.socket, size_bytes: int) -> bytes:
    data = bytearray(size_bytes)
    rest: Any = memoryview(data)
    while rest.nbytes:
        count = connection.recv_into(rest)
        if not count:
            raise EOFError
        rest = rest[count:]
    return bytes(data)
