"""Batches of a dataset on a device, copied there ahead of their turn."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from minipipe.torch.ahead import on_device
from minipipe.torch.datasets.passes import Pass
from minipipe.torch.uploads_of import uploads_of


class OnDevice:
    """A pass whose batches are on a device.

    After an error the pass is over: batches behind it may be under way already.

    Args:
        batches: The pass, on the CPU.
        device: Where they shall be.
        prefetch: How many are under way beside the one that was handed out.
    """

    def __init__(self, batches: Pass, device: Any, prefetch: int) -> None:
        self._batches = batches
        batches.keep_private()
        # Only now, as the workers may be forked from this process: CUDA would not survive that.
        uploads = uploads_of(device, prefetch)
        self._placed: Any = on_device(batches, uploads, prefetch, batches.is_ready)

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        return next(self._placed)

    def is_ready(self) -> bool:
        """Whether the next one need not be waited for."""
        return False

    def keep_private(self) -> None:
        """Nobody else has them."""

    def close(self) -> None:
        """Leaves the pass."""
        self._placed.close()
        self._batches.close()
