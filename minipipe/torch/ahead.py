"""Items that are copied to a device ahead of their turn."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from minipipe.torch.uploads import Upload, Uploads


def on_device(
    items: Iterator[Any], uploads: Uploads, prefetch: int, is_ready: Callable[[], bool]
) -> Iterator[Any]:
    """Yields items on a device, with copies of the next ones under way.

    What raises an error is raised in its turn: behind all items that came before.

    Args:
        items: On the CPU; nobody else has them.
        uploads: To that device.
        prefetch: How many copies may be under way beside that of the item handed out.
        is_ready: Whether the next item is there: nobody waits for one only to copy it ahead.
    """
    waiting: deque[Upload] = deque()
    error: BaseException | None = None
    while True:
        while error is None and len(waiting) <= prefetch and (not waiting or is_ready()):
            try:
                waiting.append(uploads.begin(next(items)))
            except Exception as raised:
                error = raised
        if waiting:
            yield uploads.finished(waiting.popleft())
        elif isinstance(error, StopIteration):
            uploads.poll()
            return
        elif error is not None:
            raise error
