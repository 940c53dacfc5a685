"""The two ways of a link, as one end knows them: what it has sent, and what it has received."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

from minipipe.protocol.flow.link_frames import Message

# Acknowledgements wait for each other: so many messages, so long, or this part of the window.
ACKNOWLEDGE_MESSAGES = 16
ACKNOWLEDGE_S = 0.02
ACKNOWLEDGE_PART = 4


class Sent:
    """The messages of this end, which are kept until they are acknowledged."""

    def __init__(self) -> None:
        self._kept: deque[Message] = deque()
        self.kept_bytes = 0
        self.last = 0  # the number that was given last
        self._next = 1  # the one to go into the connection next

    @property
    def acknowledged(self) -> int:
        """All messages up to this one were acknowledged."""
        return self._kept[0].number - 1 if self._kept else self.last

    def add(self, body: object, size_bytes: int) -> int:
        """Gives a message its number."""
        self.last += 1
        self._kept.append(Message(self.last, size_bytes, body))
        self.kept_bytes += size_bytes
        return self.last

    def take(self) -> Message | None:
        """The next one for the connection, if there is one."""
        if self._next > self.last:
            return None
        message = self._kept[self._next - self._kept[0].number]
        self._next += 1
        return message

    def go_on_after(self, number: int) -> None:
        """A new connection: what comes after this number is sent, once more or at last."""
        self._next = number + 1

    def recut(self, into: Callable[[object], Iterable[tuple[object, int]]]) -> None:
        """What is to be sent next, and all behind it, becomes other messages, of other numbers."""
        kept, self._kept = self._kept, deque()
        for message in kept:
            if message.number < self._next:
                self._kept.append(message)
        self.last = self._next - 1
        self.kept_bytes = sum(message.size_bytes for message in self._kept)
        for message in list(kept)[len(self._kept) :]:
            for body, size_bytes in into(message.body):
                self.add(body, size_bytes)

    def release(self, number: int) -> list[Message]:
        """All up to this number were acknowledged; those of them that were still kept."""
        released = list[Message]()
        while self._kept and self._kept[0].number <= number:
            released.append(self._kept.popleft())
            self.kept_bytes -= released[-1].size_bytes
        self._next = max(self._next, number + 1)
        return released


class Received:
    """The messages of the other end, which are acknowledged when they were handed over here.

    Args:
        window_bytes: the other end keeps no more than this without an acknowledgement.
    """

    def __init__(self, window_bytes: int) -> None:
        self._window_bytes = window_bytes
        self.last = 0  # all up to this one have arrived
        self._early: dict[int, Message] = {}  # what came on a faster lane
        self._waiting: deque[tuple[int, int]] = deque()  # number, size: not handed over yet
        self._handed = 0
        self._handed_bytes = 0  # since the last acknowledgement
        self._told = 0  # what was acknowledged last
        self.tell_by_s: float | None = None

    @property
    def all_told(self) -> bool:
        """Whether the other end was told that everything was handed over."""
        return self._told == self.last

    def take(self, message: Message) -> list[Message]:
        """What can be handed over now, in order; nothing, if it has come before."""
        if message.number <= self.last or message.number in self._early:
            return []
        self._early[message.number] = message
        ready = []
        while (following := self._early.pop(self.last + 1, None)) is not None:
            self.last += 1
            self._waiting.append((following.number, following.size_bytes))
            ready.append(following)
        return ready

    def handed_over(self, number: int, now_s: float) -> None:
        """All up to this number are with those whom they are for."""
        while self._waiting and self._waiting[0][0] <= number:
            self._handed, size_bytes = self._waiting.popleft()
            self._handed_bytes += size_bytes
        if self._handed > self._told and self.tell_by_s is None:
            self.tell_by_s = now_s + ACKNOWLEDGE_S

    def forget_early(self) -> None:
        """A new connection: what came early on the last one comes again, perhaps cut otherwise."""
        self._early.clear()

    def tell_again(self, now_s: float) -> None:
        """A new connection: what was told on the last one may never have been heard."""
        if self._handed:
            self.tell_by_s = now_s

    def acknowledge(self, now_s: float, *, at_once: bool) -> int | None:
        """The number to acknowledge now; None: nothing, or it waits for more.

        Args:
            at_once: nothing more may come, so it waits for nothing.
        """
        if self.tell_by_s is None:
            return None
        if not (
            at_once
            or now_s >= self.tell_by_s
            or self._handed - self._told >= ACKNOWLEDGE_MESSAGES
            or self._handed_bytes >= self._window_bytes / ACKNOWLEDGE_PART
        ):
            return None
        self._told, self._handed_bytes, self.tell_by_s = self._handed, 0, None
        return self._told
