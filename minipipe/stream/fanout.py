"""The sending end of a broadcast: one message for all, over PUB/SUB.

A subscriber that was the only worker of its segment when it came also takes what goes to everybody
(topic 0); each takes what goes to it alone (its own id as topic).  The publisher says which, so it
knows whom a message to everybody reaches, and sends one only if it is for all of these: when the
segment of one of them has got more workers, each gets what is for it by its own topic.  Credit of
every subscriber bounds what is sent, so nothing is ever dropped; and nothing is sent to a
subscriber before its subscription is in force, which its own topic tells (subscriptions of one
connection arrive in order).

Who is on another host does not subscribe: what is for the workers of a host goes there in one
message that names them all (`stream.uplink`), in one order with all else that is sent to them.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import Final, NamedTuple

from minipipe.protocol.flow.credit import Grant
from minipipe.stream import wire
from minipipe.stream.link import Link
from minipipe.stream.uplink import Uplink
from minipipe.transport import Buffer, Publisher

EVERYBODY: Final = 0


def topic_of(ident: int) -> bytes:
    """The topic of a worker; all topics have one length, as ZeroMQ matches their beginnings."""
    return ident.to_bytes(8, "big")


def topics_for(ident: int, *, with_everybody: bool) -> list[bytes]:
    """What a subscriber subscribes to, its own topic last."""
    return [topic_of(EVERYBODY), topic_of(ident)] if with_everybody else [topic_of(ident)]


class _Topic:
    """What a link sends through."""

    def __init__(self, publisher: Publisher, topic: bytes) -> None:
        self._publisher = publisher
        self._topic = topic

    def send(self, message: Sequence[Buffer]) -> None:
        self._publisher.send(self._topic, message)

    def close(self) -> None:
        """The publisher is closed as a whole."""


class Fanout:
    """Sends what one outlet broadcasts."""

    def __init__(self, publisher: Publisher, writer: wire.Writer, uplink: Uplink) -> None:
        self.publisher = publisher
        self._writer = writer
        self._uplink = uplink
        self._links: dict[int, Link] = {}
        self._hosts: dict[int, str] = {}  # of consumers on other hosts
        # By host: whom the last message there was for, and what it went by.
        self._routed: dict[str, tuple[list[int], Link]] = {}
        self._everybody: set[int] = set()  # whom a message to everybody reaches
        self.subscribers: set[int] = set()  # that were asked to subscribe
        self._awaited: set[int] = set()
        self._early: dict[int, Grant] = {}

    @property
    def address(self) -> str:
        return self.publisher.address

    @property
    def waits(self) -> bool:
        """Whether a subscription is still to come."""
        return bool(self._awaited)

    def expect(self, subscriber: int, *, with_everybody: bool) -> None:
        """This worker was asked to subscribe; until it has, what it grants does not count.

        Args:
            with_everybody: also to what goes to everybody.
        """
        self.subscribers.add(subscriber)
        self._awaited.add(subscriber)
        if with_everybody:
            self._everybody.add(subscriber)

    def route(self, consumer: int, host: str) -> None:
        """This worker, on another host, takes from here, too; its grants count at once."""
        self._hosts[consumer] = host

    def send_behind_items(self, subscriber: int, record: NamedTuple) -> bool:
        """Sends it after all parcels; False if it is to go by the link to the consumer alone.

        For there were none, for want of a subscription, or they went the same way.
        """
        if subscriber in self._awaited or subscriber in self._hosts:
            return False
        link = self._link(subscriber)
        link.add(record)
        link.flush()
        return True

    def granted(self, subscriber: int, grant: Grant) -> Grant | None:
        """The grant, if it counts already."""
        if subscriber not in self._awaited:
            return grant
        self._early[subscriber] = grant
        return None

    def arrivals(self) -> list[tuple[int, Grant]]:
        """Looks for new subscriptions; what those subscribers have granted counts from now on."""
        counting = []
        while topics := self.publisher.subscriptions():
            for topic in topics:
                ident = int.from_bytes(topic, "big")
                self._awaited.discard(ident)
                grant = self._early.pop(ident, None)
                if grant is not None:
                    counting.append((ident, grant))
        return counting

    def forget(self, dead: Container[int]) -> None:
        """Nothing is kept of these, and nothing awaited."""
        self.subscribers = {ident for ident in self.subscribers if ident not in dead}
        self._awaited = {ident for ident in self._awaited if ident not in dead}
        self._everybody = {ident for ident in self._everybody if ident not in dead}
        self._early = {ident: grant for ident, grant in self._early.items() if ident not in dead}
        for subscriber in [ident for ident in self._links if ident in dead]:
            self._links.pop(subscriber).close()
        for consumer in [ident for ident in self._hosts if ident in dead]:
            del self._hosts[consumer]
            self._routed.clear()  # it may be named there

    def links_to(
        self, targets: Sequence[int], *, everybody: bool
    ) -> list[tuple[Link, Sequence[int]]]:
        """The links by which a parcel reaches `targets`, and whom of them it reaches by each.

        Args:
            everybody: one of each subscribing segment is among them, so that one link may do for
                all that take what goes to everybody.
        """
        links: list[tuple[Link, Sequence[int]]] = []
        if self._hosts:
            links, targets = self._links_away(targets)
        topics: dict[int, list[int]] = {}
        at_once = self._everybody if everybody and self._everybody.issubset(targets) else ()
        for target in targets:
            topics.setdefault(EVERYBODY if target in at_once else target, []).append(target)
        for topic in sorted(topics):
            links.append((self._link(topic), topics[topic]))
        return links

    def _links_away(
        self, targets: Sequence[int]
    ) -> tuple[list[tuple[Link, Sequence[int]]], Sequence[int]]:
        """A link for each other host, to those of `targets` there; and who is on this one."""
        here: list[int] = []
        away: dict[str, list[int]] = {}
        for target in targets:
            host = self._hosts.get(target)
            if host is None:
                here.append(target)
            else:
                away.setdefault(host, []).append(target)
        return [(self._link_to(host, away[host]), away[host]) for host in away], here

    def _link_to(self, host: str, idents: list[int]) -> Link:
        known = self._routed.get(host)
        if known is not None and known[0] == idents:
            return known[1]
        link = Link(self._writer)
        link.open(self._uplink.to(host, idents))
        self._routed[host] = idents, link
        return link

    def _link(self, topic: int) -> Link:
        link = self._links.get(topic)
        if link is None:
            link = self._links[topic] = Link(self._writer)
            link.open(_Topic(self.publisher, topic_of(topic)))
        return link
