"""The way to another host: its link, and what waits until that has room."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

from minipipe.protocol.flow.stopwatch import Stopwatch
from minipipe.transport import Buffer
from minipipe.transport.hosts.link_end import LinkEnd

USE_S = 0.5  # how a way is used is said this often, if it is used

Message = tuple[Sequence[Buffer], Callable[[], object] | None]


class Used(Protocol):
    """What items go by."""

    @property
    def sent_bytes(self) -> int:
        """What was sent."""

    @property
    def under_way_s(self) -> float:
        """For how long something was under way."""


class Way:
    """What is sent to one host.

    Nothing is bounded here: credit bounds what workers send, and what else is said is little.

    Attributes:
        sent_bytes: of items, those included that still wait.

    Args:
        end: of the link.
    """

    def __init__(self, end: LinkEnd) -> None:
        self.end = end
        self._urgent: deque[Message] = deque()  # what is said: it does not wait behind items
        self._items: deque[Message] = deque()
        self._sent: deque[tuple[int, Callable[[], object]]] = deque()
        self.sent_bytes = 0
        self._last_item = 0  # the number of the last message of items
        self._under_way = Stopwatch()
        self._used_s, self._used_bytes = 0.0, 0  # when that was said, and what

    def say(self, frames: Sequence[Buffer]) -> None:
        """Sends a word (`agent.words.say`), before items that wait."""
        self._urgent.append((frames, None))
        self.pump()

    def send(self, frames: Sequence[Buffer], release: Callable[[], object] | None = None) -> None:
        """Sends items.

        Args:
            release: is called when the memory of the frames may be used again.
        """
        self._items.append((frames, release))
        self.sent_bytes += sum(memoryview(frame).nbytes for frame in frames)
        self.pump()

    @property
    def under_way_s(self) -> float:
        """For how long there were items that the other host had not acknowledged yet."""
        return self._under_way.total_s(time.monotonic())

    def use(self, now_s: float, beside: Used | None = None) -> tuple[int, int] | None:
        """For how long items were under way, in ns, and their bytes; None: nothing to be said.

        Args:
            beside: what went other ways, and counts, too.
        """
        if now_s - self._used_s < USE_S:
            return None
        ways = [self] if beside is None else [self, beside]
        sent_bytes = sum(way.sent_bytes for way in ways)
        if sent_bytes == self._used_bytes:
            return None
        self._used_s, self._used_bytes = now_s, sent_bytes
        return round(max(way.under_way_s for way in ways) * 1e9), sent_bytes

    @property
    def waits(self) -> bool:
        """Whether something has no room yet."""
        return bool(self._urgent or self._items)

    def has_no_workers(self) -> None:
        """Nobody here has state that the other host would be waited for.

        (An agent that was cut off between the end of such workers and that of their run waited for
        five minutes for what was over.)
        """
        if not self.waits:
            self.end.wait_as_at_first()

    def pump(self) -> None:
        """Gives the link what it has room for, and back what it needs no more."""
        end = self.end
        while end.has_room and (self._urgent or self._items):
            is_item = not self._urgent
            frames, release = (self._urgent or self._items).popleft()
            number = end.send(frames)
            if is_item:
                self._last_item = number
            if release is not None:
                self._sent.append((number, release))
        while self._sent and self._sent[0][0] <= end.released:
            self._sent.popleft()[1]()
        is_any = bool(self._items) or self._last_item > end.released
        self._under_way.look(is_any, time.monotonic())

    def drop(self) -> None:
        """The other host is gone: nothing of what waits is sent."""
        for _, release in [*self._urgent, *self._items]:
            if release is not None:
                release()
        for _, release in self._sent:
            release()
        self._urgent.clear()
        self._items.clear()
        self._sent.clear()
