"""Who belongs to this run, as one worker knows it: peers, the dead, the epoch.

Worker ids ascend and are never used twice, so a dead id stays dead, and whatever it still sends is
dropped.  All dead ids are a few intervals, between those of the living: so messages do not grow
with the number of deaths.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from minipipe.protocol.delivery.intervals import Interval, IntervalSet

SUPERVISOR: Final = 0
LOCAL_HOST: Final = "local"  # the machine that the supervisor runs on


class Peer(NamedTuple):
    """One worker, as the others are told of it.

    Attributes:
        address: where its inbox can be reached.
        host: the machine that it runs on.
    """

    id: int
    segment: int
    address: str
    host: str = LOCAL_HOST


@dataclass
class Membership:
    """What one worker knows of the others."""

    run: int
    host: str = LOCAL_HOST  # that this worker runs on
    born: bool = False
    epochs: dict[int, int] = field(default_factory=dict)  # by region
    peers: dict[int, Peer] = field(default_factory=dict)
    dead: IntervalSet = field(default_factory=IntervalSet)
    _any_dead: bool = False  # asked for each message

    def admits(self, run: int, sender: int) -> bool:
        """Whether a message from `sender` belongs to this run and is not from the dead."""
        return run == self.run and not (self._any_dead and sender in self.dead)

    def is_local(self, ident: int) -> bool:
        """Whether a worker is known to run on the same host, and so sees the same memory."""
        peer = self.peers.get(ident)
        return peer is not None and peer.host == self.host

    def epoch(self, region: int) -> int:
        """The epoch of a region: it changes with each death there."""
        return self.epochs.get(region, 0)

    def init(
        self, epochs: Iterable[tuple[int, int]], dead: Iterable[Interval], peers: list[Peer]
    ) -> list[Peer]:
        """The first word of the supervisor: from now on this worker takes part.

        Returns the peers that are new.
        """
        for region, epoch in epochs:
            self.epochs[region] = max(self.epoch(region), epoch)
        self.mark_dead(dead)
        self.born = True
        return [peer for peer in peers if self.join(peer)]

    def fence(self, region: int, epoch: int, dead: Iterable[Interval]) -> bool:
        """Takes in a death, or several; False if a later FENCE came before."""
        self.mark_dead(dead)
        if epoch <= self.epoch(region):
            return False
        self.epochs[region] = epoch
        return True

    def mark_dead(self, dead: Iterable[Interval]) -> None:
        """Whatever these still say is not heard any more."""
        for first, stop in dead:
            self.dead.add(first, stop)
            self._any_dead = True
        for ident in [ident for ident in self.peers if ident in self.dead]:
            del self.peers[ident]

    def join(self, peer: Peer) -> bool:
        """Whether `peer` is new here."""
        if peer.id in self.dead or peer.id in self.peers:
            return False
        self.peers[peer.id] = peer
        return True
