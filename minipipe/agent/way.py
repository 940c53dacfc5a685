"""The way to another host: its link, and what waits until that has room."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from minipipe.transport import Buffer
from minipipe.transport.hosts.link_end import LinkEnd

Message = tuple[Sequence[Buffer], Callable[[], object] | None]


class Way:
    """What is sent to one host.

    Nothing is bounded here: credit bounds what workers send, and what else is said is little.

    Args:
        end: of the link.
    """

    def __init__(self, end: LinkEnd) -> None:
        self.end = end
        self._urgent: deque[Message] = deque()  # what is said: it does not wait behind items
        self._items: deque[Message] = deque()
        self._sent: deque[tuple[int, Callable[[], object]]] = deque()

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
        self.pump()

    @property
    def waits(self) -> bool:
        """Whether something has no room yet."""
        return bool(self._urgent or self._items)

    def pump(self) -> None:
        """Gives the link what it has room for, and back what it needs no more."""
        end = self.end
        while end.has_room and (self._urgent or self._items):
            frames, release = (self._urgent or self._items).popleft()
            number = end.send(frames)
            if release is not None:
                self._sent.append((number, release))
        while self._sent and self._sent[0][0] <= end.released:
            self._sent.popleft()[1]()

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
