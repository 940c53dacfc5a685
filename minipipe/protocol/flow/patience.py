"""How long the ends of a link between two hosts wait for what."""

from __future__ import annotations

from minipipe.protocol.frozen import frozen


@frozen
class Patience:
    """How long an end waits for what.

    Attributes:
        lost_after_s: without a sign of life the other end is lost.
        retry_s: from a failed connection to the next attempt; doubled up to `longest_retry_s`.
    """

    lost_after_s: float = 15.0
    retry_s: float = 0.1
    longest_retry_s: float = 2.0

    @property
    def beat_s(self) -> float:
        """Who has said nothing for so long says that it is there."""
        return self.lost_after_s / 15

    @property
    def silent_s(self) -> float:
        """A connection without a sign of life is replaced: a cable that was pulled says nothing."""
        return self.lost_after_s / 5

    @property
    def hold_s(self) -> float:
        """From here on nobody begins anything."""
        return self.lost_after_s * 2 / 3


DEFAULT = Patience()
