"""The transport within one process: for tests, and as the reference of the contract."""

from __future__ import annotations

import os
import select
from collections import deque
from collections.abc import Sequence
from threading import Lock

from minipipe.errors import TransportError
from minipipe.transport.base import Buffer


class _Mailbox:
    """Messages for one address, and a pipe that is readable while there are any."""

    def __init__(self) -> None:
        self.messages: deque[list[Buffer]] = deque()
        self.lock = Lock()
        self.read_fd, self.write_fd = os.pipe()
        os.set_blocking(self.read_fd, False)

    def put(self, message: list[Buffer]) -> None:
        with self.lock:
            self.messages.append(message)
            if len(self.messages) == 1 and self.write_fd >= 0:
                os.write(self.write_fd, b"!")

    def get(self) -> list[Buffer] | None:
        with self.lock:
            if not self.messages:
                return None
            message = self.messages.popleft()
            if not self.messages:
                os.read(self.read_fd, 1)
            return message

    def close(self) -> None:
        with self.lock:
            self.messages.clear()
            for fd in (self.read_fd, self.write_fd):
                if fd >= 0:
                    os.close(fd)
            self.read_fd = self.write_fd = -1


_mailboxes: dict[str, _Mailbox] = {}
_bound: set[str] = set()
_registry_lock = Lock()


def _mailbox(address: str) -> _Mailbox:
    with _registry_lock:
        if address not in _mailboxes:
            _mailboxes[address] = _Mailbox()
        return _mailboxes[address]


def _discard(address: str, mailbox: _Mailbox) -> None:
    """Closes a mailbox; the address is free, unless another one stands there by now."""
    with _registry_lock:
        if _mailboxes.get(address) is mailbox:
            del _mailboxes[address]
    mailbox.close()


class InprocInbox:
    """The reading end of a mailbox."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._mailbox = _mailbox(address)
        self._closed = False

    def receive(self) -> list[Buffer] | None:
        return self._mailbox.get()

    def wait(self, timeout_s: float | None, also: Sequence[int] = ()) -> list[int]:
        own = self._mailbox.read_fd
        poll = select.poll()
        for fd in (own, *also):
            poll.register(fd, select.POLLIN | select.POLLHUP)
        timeout_ms = None if timeout_s is None else max(0, int(timeout_s * 1000 + 0.999))
        return [fd for fd, _ in poll.poll(timeout_ms) if fd != own]

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            _bound.discard(self.address)
            _discard(self.address, self._mailbox)


class InprocOutlet:
    """The writing end of a mailbox."""

    def __init__(self, address: str, sent_to: dict[str, _Mailbox]) -> None:
        self._address = address
        self._sent_to = sent_to

    def send(self, message: Sequence[Buffer]) -> None:
        mailbox = self._sent_to[self._address] = _mailbox(self._address)
        mailbox.put(list(message))

    def close(self) -> None:
        """Nothing to do: a message that was sent is already in the mailbox."""


class InprocTransport:
    """Mailboxes by name, in a dict of this process."""

    def __init__(self, base: str) -> None:
        self._base = base
        self._inboxes: list[InprocInbox] = []
        self._sent_to: dict[str, _Mailbox] = {}

    def bind(self, name: str) -> InprocInbox:
        address = f"{self._base}/{name}"
        with _registry_lock:
            if address in _bound:
                raise TransportError(f"the address {address!r} is in use")
            _bound.add(address)
        inbox = InprocInbox(address)
        self._inboxes.append(inbox)
        return inbox

    def connect(self, address: str) -> InprocOutlet:
        return InprocOutlet(address, self._sent_to)

    def close(self, linger_s: float = 0.0) -> None:
        for inbox in self._inboxes:
            inbox.close()
        self._inboxes.clear()
        for address, mailbox in self._sent_to.items():
            if address not in _bound:  # nobody is there who would ever read it
                _discard(address, mailbox)
        self._sent_to.clear()
