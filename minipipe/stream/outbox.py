"""Everything that one worker sends: a link to each peer, a fan-out for each broadcast."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Sequence
from typing import Final, NamedTuple

from minipipe.codec import Parcel, parts_of
from minipipe.protocol.delivery.intervals import Interval
from minipipe.protocol.delivery.membership import LOCAL_HOST, SUPERVISOR, Membership, Peer
from minipipe.protocol.delivery.paths import Path
from minipipe.protocol.flow.credit import Grant
from minipipe.protocol.wiring import OutletSpec
from minipipe.stream import records, wire
from minipipe.stream.definitions import DefinitionsSent
from minipipe.stream.fanout import Fanout
from minipipe.stream.fields import flat
from minipipe.stream.link import Link
from minipipe.stream.memory import references, sizes
from minipipe.stream.page import PARCELS, Page
from minipipe.stream.shipment import Shipment
from minipipe.stream.uplink import Uplink
from minipipe.transport import Transport

# A message each for every large item would cost as much as the item; much more than this is a
# waste of shared memory, which is cold when it is used again.
OWES_BYTES: Final = 16 * 1024 * 1024
_ITEMS: Final = records.Items
_new: Final = tuple.__new__  # half the time of a named tuple's own
NO_SEGMENT: Final = -1  # that the supervisor is of
GATEWAY: Final = -1  # in the place of a worker
DIRECT: Final = -1  # in the place of a broadcast stream: the link to one peer


def inbox_name(ident: int) -> str:
    """What the inbox of a worker is bound to."""
    return f"{ident:x}"


def publisher_name(ident: int, spec: OutletSpec) -> str:
    """What the publisher of a worker's broadcast is bound to."""
    return f"{ident:x}p{spec.stream:x}"


def names_of(ident: int, outlets: Iterable[OutletSpec]) -> list[str]:
    """All that a worker binds."""
    return [inbox_name(ident), *(publisher_name(ident, spec) for spec in outlets if spec.broadcast)]


