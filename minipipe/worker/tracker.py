"""The resource tracker that a worker writes to: the caller's, not one of its own."""

from __future__ import annotations

from typing import Any


def use_tracker(fd: int) -> None:
    """What is registered from now on goes to the tracker behind `fd`, as after a spawn."""
    from multiprocessing import resource_tracker  # on Windows there is none

    tracker: Any = resource_tracker._resource_tracker
    tracker._fd = fd
    tracker._pid = None  # it is no child of ours
