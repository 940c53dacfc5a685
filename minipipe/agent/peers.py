"""An agent's links to other agents, and what goes by them.

They begin when two agents have something for each other (`agent/introducing.py`).  What comes by
one is looked at as the gateway looks at what it relays: the workers of that host speak for
themselves, and for nobody else.  Of one that is not known yet the news is waited for.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

from minipipe.agent.paired import Kind, read_paired, write_paired
from minipipe.agent.peer import Peer
from minipipe.agent.relay import Relay
from minipipe.agent.words import Word, say
from minipipe.errors import OptionError, WireFormatError
from minipipe.errors.cause import because
from minipipe.protocol.delivery.membership import LOCAL_HOST
from minipipe.protocol.hosts.endpoints import read_endpoints, write_endpoints
from minipipe.stream.foreign import ByLink
from minipipe.transport import Buffer, Trust
from minipipe.transport.hosts.host_sockets import HostSockets
from minipipe.transport.hosts.listening import Listening

LOOK_S = 0.05  # what waits for news is looked at again this often


class Peers:
    """All other agents that this one has a link with, or had.

    Args:
        sockets: to other hosts.
        relay: of this host.
        listening: where others come to, and by which keys; None: nobody comes, and this one goes
            to nobody.
        patience_s: so long what a worker says waits for the news that it runs there.
    """

    def __init__(
        self, sockets: HostSockets, relay: Relay, listening: Listening | None, patience_s: float
    ) -> None:
        self._sockets, self._relay, self._listening = sockets, relay, listening
        self._patience_s = patience_s
        self._gateway = relay.ways[LOCAL_HOST]
        self._all: dict[int, Peer] = {}  # by link, also those that are lost
        self._there: dict[str, Peer] = {}  # the last one of each agent that is there
        self._parts: dict[int, Callable[[], object]] = {}  # by serial: lets that agent in no more
        self._forgotten_bytes = 0
        self._said_of: set[int] = set()  # agents that it has said of that there is no link
        self._runs: dict[int, int] = {}  # worker: the serial of its agent
        relay.direct = self._send
        if listening is not None:
            where = write_endpoints(listening.endpoints)
            self._gateway.say(say(Word.LISTENS, listening.keys.public, where))

    @property
    def owes(self) -> bool:
        """Whether something has gone by a link that is not known to be received."""
        return any(peer.outgoing.owes for peer in self._there.values())

    def timeout_s(self) -> float | None:
        """So long nothing is to be done for them; None: until something comes."""
        peers = self._there.values()
        if any(peer.can_give for peer in peers):
            return 0.0
        return LOOK_S if any(peer.holds for peer in peers) else None

    @property
    def under_way_s(self) -> float:
        """For how long something was under way on the link where that was longest."""
        return max((peer.under_way_s for peer in self._all.values()), default=0.0)

    @property
    def sent_bytes(self) -> int:
        """What was sent by all links."""
        return self._forgotten_bytes + sum(peer.sent_bytes for peer in self._all.values())

    def _send(self, host: str, frames: Sequence[Buffer]) -> bool:
        peer = self._there.get(host)
        if peer is None or not peer.outgoing.is_direct:
            return False
        peer.send(frames)
        return True

    def serve(self) -> bool:
        """Takes in some of what has come by their links; whether there may be more."""
        more = False
        for name, peer in self._there.items():
            has_more, why = peer.serve(self._runs, self._relay.arrived)
            more |= has_more
            if why:
                level = logging.INFO if peer.serial in self._said_of else logging.WARNING
                self._said_of.add(peer.serial)
                text = f"what is for host {name!r} goes by the run's machine, without a link: {why}"
                self._gateway.say(say(Word.NOTE, level, text))
        return more

    # -------------------------------------------------------- what the gateway says
    def said(self, frames: Sequence[Buffer]) -> None:
        """One of them says something by the gateway.

        Raises:
            WireFormatError: that is nothing, or cannot be.
        """
        paired = read_paired(frames)
        peer = self._all.get(paired.link)
        if peer is None:
            raise WireFormatError("something is said of a link that is not known")
        peer.said(paired, self._relay.arrived)
        if paired.kind == Kind.SWITCHED:  # of earlier ones nothing can come any more
            self._forget(paired.link, peer.serial)

    def _forget(self, before: int, serial: int) -> None:
        for link, peer in list(self._all.items()):
            if peer.serial == serial and link < before:
                self._forgotten_bytes += self._all.pop(link).sent_bytes

    def told(self, word: Word, fields: tuple[Any, ...]) -> None:
        """The gateway says something of them.

        Raises:
            WireFormatError: it cannot be.
        """
        if word is Word.RUNS:
            serial, workers = fields
            self._runs.update(dict.fromkeys(workers, serial))
        elif word is Word.PARTED:
            self._part(*fields)
        elif self._listening is not None:
            self._meet(self._listening, *fields)

    def _meet(
        self, ours: Listening, link: int, serial: int, name: str, key: str, where: str, *trust: bool
    ) -> None:
        shown = f"host {name!r}"
        self._parts.pop(serial, lambda: None)()  # an earlier link is lost, for both
        if where:
            try:
                places = ours.from_here(read_endpoints(where))
                to = (shown, places, ours.server_key(key))
                end = self._sockets.connect(*to, self._relay.lifting.allocate, ours.keys)
            except (ValueError, OptionError) as error:
                self._gateway.send(write_paired(Kind.FELL_BACK, link, 1))
                raise because(WireFormatError(f"{shown} is nowhere: {error}"), error) from error
        else:
            end = self._sockets.admit(key, shown, self._relay.lifting.allocate)
            self._parts[serial] = lambda: self._sockets.dismiss(key)
            self._gateway.say(say(Word.AWAITS, link))
        came_by = ByLink(f"the link of {shown}", Trust(*trust))
        about = (self._relay.host, link, serial, end, came_by)
        peer = Peer(*about, self._gateway.send, self._patience_s)
        self._all[link] = self._there[name] = peer

    def _part(self, serial: int) -> None:
        for peer in self._all.values():
            if peer.serial == serial:
                peer.part()
        self._there = {name: one for name, one in self._there.items() if one.serial != serial}
        self._parts.pop(serial, lambda: None)()
