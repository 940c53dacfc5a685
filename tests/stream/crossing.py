"""What a message becomes on its way from one host to another, in the thread of the test."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from minipipe.protocol.hosts.pieces import Assembler, cut
from minipipe.stream.lifting import Lifting
from minipipe.stream.lowering import Lowering
from minipipe.transport import Buffer


class Crossing:
    """What the gateway of one host does with slots.

    Args:
        limit_bytes: what its own may come to.
    """

    def __init__(self, limit_bytes: int | None = None) -> None:
        self.lowering, self.lifting = Lowering(), Lifting(limit_bytes)
        self._assembler = Assembler(self.lifting.allocate)

    def arrived(self, message: Sequence[Buffer]) -> list[Buffer]:
        """A message of another host, over the link; nothing of it is left there."""
        frames = None
        for piece in cut(message):
            frames = self._assembler.add(piece)
        assert frames is not None
        # (What comes in one piece is in memory of ZeroMQ.)
        return [frame if len(frame) > 1 << 16 else bytes(frame) for frame in frames]

    def cross(
        self, origin: Crossing, message: Sequence[Buffer], receivers: Iterable[int]
    ) -> list[Buffer]:
        """A message of a worker of another host, as it is handed to its receivers here."""
        return list(self.lifting.lift(self.arrived(origin.lowering.lower(message)), receivers))

    def close(self) -> None:
        """Lets go of all."""
        self.lowering.close()
        self.lifting.close()
