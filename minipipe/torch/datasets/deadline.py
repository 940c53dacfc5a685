"""A limit to how long the loop waits for a batch."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType


class Deadline:
    """Calls something when a wait takes too long: `with deadline: ...`, as often as you like.

    One thread watches, from the first wait on: a timer for each would be a thread for each batch.

    Args:
        seconds: The limit.
        expired: Called by the watching thread, once.
    """

    def __init__(self, seconds: float, expired: Callable[[], object]) -> None:
        self._seconds = seconds
        self._expired = expired
        self._condition = threading.Condition()
        self._until_s: float | None = None  # None: nobody waits
        self._thread: threading.Thread | None = None
        self._is_over = False
        self.has_passed = False

    def __enter__(self) -> None:
        with self._condition:
            self._until_s = time.monotonic() + self._seconds
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._watch, name="minipipe-deadline", daemon=True
                )
                self._thread.start()
            self._condition.notify()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._condition:
            self._until_s = None

    def close(self) -> None:
        """Ends the thread."""
        with self._condition:
            self._is_over = True
            self._condition.notify()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()

    def _watch(self) -> None:
        with self._condition:
            while not self._is_over:
                left_s = None if self._until_s is None else self._until_s - time.monotonic()
                if left_s is not None and left_s <= 0.0:
                    self.has_passed = True
                    self._expired()
                    return
                self._condition.wait(left_s)
