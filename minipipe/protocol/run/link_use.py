"""What went over the links of a run to other machines, and how long that took."""

from __future__ import annotations

from dataclasses import dataclass

from minipipe.protocol.run.stats_table import count


@dataclass(frozen=True, slots=True)
class LinkUse:
    """The link of one machine so far: items only.

    Attributes:
        host: the machine.
        seconds: so long ago the first items went over it.
        to_s, from_s: for so long something was under way to it, or from it: it was sent, or waited
            for room, and was not acknowledged yet.
        to_bytes, from_bytes: what was sent; from it also over links of its own to other machines.
    """

    host: str
    seconds: float = 0.0
    to_s: float = 0.0
    to_bytes: int = 0
    from_s: float = 0.0
    from_bytes: int = 0

    @property
    def to_share(self) -> float:
        """In which part of its time something was under way to it."""
        return self.to_s / self.seconds if self.seconds else 0.0

    @property
    def from_share(self) -> float:
        """In which part of its time something was under way from it."""
        return self.from_s / self.seconds if self.seconds else 0.0

    def __str__(self) -> str:
        to = f"{count(self.to_bytes)} B there ({self.to_share:.0%} of the time under way)"
        back = f"{count(self.from_bytes)} B from there ({self.from_share:.0%})"
        return f"link to {self.host}: {to}, {back}"
