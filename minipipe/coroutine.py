"""How a Regulator's coroutine is driven: items in, any number of outputs for each."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

from minipipe.errors import BuildError
from minipipe.markers import EndOfStream


class Coroutine:
    """A coroutine that is made anew when it has ended.

        output = coroutine.send(item)
        while output is not None:
            ...
            output = coroutine.more()

    What it raises passes through; it is then made anew for the next item.
    """

    def __init__(self, make: Callable[[], Any], where: str) -> None:
        self._make = make
        self._where = where
        self._running: Generator[Any, Any, Any] | None = None

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
            raise BuildError(
                f"the coroutine of {self._where} ended before its first `yield`, so it can take "
                "no item"
            ) from None
        self._running = made

    def send(self, item: Any) -> Any:
        """Sends `item`; returns the first output, or None."""
        self.prime()
        assert self._running is not None
        running = self._running
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
        return self._advance(lambda: running.throw(EndOfStream()))

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
        return output