class Outbox:
    """Sends records and parcels; who may be unknown yet gets them when its address is known."""

    def __init__(
        self,
        membership: Membership,
        ident: int,
        transport: Transport,
        supervisor: str,
        page: Page,
        outlets: Iterable[OutletSpec],
        gateway: str = "",
    ) -> None:
        self._membership = membership
        self._uplink = Uplink(membership, transport, gateway)
        self._words = page.words
        self._writer = wire.Writer(membership.run, ident)
        self._links: dict[int, Link] = {}
        self._dirty: dict[int, Link] = {}
        self.later: dict[int, Link] = {}
        self._definitions = DefinitionsSent()
        self._kept_bytes = 0  # what others keep until they hear of what may come later
        self._fanouts = {
            spec.stream: Fanout(
                transport.publish(publisher_name(ident, spec)), self._writer, self._uplink
            )
            for spec in outlets
            if spec.broadcast
        }
        self.has_gateway = bool(gateway)  # to other hosts
        self.awaiting: list[Fanout] = []  # those that a subscription is still to come to
        if gateway:
            self._link(GATEWAY).open(self._uplink.to_gateway())
        self.open(Peer(SUPERVISOR, NO_SEGMENT, supervisor, LOCAL_HOST))

    @property
    def messages(self) -> int:
        """How many messages it has sent."""
        return self._writer.messages

    # ----------------------------------------------------------------- records
    def _link(self, ident: int) -> Link:
        link = self._links.get(ident)
        if link is None:  # the first time
            link = self._links[ident] = Link(self._writer)
            peer = self._membership.peers.get(ident)
            if peer is not None:
                link.open(self._uplink.connect(peer))
        return link

    def open(self, peer: Peer) -> None:
        """Connects to a peer, unless that was done before."""
        link = self._link(peer.id)
        if not link.is_open:
            link.open(self._uplink.connect(peer))

    def waits_for(self, peer: int) -> bool:
        """Whether something is or was to be sent to this peer."""
        return peer in self._links

    def send(self, ident: int, record: NamedTuple) -> None:
        """Sends `record` to that worker with the next flush."""
        link = self._link(ident)
        link.add(record)
        self._dirty[ident] = link

    def send_behind_items(self, stream: int, consumer: int, record: NamedTuple) -> None:
        """Sends a record that arrives after all parcels of this stream."""
        fanout = self._fanouts.get(stream)
        if fanout is None or not fanout.send_behind_items(consumer, record):
            self.send(consumer, record)

    def send_behind_all(self, record: Callable[[int], NamedTuple]) -> list[tuple[int, int]]:
        """Sends a record of each channel behind all that was sent to a peer by it.

        Returns:
            Peer and channel of each: a broadcast stream, or DIRECT.
        """
        sent: list[tuple[int, int]] = []
        for stream, fanout in self._fanouts.items():
            for peer in fanout.subscribers:
                if fanout.send_behind_items(peer, record(stream)):
                    sent.append((peer, stream))
        for peer in self._links:
            if peer not in (SUPERVISOR, GATEWAY):
                self.send(peer, record(DIRECT))
                sent.append((peer, DIRECT))
        return sent

    def forget(self, dead: Container[int]) -> None:
        """Sends nothing to these any more."""
        for peer in [ident for ident in self._links if ident in dead]:
            self._links.pop(peer).close()
            self._dirty.pop(peer, None)
            self.later.pop(peer, None)
        self._definitions.forget(dead)
        for fanout in self._fanouts.values():
            fanout.forget(dead)
        self.awaiting = [fanout for fanout in self.awaiting if fanout.waits]

    def acknowledge(
        self,
        ident: int,
        kind: type[records.Confirm] | type[records.Dropped],
        region: int,
        epoch: int,
        path: Path,
        runs: Sequence[Interval],
        *,
        size_bytes: int,
    ) -> None:
        """Tells the sender of these items what became of them, as late as `send_batched` does."""
        link = self._link(ident)
        link.acknowledge(kind, region, epoch, path, runs)
        self.later[ident] = link
        self._kept_bytes += size_bytes

    def send_batched(self, ident: int, record: NamedTuple, size_bytes: int) -> None:
        """Sends `record` with the next flush of everything, or whatever goes there before.

        Args:
            size_bytes: of what the other one keeps until it hears of this.
        """
        link = self._link(ident)
        link.add(record)
        self.later[ident] = link
        self._kept_bytes += size_bytes

    def landed(self, number: int, size_bytes: int) -> None:
        """Tells the gateway that this FREIGHT is here, as late as `send_batched` does."""
        self.send_batched(GATEWAY, records.Landed(number), size_bytes)

    def flush(self, *, everything: bool = True) -> None:
        """Sends all records that wait; not `everything`: but for those that may come later."""
        dirty, later = self._dirty, self.later
        if later and (everything or self._kept_bytes >= OWES_BYTES):
            dirty.update(later)
            later.clear()
            self._kept_bytes = 0
        if dirty:
            for link in dirty.values():
                link.flush()
            dirty.clear()

    # ----------------------------------------------------------------- parcels
    def dispatch(
        self,
        spec: OutletSpec,
        targets: Sequence[int],
        shipment: Shipment,
        everybody: bool,
        wanted: int,
    ) -> None:
        """Sends a parcel to its consumers, at once.

        Args:
            everybody: of a broadcast, that these are the consumers of all segments.
            wanted: how many items the consumer is asked to allow in all; 0: nothing is said.
        """
        about = (
            spec.stream,
            shipment.epoch,
            shipment.origin,
            flat(shipment.runs),
            shipment.path,
            tuple(shipment.done) if shipment.done else (),
            flat(shipment.select) if shipment.select else (),
            shipment.keys,
        )
        members = flat(shipment.members) if shipment.members else ()
        freight: records.Freight | None = None  # the same for all other hosts
        links: list[tuple[Link, Sequence[int]]]
        if spec.broadcast:
            links = self._fanouts[spec.stream].links_to(targets, everybody=everybody)
        else:
            links = [(self._link(targets[0]), targets)]
            self._dirty.pop(targets[0], None)
            if wanted:
                links[0][0].add(records.Offer(spec.stream, wanted))
        for link, reached in links:
            contents = shipment.contents
            if not isinstance(contents, Parcel):
                link.add(_new(_ITEMS, (*about, (), (), contents, members)))
                link.flush()
                continue
            slots: Sequence[int] = ()
            if contents.held:
                slots = references(contents.held)
                if not all(map(self._membership.is_local, reached)):
                    freight = freight or records.Freight(
                        parts_of(contents.body, sizes(contents.held))
                    )
                    link.add(freight)
            classes = contents.classes
            defined = self._definitions.said(spec.stream, reached, classes) if classes else ()
            link.add(_new(_ITEMS, (*about, slots, defined, contents.body, members)))
            link.flush(contents.frames)
        self._words[PARCELS] += 1

    # -------------------------------------------------------------- broadcasts
    def publisher(self, spec: OutletSpec, subscriber: Peer, *, is_sole: bool) -> tuple[str, bool]:
        """Where this consumer has to subscribe, or nothing if the stream is no broadcast.

        And whether also to what goes to everybody.  (One on another host has not to subscribe.)

        Args:
            is_sole: it is the only worker of its segment now.
        """
        fanout = self._fanouts.get(spec.stream)
        if fanout is None:
            return "", False
        if self._uplink.leads_to(subscriber.host):
            fanout.route(subscriber.id, subscriber.host)
            return "", False
        fanout.expect(subscriber.id, with_everybody=is_sole)
        if fanout not in self.awaiting:
            self.awaiting.append(fanout)
        return fanout.address, is_sole

    def granted(self, stream: int, consumer: int, grant: Grant) -> Grant | None:
        """The grant, unless it has to wait for the consumer's subscription."""
        fanout = self._fanouts.get(stream)
        return grant if fanout is None else fanout.granted(consumer, grant)

    def filenos(self) -> list[int]:
        """What is readable when `subscriptions` may have news."""
        return [fanout.publisher.fileno() for fanout in self.awaiting]

    def subscriptions(self) -> list[tuple[int, int, Grant]]:
        """Stream, consumer and grant of those whose subscription has come since last asked.

        To be asked after the last send before a wait: a send may swallow the wake-up.
        """
        found = [
            (stream, consumer, grant)
            for stream, fanout in self._fanouts.items()
            for consumer, grant in fanout.arrivals()
        ]
        self.awaiting = [fanout for fanout in self.awaiting if fanout.waits]
        return found
