"""A device that is none: its memory is this process's, and its copies are done when a test says so.

A copy reads its source when it is done, not when it is begun, as a GPU may: what was changed in
between arrives changed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

import torch

from minipipe.torch.driver import Event, RefusedError


class FakeEvent:
    def __init__(self, driver: FakeDriver, number: int) -> None:
        self.driver = driver
        self.number = number
        self.waited = 0

    def done(self) -> bool:
        self.driver.check()
        return self.driver.done >= self.number

    def wait(self) -> None:
        self.waited += 1
        self.driver.waits += 1
        self.driver.complete(self.number - self.driver.done)


class FakeDriver:
    """Attributes: what a test looks at, and what it may set."""

    def __init__(self, *, at_once: bool = False) -> None:
        self.at_once = at_once  # copies are done as soon as an event is recorded
        self.refuses: Callable[[int], bool] = lambda size_bytes: False
        self.registered: dict[int, int] = {}
        self.asked: list[int] = []  # sizes of all that was to be registered
        self.buffers = 0
        self.copies: list[int] = []  # sizes of all copies
        self.direct = 0  # of these, how many from registered memory
        self.from_pageable = 0
        self.done = 0
        self.handed_over = 0
        self.waits = 0
        self.moves = 0
        self._begun: deque[tuple[Any, Any]] = deque()
        self._number = 0
        self._events: list[int] = []
        self._pinned: list[Any] = []
        self._error = ""

    def check(self) -> None:
        """As CUDA: an error that was left behind is raised by whatever is called next."""
        if self._error:
            raise RuntimeError(f"CUDA error: {self._error}")

    def register(self, address: int, size_bytes: int) -> None:
        self.check()
        self.asked.append(size_bytes)
        assert size_bytes > 0
        for begin, size in self.registered.items():
            assert address + size_bytes <= begin or begin + size <= address, "registered twice"
        if self.refuses(size_bytes):
            self._error = "invalid argument"
            raise RefusedError(self._error)
        self.registered[address] = size_bytes

    def unregister(self, address: int) -> None:
        self.check()
        size = self.registered.pop(address)
        for _, source in self._begun:
            at = source.data_ptr()
            assert not address <= at < address + size, "a copy reads from there"

    def clear_error(self) -> None:
        self._error = ""

    def pinned(self, size_bytes: int) -> Any:
        self.check()
        self.buffers += 1
        made = torch.zeros(size_bytes, dtype=torch.uint8)
        self._pinned.append(made)
        return made

    def empty(self, size_bytes: int) -> Any:
        self.check()
        return torch.full((size_bytes,), 255, dtype=torch.uint8)

    def copy(self, target: Any, source: Any) -> None:
        self.check()
        assert target.shape == source.shape and target.dtype is source.dtype is torch.uint8
        at, size = source.data_ptr(), len(source)
        if any(b <= at and at + size <= b + n for b, n in self.registered.items()):
            self.direct += 1
        elif not any(p.data_ptr() <= at < p.data_ptr() + len(p) for p in self._pinned):
            self.from_pageable += 1
        self.copies.append(size)
        self._begun.append((target, source))
        self._number += 1

    def record(self) -> FakeEvent:
        self.check()
        if self.at_once:
            self.complete()
        return FakeEvent(self, self._number)

    def complete(self, count: int | None = None) -> None:
        """The next copies are done: all of them, or so many."""
        for _ in range(len(self._begun) if count is None else count):
            target, source = self._begun.popleft()
            target.copy_(source)
            self.done += 1

    def hand_over(self, event: Event, targets: list[Any]) -> None:
        self.check()
        self.handed_over += 1

    def moved(self, tensor: Any) -> Any:
        self.check()
        self.moves += 1
        return tensor.clone()
