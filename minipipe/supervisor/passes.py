"""The passes of a run, as the caller asks for them and waits for their ends."""

from __future__ import annotations

import threading
from collections.abc import Callable

from minipipe.protocol.run import lifecycle as life


class Passes:
    """The caller's side of passes; as an `Observer` it sees when they end.

    Args:
        post: hands an event to the conductor; any thread may, also a signal handler.
        first: the number of the pass that the run begins with.

    Attributes:
        last: the number of the pass that was asked for last.
    """

    def __init__(self, post: Callable[[life.Event], None], first: int = 0) -> None:
        self._post = post
        self.last = first
        self._is_over = threading.Event()
        self._run_ended = False

    def ask(self) -> int:
        """Asks for the next pass, when the one before is over; its number."""
        assert self.is_over
        self.last += 1
        self._is_over.clear()
        if self._run_ended:
            self._is_over.set()
        self._post(life.PassAsked())
        return self.last

    def leave(self) -> None:
        """Nobody wants the rest of the last pass."""
        self._post(life.PassLeft(self.last))

    def no_more(self) -> None:
        """The run ends with the pass that is on, or at once if none is."""
        self._post(life.CloseAsked())

    @property
    def is_over(self) -> bool:
        """Whether the last pass has ended, or was left; or the run has ended."""
        return self._is_over.is_set()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Waits until it is over; False if `timeout_s` came first."""
        return self._is_over.wait(timeout_s)

    def end(self) -> None:
        """The run has ended."""
        self._run_ended = True
        self._is_over.set()

    # ------------------------------------------------------------ as an observer
    def event(self, event: life.Event, now_s: float) -> None:
        pass  # what is decided about it counts

    def action(self, action: life.Action, now_s: float) -> None:
        if isinstance(action, life.PassEnded) and action.pass_ == self.last:
            self._is_over.set()

    def due_in_s(self, now_s: float) -> float | None:
        return None
