"""The other workers of the run, as far as this one has to do with them."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence

from minipipe.errors import WireFormatError
from minipipe.protocol.delivery.headcount import Headcount
from minipipe.protocol.delivery.membership import Membership, Peer
from minipipe.protocol.wiring import Wiring
from minipipe.stream import records
from minipipe.stream.fanout import topics_for
from minipipe.stream.outbox import Outbox
from minipipe.stream.outlet import Outlet
from minipipe.transport import Inbox


class Peers:
    """Connections of one worker to others, and from them.

    Attributes:
        ident: of this worker.
        membership: who takes part in the run, as it was told.
        headcount: how many of each segment there are to be.
    """

    def __init__(
        self,
        ident: int,
        wiring: Wiring,
        membership: Membership,
        *,
        inbox: Inbox,
        outbox: Outbox,
        outlets: Mapping[int, Outlet],
    ) -> None:
        self.ident = ident
        self.membership = membership
        self.headcount = Headcount()
        self._wiring = wiring
        self._inbox = inbox
        self._outbox = outbox
        self._outlets = outlets
        self._publishers: dict[int, list[str]] = {}  # by producer: where this one has subscribed

    def listed(self, peers: Sequence[tuple[int, int, str, str]]) -> list[Peer]:
        """Those that INIT names, and this worker itself, if it is its own consumer."""
        listed = [Peer(*p) for p in peers]
        segment = self._wiring.segment
        if any(segment in spec.consumers for spec in self._wiring.outlets):
            # In a loop of one: what it puts comes back to itself.
            here = self.membership.host
            listed.append(Peer(self.ident, segment, self._inbox.address, here))
        return listed

    def segment_of(self, ident: int) -> int:
        """The segment of a worker; -1 if that is not known."""
        if ident == self.ident:
            return self._wiring.segment
        peer = self.membership.peers.get(ident)
        return -1 if peer is None else peer.segment

    def workers_of(self, segments: Container[int]) -> list[int]:
        """All workers of these segments, this one included."""
        workers = [self.ident, *self.membership.peers]
        return [ident for ident in workers if self.segment_of(ident) in segments]

    def connect(self, peer: Peer) -> None:
        """Connects to a new peer, if there is anything to say to it."""
        outbox = self._outbox
        for outlet in self._outlets.values():
            spec = outlet.spec
            if peer.segment in spec.consumers:
                outbox.open(peer)
                outlet.consumers.group_of(peer.segment).add(peer.id)
                is_sole = self.headcount.of([peer.segment]) == 1
                publisher = outbox.publisher(spec, peer, is_sole=is_sole)
                where, with_everybody = publisher
                hello = records.Hello(
                    stream=spec.stream,
                    segment=self._wiring.segment,
                    address=self._inbox.address,
                    publisher=where,
                    with_everybody=with_everybody,
                    host=self.membership.host,
                )
                outbox.send(peer.id, hello)
            if peer.segment in spec.receivers and outlet.last_closed >= 0:
                outbox.open(peer)
                outbox.send(peer.id, records.Close(spec.region, outlet.last_closed))
            if peer.segment in spec.ordered_receivers and outlet.ledger is not None:
                outbox.open(peer)
                outlet.ledger.expect_low_watermark(peer.id)
        # Also to those who will only be told of an end, or of a death: once the run is on, nobody
        # depends on the run's directory any more.
        if peer.segment in self._wiring.correspondents or outbox.waits_for(peer.id):
            outbox.open(peer)

    def greeted(self, producer: int, hello: records.Hello) -> None:
        """A producer is there: connects to it, and to what it broadcasts, if it does.

        Its JOIN may come later; or never, if it is to leave.
        """
        addresses = (hello.address, hello.publisher) if hello.publisher else (hello.address,)
        here = hello.host == self.membership.host
        if self._outbox.has_gateway and here and not all(map(self._is_here, addresses)):
            # Whoever could send from another host could send us anywhere.
            raise WireFormatError("it has an address that is none of this run here")
        self._outbox.open(Peer(producer, hello.segment, hello.address, hello.host))
        if hello.publisher and here:
            topics = topics_for(self.ident, with_everybody=hello.with_everybody)
            self._publishers.setdefault(producer, []).append(hello.publisher)
            self._inbox.subscribe(hello.publisher, topics)

    def _is_here(self, address: str) -> bool:
        """Whether an address is where all workers of this host have theirs."""
        return address.rpartition("/")[0] == self._inbox.address.rpartition("/")[0]

    def forget(self, dead: Container[int]) -> None:
        """Nothing more comes of these: their connections would be tried for ever."""
        self._outbox.forget(dead)
        for producer in [ident for ident in self._publishers if ident in dead]:
            for address in self._publishers.pop(producer):
                self._inbox.unsubscribe(address)

    def close_region(self, outlet: Outlet, pass_: int) -> None:
        """Tells all receivers that this pass has ended; the ledger is empty (rule 20)."""
        assert outlet.ledger is not None and outlet.ledger.empty
        outlet.last_closed = pass_
        for peer in self.membership.peers.values():
            if peer.segment in outlet.spec.receivers:
                self._outbox.open(peer)
                self._outbox.send(peer.id, records.Close(outlet.spec.region, pass_))
