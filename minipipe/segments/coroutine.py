"""How a Regulator's coroutine is driven: items in, any number of outputs for each."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator
from types import GeneratorType
from typing import Any

from minipipe.errors import BuildError
from minipipe.errors.cause import because
from minipipe.segments.markers import EndOfStream


class Coroutine:
    """A coroutine that is made anew when it has ended.

        output = coroutine.send(item)
        while output is not None:
            ...
            output = coroutine.more()

    What it raises passes through; it is then made anew for the next item.

    Attributes:
        lost: how many items it had taken since its last output when it let EndOfStream pass, though
            it seems to hold some of them.
    """

    def __init__(self, make: Callable[[], Any], where: str) -> None:
        self._make = make
        self._where = where
        self._running: Generator[Any, Any, Any] | None = None
        self._since_output = 0
        self._first_lists: dict[str, tuple[int, int]] = {}
        self._last = 0  # the `id` of the item that it was sent last
        self.lost = 0

    def prime(self) -> None:
        """Makes it, if there is none, and takes it to its first `yield`.

        Raises:
            BuildError: what was made is no coroutine.
        """
        if self._running is not None:
            return
        made = self._make()
        if not isinstance(made, Generator):
            raise BuildError(
                f"the functor of {self._where} returned {made!r}: it has to be a coroutine "
                "function, which takes items by `item = yield`"
            )
        try:
            next(made)
        except StopIteration:
            why = "ended before its first `yield`, so it can take no item"
            error = BuildError(f"the coroutine of {self._where} {why}")
            raise because(error, None) from None
        self._running = made
        self._first_lists = _lists_in(made)

    def send(self, item: Any) -> Any:
        """Sends `item`; returns the first output, or None."""
        self.prime()
        assert self._running is not None
        running = self._running
        self._since_output += 1
        self._last = id(item)
        return self._advance(lambda: running.send(item))

    def more(self) -> Any:
        """The next output, or None: it waits for an item, or has ended."""
        running = self._running
        return None if running is None else self._advance(lambda: next(running))

    def finish(self) -> Any:
        """Tells it that the stream has ended; returns the first output, or None."""
        running = self._running
        if running is None:
            return None
        held = self._since_output if self._holds_some(running) else 0

        def end() -> Any:
            try:
                return running.throw(EndOfStream())
            except EndOfStream:
                self.lost = held
                raise

        return self._advance(end)

    def _holds_some(self, running: Generator[Any, Any, Any]) -> bool:
        """Whether a list in it is not empty, and not what it was before the first item.

        (One that passes on some items only, and gathers nothing, need not know of the end.)
        """
        return any(
            size > 0 and (ident, size) != self._first_lists.get(name) and ident != self._last
            for name, (ident, size) in _lists_in(running).items()
        )

    def close(self) -> None:
        """Ends it, running what is open in it."""
        running, self._running = self._running, None
        if running is not None:
            running.close()

    def _advance(self, step: Callable[[], Any]) -> Any:
        running, self._running = self._running, None
        try:
            output = step()
        except (StopIteration, EndOfStream):
            return None
        self._running = running
        if output is not None:
            self._since_output = 0
        return output


def _lists_in(running: Generator[Any, Any, Any]) -> dict[str, tuple[int, int]]:
    """The lists that a coroutine has in its variables, and its object in its attributes."""
    frame = running.gi_frame if isinstance(running, GeneratorType) else None
    variables = {} if frame is None else dict(frame.f_locals)
    variables.update(getattr(variables.get("self"), "__dict__", {}))
    return {
        name: (id(value), len(value))
        for name, value in variables.items()
        if isinstance(value, list | deque | bytearray)
    }


def lost_tail(where: str, items: int) -> str:
    """What to say of a coroutine that has let its last items go."""
    count = "1 item" if items == 1 else f"{items} items"
    return (
        f"{where} took {count} after its last output, and let EndOfStream pass: catch "
        "mp.EndOfStream around its `yield`, and yield what it still holds"
    )
