"""What programs written for MiniPipe 0.1.9 use, and others need not: its queues, logger, arguments.

(`mp.Pipe`, the name that `mp.Segment` had, is an alias in `minipipe/__init__.py`.)
"""

from __future__ import annotations

import queue
from collections import deque
from collections.abc import Mapping
from typing import Any

from minipipe.errors import OptionError, did_you_mean
from minipipe.process.logs import LEVELS, logger, set_level


def without_effect(options: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the options of a stream without those that its documents had and that did nothing."""
    return {name: value for name, value in options.items() if name != "queue_type"}


def segments_and_monitor(segments: Any, monitor: Any) -> tuple[Any, Any]:
    """Returns the arguments of a PipeLine, whose first one was `monitor`."""
    return ((), segments) if isinstance(segments, bool) else (segments, monitor)


class SeedQueue:
    """What `stream.q` was in 0.1.9, before the run: a queue, in this process."""

    def __init__(self) -> None:
        self.items: deque[Any] = deque()
        self.used = False  # a run has begun with these

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        """Adds a seed; the first one after a run takes the place of those that it began with."""
        if self.used:
            self.items.clear()
            self.used = False
        self.items.append(item)

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """The oldest item.

        Raises:
            queue.Empty: there is none; nobody else would put one, so it does not wait.
        """
        if not self.items:
            raise queue.Empty
        return self.items.popleft()

    put_nowait = put
    get_nowait = get

    def empty(self) -> bool:
        return not self.items

    def qsize(self) -> int:
        return len(self.items)


class QueueMethods:
    """The methods of a stream that a queue has: they see what the stream holds before the run."""

    q: SeedQueue
    buffer_size: int | None

    def get(self, timeout: float | None = None) -> Any:
        """Takes a seed out again; None if there is none."""
        return None if self.q.empty() else self.q.get()

    def empty(self) -> bool:
        return self.q.empty()

    def full(self) -> bool:
        return self.buffer_size is not None and self.q.qsize() >= self.buffer_size

    def capacity(self) -> float:
        """How full it is, in percent of `buffer_size`; 0 where that is automatic."""
        return 100.0 * self.q.qsize() / self.buffer_size if self.buffer_size else 0.0

    def flush(self) -> None:
        """Takes all seeds out."""
        while not self.q.empty():
            self.q.get()


class Logger:
    """Logs messages, to the standard logger `minipipe`, under the name of whoever sends them.

    Args:
        lvl: what is at least as grave is shown: "INFO", "DEBUG", "WARNING", "ERROR", "CRITICAL".

    Raises:
        OptionError: no such level.
    """

    def __init__(self, lvl: str = "INFO") -> None:
        set_level(lvl)

    def log(self, msg: object, name: str, lvl: str = "info") -> None:
        """Logs `msg` as coming from `name`.

        Raises:
            OptionError: no such level.
        """
        level = LEVELS.get(str(lvl).upper())
        if level is None:
            known = ", ".join(LEVELS)
            raise OptionError(
                f"lvl is one of {known} (any case), got {lvl!r}"
                f"{did_you_mean(str(lvl).upper(), LEVELS)}"
            )
        logger.log(level, "%s - %s", name, msg)
