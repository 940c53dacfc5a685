"""What lies beside the pickle of an item: large arrays and buffers, in slots or frames."""

from __future__ import annotations

import pickle
from typing import Protocol

from minipipe.codec.arrays import frozen_copy
from minipipe.codec.lender import Lender
from minipipe.codec.writer import Writer

# Smaller buffers stay in the pickle: to be copied twice more takes less than a frame.
IN_BAND_BYTES = 32 * 1024


class Destination(Protocol):
    """Where items go; as an encoder has it."""

    exclusive: bool


class Beside:
    """Takes what is large out of an item while that is pickled.

    Args:
        lender: As an encoder's.
        to: Where the item goes.

    Attributes:
        is_used: Whether this item has anything here.
        nodes: Of what was taken out, in the order in which the pickle refers to it.
    """

    def __init__(self, lender: Lender | None, to: Destination) -> None:
        self.is_used = False
        self.nodes: list[object] = []
        self._lender = lender
        self._to = to
        self._writer: Writer | None = None
        self._staged: list[object] | None = None

    @property
    def writer(self) -> Writer:
        """What writes nodes for this item."""
        if self._writer is None:
            self.is_used = True
            self._writer = Writer(self._lender, self._to.exclusive)
        return self._writer

    def stage(self, node: list[object]) -> None:
        """The next buffer of the pickle stands for the value of this node."""
        self._staged = node

    def is_in_band(self, buffer: pickle.PickleBuffer) -> bool:
        """Whether the pickle is to hold a buffer itself: for its `buffer_callback`."""
        staged = self._staged
        if staged is not None:
            self.nodes.append(staged)
            self._staged = None
            return False
        view = buffer.raw()
        if view.nbytes < IN_BAND_BYTES:
            return True
        self.nodes.append(self.writer.buffer(frozen_copy(view)))
        return False

    def taken(self) -> tuple[list[object], Writer]:
        """Hands over what this item has here, and is ready for the next one."""
        found = self.nodes, self.writer
        self.nodes, self._writer, self.is_used = [], None, False
        return found

    def clear(self) -> None:
        """Lets go of it all: the item does not travel like that."""
        self._staged = None
        if self._writer is not None:
            self._writer.release()
        self.nodes, self._writer, self.is_used = [], None, False
