"""Pinned buffers, used in turn: for what does not lie in registered memory."""

from __future__ import annotations

from typing import Any

from minipipe.torch.driver import Driver

_UNIT_BYTES = 64 * 1024


class Ring:
    """The pinned buffers of one process, for one device.

    Args:
        driver: The device's.
        most: How many are kept that are free.
    """

    def __init__(self, driver: Driver, most: int = 8) -> None:
        self._driver = driver
        self._most = most
        self._free: list[Any] = []

    def take(self, size_bytes: int) -> Any:
        """Returns a pinned tensor, uint8[at least size_bytes], that nothing is copied from."""
        fitting = [buffer for buffer in self._free if len(buffer) >= size_bytes]
        if fitting:
            found = min(fitting, key=len)
            # Not `remove`, which would ask torch whether tensors are equal.
            self._free = [buffer for buffer in self._free if buffer is not found]
            return found
        # Of a size for others, too: to pin memory takes as long as to copy it a few times.
        size = max(size_bytes + size_bytes // 8, 1)
        return self._driver.pinned(-(-size // _UNIT_BYTES) * _UNIT_BYTES)

    def give_back(self, buffer: Any) -> None:
        """The device has read it."""
        self._free.append(buffer)
        if len(self._free) > self._most:
            self._free.sort(key=len)
            del self._free[0]  # larger ones are good for all

    def clear(self) -> None:
        """Lets all of them go."""
        self._free.clear()
