"""How large the pieces of a link are: as much as its line gets across in a tenth of a second.

A piece is a sign of life, so it has to get across long before a connection counts as silent; each
costs both ends the same, so on a quick line they are large.
"""

from __future__ import annotations

SMALLEST_BYTES = 1 << 16
LARGEST_BYTES = 1 << 21
PIECE_S = 0.1  # a connection may be silent for 3 s: a line may become thirty times as slow at once
SAMPLE_S = 0.01  # what is acknowledged sooner says little: acknowledgements come several at a time


class Pace:
    """How large the next piece may be, as the other end acknowledges the ones before it.

    Attributes:
        piece_bytes: a power of two.

    Args:
        largest_bytes: pieces never become larger.
    """

    def __init__(self, largest_bytes: int = LARGEST_BYTES) -> None:
        self._largest_bytes = max(SMALLEST_BYTES, largest_bytes)
        self.piece_bytes = SMALLEST_BYTES
        self._since_s: float | None = None  # something has been under way all the time
        self._bytes = 0  # acknowledged since then

    def sent(self, now_s: float) -> None:
        """Something is under way, or more of it."""
        if self._since_s is None:
            self._since_s, self._bytes = now_s, 0

    def acknowledged(self, size_bytes: int, now_s: float, *, is_all: bool) -> None:
        """The other end has so much more.

        Args:
            is_all: nothing is under way any more.
        """
        if self._since_s is None:
            return
        self._bytes += size_bytes
        took_s = now_s - self._since_s
        # (Less than a piece came late because the other end waited, not because the line is slow.)
        if took_s >= SAMPLE_S and self._bytes >= self.piece_bytes:
            self._choose(self._bytes / took_s * PIECE_S)
            self._since_s, self._bytes = now_s, 0
        if is_all:
            self._since_s = None

    def broke(self) -> None:
        """The connection has ended: nothing is known of the next one, nor of its line."""
        self.piece_bytes, self._since_s = SMALLEST_BYTES, None

    def _choose(self, fits_bytes: float) -> None:
        most = int(min(fits_bytes, 2 * self.piece_bytes, self._largest_bytes))
        self.piece_bytes = 1 << (max(most, SMALLEST_BYTES).bit_length() - 1)
