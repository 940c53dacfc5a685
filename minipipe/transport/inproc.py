"""The transport within one process: for tests, and as the reference of the contract."""

from __future__ import annotations

import os
import select
from collections import deque
from collections.abc import Sequence
from threading import Lock
from weakref import WeakValueDictionary

from minipipe.errors import TransportError
from minipipe.transport.base import Buffer
from minipipe.transport.trust import LOCAL, Trust


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


class _Topics:
    """Who has subscribed to what at one address, and the news for its publisher if it is there."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.subscribers: dict[bytes, list[_Mailbox]] = {}
        self.news: _Mailbox | None = None

    def opened(self, news: _Mailbox) -> None:
        with self.lock:
            self.news = news
            for topic in self.subscribers:  # those who came before the publisher
                news.put([topic])

    def closed(self) -> None:
        with self.lock:
            self.news = None

    def enter(self, topic: bytes, mailbox: _Mailbox) -> None:
        with self.lock:
            mailboxes = self.subscribers.setdefault(topic, [])
            if not mailboxes and self.news is not None:
                self.news.put([topic])
            if mailbox not in mailboxes:
                mailboxes.append(mailbox)

    def leave(self, mailbox: _Mailbox) -> None:
        with self.lock:
            left = {t: [m for m in ms if m is not mailbox] for t, ms in self.subscribers.items()}
            self.subscribers = {topic: mailboxes for topic, mailboxes in left.items() if mailboxes}

    def put(self, topic: bytes, message: Sequence[Buffer]) -> None:
        with self.lock:
            for mailbox in self.subscribers.get(topic, ()):
                mailbox.put(list(message))


_mailboxes: dict[str, _Mailbox] = {}
_topics: WeakValueDictionary[str, _Topics] = WeakValueDictionary()  # those at its ends keep it
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


def _topics_at(address: str) -> _Topics:
    with _registry_lock:
        return _topics.setdefault(address, _Topics())


def _claim(address: str) -> None:
    """The address is in use from now on, by the caller."""
    with _registry_lock:
        if address in _bound:
            raise TransportError(f"the address {address!r} is in use")
        _bound.add(address)


class InprocInbox:
    """The reading end of a mailbox."""

    def __init__(self, address: str, trust: Trust) -> None:
        self.address = self.bound_address = address
        self.trust = trust
        self._mailbox = _mailbox(address)
        self._subscribed: dict[str, _Topics] = {}
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

    def receive_within(self, timeout_s: float, also: Sequence[int] = ()) -> list[Buffer] | None:
        self.wait(timeout_s, also)
        return self.receive()

    def subscribe(self, address: str, topics: Sequence[bytes]) -> None:
        there = self._subscribed[address] = _topics_at(address)
        for topic in topics:
            there.enter(topic, self._mailbox)

    def unsubscribe(self, address: str) -> None:
        there = self._subscribed.pop(address, None)
        if there is not None:
            there.leave(self._mailbox)

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            for there in self._subscribed.values():
                there.leave(self._mailbox)
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


class InprocPublisher:
    """The writing end of many mailboxes."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._news = _Mailbox()
        self._topics = _topics_at(address)
        self._topics.opened(self._news)
        self._closed = False

    def fileno(self) -> int:
        return self._news.read_fd

    def subscriptions(self) -> list[bytes]:
        topics = []
        while (news := self._news.get()) is not None:
            topics.append(bytes(news[0]))
        return topics

    def send(self, topic: bytes, message: Sequence[Buffer]) -> None:
        self._topics.put(topic, message)

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._topics.closed()
            self._news.close()
            _bound.discard(self.address)


class InprocTransport:
    """Mailboxes by name, in a dict of this process.

    Args:
        base: what their addresses begin with.
        trust: what they accept; None: all, as nobody else can reach them.
    """

    def __init__(self, base: str, trust: Trust | None = None) -> None:
        self._base = base
        self._trust = LOCAL if trust is None else trust
        self._inboxes: list[InprocInbox] = []
        self._publishers: list[InprocPublisher] = []
        self._sent_to: dict[str, _Mailbox] = {}

    def bind(self, name: str) -> InprocInbox:
        address = f"{self._base}/{name}"
        _claim(address)
        inbox = InprocInbox(address, self._trust)
        self._inboxes.append(inbox)
        return inbox

    def connect(self, address: str) -> InprocOutlet:
        return InprocOutlet(address, self._sent_to)

    def publish(self, name: str) -> InprocPublisher:
        address = f"{self._base}/{name}"
        _claim(address)
        publisher = InprocPublisher(address)
        self._publishers.append(publisher)
        return publisher

    def remove(self, name: str) -> None:
        """There is nothing: no other process has addresses here."""

    def close(self, linger_s: float = 0.0) -> None:
        for inbox in self._inboxes:
            inbox.close()
        self._inboxes.clear()
        for publisher in self._publishers:
            publisher.close()
        self._publishers.clear()
        for address, mailbox in self._sent_to.items():
            if address not in _bound:  # nobody is there who would ever read it
                _discard(address, mailbox)
        self._sent_to.clear()
