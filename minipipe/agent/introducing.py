"""Agents that have something for each other are introduced, so that they have a link of their own.

Two of them are, when a message of one for the other goes by here, the first time or again (by
`protocol/flow/acquaintance.py`).  One is told of the other one's key; when it lets that in, the
other one is told where to go.  All are told which workers run where: each looks itself at who
speaks for whom (`agent/peers.py`).
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from minipipe.agent.guest import Guest
from minipipe.agent.paired import Kind, read_paired, write_paired
from minipipe.agent.relay import opened
from minipipe.agent.words import Word, say
from minipipe.errors import OptionError, WireFormatError
from minipipe.errors.cause import because
from minipipe.protocol.flow.acquaintance import Acquaintance
from minipipe.protocol.hosts.endpoints import read_endpoints
from minipipe.stream.foreign import ByLink, check_foreign
from minipipe.transport import Buffer, Trust
from minipipe.transport.curve import NO_KEY, raw_key


class Introductions:
    """Who knows whom.

    Args:
        guests: all agents, by their names.
        trust: what is accepted of agents beside plain data.
    """

    def __init__(self, guests: Mapping[str, Guest], trust: Trust) -> None:
        self._guests, self._trust = guests, trust
        self._by_serial: dict[int, Guest] = {}
        self._last = self._last_link = 0
        self._pairs: dict[tuple[int, int], Acquaintance] = {}  # elder, younger
        self._links: dict[int, Acquaintance] = {}  # all links that they have or had
        self._news: dict[int, list[int]] = {}  # by their agents: workers of whom nobody knows yet

    def joined(self, guest: Guest) -> None:
        """There is a new one, which has said nothing yet."""
        self._last += 1
        guest.serial = self._last
        for other in self._guests.values():
            if other is not guest and other.all_workers:
                guest.way.say(say(Word.RUNS, other.serial, tuple(other.all_workers)))
        self._by_serial[guest.serial] = guest

    def runs(self, guest: Guest, worker: int) -> None:
        """This worker was placed there."""
        self._news.setdefault(guest.serial, []).append(worker)

    def tell(self) -> None:
        """Tells all of them which workers were placed since."""
        news, self._news = self._news, {}
        for serial, workers in news.items():
            for guest in self._guests.values():  # also itself: nobody else speaks for these
                guest.way.say(say(Word.RUNS, serial, tuple(workers)))

    def parted(self, guest: Guest) -> None:
        """This one is gone, and was taken out of them."""
        del self._by_serial[guest.serial]
        gone = {pair for pair in self._pairs if guest.serial in pair}
        over = {self._pairs.pop(pair) for pair in gone}
        self._links = {link: two for link, two in self._links.items() if two not in over}
        for other in self._guests.values():
            other.way.say(say(Word.PARTED, guest.serial))

    # ------------------------------------------------------------ what an agent says
    def listens(self, guest: Guest, key: str, endpoints: str) -> None:
        """Others may come to this one.

        Raises:
            WireFormatError: not by such a key, or to such a place.
        """
        try:
            raw_key(key, "the key")
            read_endpoints(endpoints)
        except (OptionError, ValueError) as error:
            refused = WireFormatError(f"it listens where nobody can go to: {error}")
            raise because(refused, error) from error
        if guest.listens or key == NO_KEY:
            raise WireFormatError("it says twice that it listens, or without a key")
        if any(key == other.peer_key for other in self._guests.values()):
            raise WireFormatError("it listens by the key of another one")
        guest.peer_key, guest.endpoints = key, endpoints

    def awaits(self, guest: Guest, link: int) -> None:
        """This one lets the other one in."""
        two = self._links.get(link)
        if two is not None and link == two.link and two.awaits(guest.serial):
            self._present(self._by_serial[two.goes], link, guest, guest.endpoints)

    def meet(self, guest: Guest, host: str) -> None:
        """This one has something for that host."""
        other = self._guests.get(host)
        if other is None or other is guest:
            return
        elder, younger = sorted((guest, other), key=lambda one: one.serial)
        pair = (elder.serial, younger.serial)
        two = self._pairs.get(pair)
        if two is None:
            if not (elder.listens and younger.listens):
                return
            two = self._pairs[pair] = Acquaintance(*pair)
        if two.is_due(time.monotonic()):
            # Of the last link messages may still come again, and of none before it.
            last = two.link
            self._links = {n: one for n, one in self._links.items() if one is not two or n == last}
            self._last_link += 1
            two.begin(self._last_link)
            self._links[two.link] = two
            self._present(self._by_serial[two.lets_in], two.link, self._by_serial[two.goes], "")

    def _present(self, guest: Guest, link: int, other: Guest, endpoints: str) -> None:
        about = (link, other.serial, other.name, other.peer_key, endpoints)
        guest.way.say(say(Word.PEER, *about, *self._trust))

    def hand_on(self, guest: Guest, frames: Sequence[Buffer]) -> None:
        """What this one says to another one, behind all items that it has for that.

        Raises:
            WireFormatError: it says nothing, or what it may not say.
        """
        kind, link, number, items = read_paired(frames)
        two = self._links.get(link)
        if two is not None and guest.serial not in (two.lets_in, two.goes):
            raise WireFormatError("it speaks of a link that others have")
        if kind == Kind.AGAIN:
            host, workers, message, _ = opened(items)
            by_link = ByLink(f"the link of host {guest.name!r}", self._trust)
            check_foreign(message, workers, guest.all_workers, by_link)
        if two is None:
            return  # the other one is gone
        other = self._by_serial[two.goes if guest.serial == two.lets_in else two.lets_in]
        if kind == Kind.AGAIN and host != other.name:
            raise WireFormatError("it sends again what was for another host")
        other.way.send(write_paired(kind, link, number, items))
        if kind == Kind.SWITCHED and link == two.link:
            two.switched()
        elif kind == Kind.FELL_BACK and link == two.link:
            two.fell_back(guest.serial, time.monotonic())
