"""A network in one process, whose every message waits until it is told to arrive.

Between two processes messages keep their order; nothing else is sure.  What a dead process has sent
may be cut off at any point of each link, and the rest may come at any later time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

from minipipe.transport import LOCAL, Buffer

PLACE = "world/"
Message = list[Buffer]
Deliver = Callable[[Message], None]


class Listener(Protocol):
    """Somebody that messages are sent to."""

    @property
    def queue(self) -> Queue:
        """Where those that have arrived are put."""


class Queue(Protocol):
    """Takes the messages of a listener."""

    def append(self, message: Message, /) -> None:
        """Puts one behind the others."""


class Links:
    """All messages under way: FIFO from each process to each place where another one listens."""

    def __init__(self) -> None:
        self.under_way: dict[tuple[str, str], deque[tuple[Deliver, Message]]] = {}
        self.inboxes: dict[str, Listener] = {}
        self.publishers: dict[str, SimPublisher] = {}

    def send(self, sender: str, address: str, deliver: Deliver, message: Sequence[Buffer]) -> None:
        copied = [bytes(part) for part in message]
        self.under_way.setdefault((sender, address), deque()).append((deliver, copied))

    def ready(self) -> list[tuple[str, str]]:
        """The links on which something is under way."""
        return [link for link, messages in self.under_way.items() if messages]

    def arrive(self, link: tuple[str, str]) -> None:
        """The oldest message of a link arrives."""
        deliver, message = self.under_way[link].popleft()
        deliver(message)

    def cut(self, process: str, keep: Callable[[int], int]) -> None:
        """A process has died: nothing reaches it, and of what it sent only the beginning arrives.

        Args:
            keep: how many of so many messages of one link.
        """
        for (sender, address), messages in self.under_way.items():
            if owner_of(address) == process:
                messages.clear()
            elif sender == process:
                kept = keep(len(messages))
                while len(messages) > kept:
                    messages.pop()


def owner_of(address: str) -> str:
    """The process that listens at an address."""
    return address.removeprefix(PLACE).partition(":")[0]


def address_of(process: str, name: str) -> str:
    """Where a process listens by this name: all of them do in one place, as in a directory."""
    return f"{PLACE}{process}:{name}"


class SimTransport:
    """The sockets of one process.

    Args:
        step: called where others could come between; a killed process raises there.
    """

    def __init__(self, links: Links, process: str, step: Callable[[], None]) -> None:
        self.links = links
        self.process = process
        self.step = step

    def bind(self, name: str) -> SimInbox:
        inbox = SimInbox(self, address_of(self.process, name))
        self.links.inboxes[inbox.address] = inbox
        return inbox

    def connect(self, address: str) -> SimOutlet:
        return SimOutlet(self, address)

    def publish(self, name: str) -> SimPublisher:
        publisher = SimPublisher(self, address_of(self.process, name))
        self.links.publishers[publisher.address] = publisher
        return publisher

    def remove(self, name: str) -> None:
        """There are no files here."""

    def close(self, linger_s: float = 0.0) -> None:
        """What was sent still arrives."""


class SimInbox:
    def __init__(self, transport: SimTransport, address: str) -> None:
        self.address = self.bound_address = address
        self.trust = LOCAL
        self.queue: deque[Message] = deque()
        self._transport = transport

    def receive(self) -> Message | None:
        return self.queue.popleft() if self.queue else None

    def wait(self, timeout_s: float | None, also: Sequence[int] = ()) -> list[int]:
        self._transport.step()
        return []

    def receive_within(self, timeout_s: float, also: Sequence[int] = ()) -> Message | None:
        self._transport.step()
        return self.receive()

    def subscribe(self, address: str, topics: Sequence[bytes]) -> None:
        publisher = self._transport.links.publishers[address]
        for topic in topics:
            self._transport.links.send(
                self._transport.process, address, publisher.subscribed(self), [topic]
            )

    def unsubscribe(self, address: str) -> None:
        """What was sent still arrives: from the dead, of whom nothing counts."""

    def close(self) -> None:
        self.queue.clear()


class SimOutlet:
    def __init__(self, transport: SimTransport, address: str) -> None:
        self._transport = transport
        self._address = address

    def send(self, message: Sequence[Buffer]) -> None:
        self._transport.step()  # it may die between two sends
        inbox = self._transport.links.inboxes[self._address]
        links, process = self._transport.links, self._transport.process
        links.send(process, self._address, inbox.queue.append, message)

    def close(self) -> None:
        """What was sent still arrives."""


class SimPublisher:
    def __init__(self, transport: SimTransport, address: str) -> None:
        self.address = address
        self._transport = transport
        self._topics: dict[bytes, list[SimInbox]] = {}
        self._new: list[bytes] = []

    def subscribed(self, inbox: SimInbox) -> Deliver:
        def deliver(message: Message) -> None:
            topic = bytes(message[0])
            self._topics.setdefault(topic, []).append(inbox)
            if len(self._topics[topic]) == 1:
                self._new.append(topic)

        return deliver

    def fileno(self) -> int:
        return -1

    def subscriptions(self) -> list[bytes]:
        new, self._new = self._new, []
        return new

    def send(self, topic: bytes, message: Sequence[Buffer]) -> None:
        self._transport.step()
        links, process = self._transport.links, self._transport.process
        for inbox in self._topics.get(topic, []):
            # A connection of its own: its messages may overtake those that the outlet sends.
            links.send(process, f"{inbox.address}#{self.address}", inbox.queue.append, message)

    def close(self) -> None:
        """What was sent still arrives."""
