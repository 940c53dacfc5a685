"""The agents of a run, as its gateway has them."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence

from minipipe.agent.guest import Guest
from minipipe.agent.introducing import Introductions
from minipipe.agent.paired import PAIRED
from minipipe.agent.proxy import Proxy, Telling
from minipipe.agent.relay import Parcel, Relay, opened
from minipipe.agent.way import Way
from minipipe.agent.welcoming import decide
from minipipe.agent.words import DATA, Word, printable, said, say
from minipipe.errors import WireFormatError
from minipipe.process.describe import in_a_line
from minipipe.protocol.delivery.membership import LOCAL_HOST
from minipipe.protocol.flow.link_actions import Ended, GoOn, Hold, Lost, OtherEnded
from minipipe.protocol.hosts.joining import Answer, JoinRequest, Refused
from minipipe.stream.foreign import ByLink, check_foreign
from minipipe.supervisor.hosts.gateway_words import About, Package, Tell
from minipipe.transport import Buffer, Trust
from minipipe.transport.hosts.host_sockets import HostSockets
from minipipe.transport.hosts.invitation import z85_key
from minipipe.transport.hosts.link_end import LinkEnd

logger = logging.getLogger("minipipe")

TURN = 64  # messages of one agent, then others have theirs
_LEFT = "it has left"
LINK_S = 0.5  # what goes over links is told this often, if it is anything
MAX_GUESTS = 4096
MAX_NOTES = 100  # of one agent, that are logged
LEAVES_S = 2.0  # for the last words of a link


class Guests:
    """All of them.

    Args:
        relay: has the ways to hosts: those to agents come and go there.
        about: what an agent is told that joins, and what is compared with it.
        trust: what is accepted of agents beside plain data.
        tell: tells the supervisor.
    """

    def __init__(
        self, sockets: HostSockets, relay: Relay, about: About, trust: Trust, tell: Telling
    ) -> None:
        self._sockets, self._about, self._tell = sockets, about, tell
        self._trust = trust
        self._ways, self._allocate = relay.ways, relay.lifting.allocate
        self._guests: dict[str, Guest] = {}
        self._introductions = Introductions(self._guests, trust)
        self._leaving: dict[str, tuple[LinkEnd, float]] = {}  # by their keys
        self._is_ending = False
        self._told_links_s = 0.0

    def of(self, host: str) -> Guest | None:
        """The agent of this name."""
        return self._guests.get(host)

    @property
    def are_there(self) -> bool:
        """Whether any is left."""
        return bool(self._guests or self._leaving)

    @property
    def wait(self) -> bool:
        """Whether something for them could go at once."""
        return any(g.way.waits and g.way.end.has_room for g in self._guests.values())

    def decide(self, request: JoinRequest) -> Answer:
        """What an agent that wants to join is answered."""
        if self._is_ending:
            return Refused("the run is over")
        if len(self._guests) >= MAX_GUESTS:
            return Refused(f"{MAX_GUESTS} hosts have joined, which is as many as a run takes")
        decision = decide(request.about, self._about, self._guests.keys())
        if decision.note:
            self._tell(Tell.NOTE, logging.WARNING, decision.note)
        offer = decision.offer
        if offer is not None:
            key = z85_key(request.key)
            end = self._sockets.admit(key, offer.name, self._allocate)
            guest = Guest(offer.name, key, Way(end), self._about.lost_after_s)
            self._guests[offer.name], self._ways[offer.name] = guest, guest.way
            self._introductions.joined(guest)
            shipment = [self._about.manifest, self._about.shipped]
            guest.way.say(say(Word.SHIPMENT, frames=shipment))
            self._tell(Tell.JOINED, offer.name, offer)
        return decision.answer

    def start(self, guest: Guest, worker: int, package: Package) -> None:
        """Has it start a worker; the others are told."""
        guest.start(worker, package)
        self._introductions.runs(guest, worker)

    def say_to_all(self, message: Sequence[Buffer]) -> None:
        """Sends a word to all of them."""
        for guest in self._guests.values():
            guest.way.say(message)

    def end(self, lost: str = "") -> None:
        """Says to all that nothing more comes.

        Args:
            lost: that is not the end of the run, but this; nothing: it is.
        """
        self._is_ending = True
        for guest in self._guests.values():
            guest.way.pump()
            if lost:
                guest.way.end.give_up(lost)
            else:
                guest.way.end.end()

    def serve(self, proxies: Mapping[int, Proxy], items: Callable[[Parcel], None]) -> bool:
        """Takes in some of what has come; whether there may be more.

        Args:
            items: takes a message that is for workers.
        """
        more = False
        self._see_off()
        self._tell_of_links()
        self._introductions.tell()
        for guest in list(self._guests.values()):
            try:
                more |= self._serve(guest, proxies, items)
            except WireFormatError as error:
                self._throw_out(guest, printable(str(error)), proxies)
            except Exception as error:  # whatever an agent says, the others go on
                logger.exception("what host %r has said", guest.name)
                self._throw_out(guest, in_a_line(error), proxies)
        return more

    def _tell_of_links(self) -> None:
        now_s = time.monotonic()
        if now_s - self._told_links_s >= LINK_S:
            self._told_links_s = now_s
            for guest in self._guests.values():
                if (use := guest.use()) is not None:
                    self._tell(Tell.LINK, use)

    def _serve(
        self,
        guest: Guest,
        proxies: Mapping[int, Proxy],
        items: Callable[[Parcel], None],
    ) -> bool:
        end, more = guest.way.end, True
        for _ in range(TURN):
            arrived = end.receive()
            if arrived is None:
                more = False
                break
            frames = arrived.frames
            if not frames:
                raise WireFormatError("an empty message")
            mark = bytes(frames[0][:1])
            if mark == DATA:
                parcel = opened(frames)
                by_link = ByLink(f"the link of host {guest.name!r}", self._trust)
                check_foreign(parcel.message, parcel.workers, guest.all_workers, by_link)
                if parcel.host != LOCAL_HOST:
                    self._introductions.meet(guest, parcel.host)
                items(parcel)
            elif mark == PAIRED:
                self._introductions.hand_on(guest, frames)
            else:
                self._heard(guest, frames, proxies)
            end.handed_over(arrived.number)
        guest.way.pump()
        while (event := end.event()) is not None:
            if isinstance(event, Lost):
                why = " ".join(printable(event.why).split())  # maybe in its own words
                self._lose(guest, why, proxies)
                return False
            if isinstance(event, Hold):
                self._silent(guest)
            elif isinstance(event, GoOn):
                self._tell(Tell.NOTE, logging.INFO, f"host {guest.name!r} is there again")
            if isinstance(event, Ended) or (isinstance(event, OtherEnded) and not self._is_ending):
                self._lose(guest, _LEFT, proxies)
                return False
        return more

    def _throw_out(self, guest: Guest, error: str, proxies: Mapping[int, Proxy]) -> None:
        guest.way.end.give_up(f"the run does not understand what this host says: {error}")
        self._lose(guest, f"it has said what no agent says: {error}", proxies)

    def _lose(self, guest: Guest, why: str, proxies: Mapping[int, Proxy]) -> None:
        """This host is gone, with all of its workers."""
        del self._guests[guest.name]
        self._ways.pop(guest.name).drop()
        self._introductions.parted(guest)
        for worker in guest.workers:
            proxy = proxies.get(worker)
            if proxy is not None:
                proxy.is_over = True
        self._tell(Tell.LOST, guest.name, why, tuple(guest.workers))
        if not guest.way.end.is_over:
            guest.way.end.end()  # a link ends well when both ends have said so, and heard it
        self._leaving[guest.key] = (guest.way.end, time.monotonic() + LEAVES_S)

    def _silent(self, guest: Guest) -> None:
        why = ""
        if guest.lost_after_s > self._about.lost_after_s:
            why = ", as long as that because workers on it keep state (state_lost_after_s of run)"
        self._tell(
            Tell.NOTE,
            logging.WARNING,
            f"host {guest.name!r} says nothing: its workers begin nothing new, and it is given up "
            f"after {guest.lost_after_s:g} s of silence{why}",
        )

    def _see_off(self) -> None:
        """Those whose link has come to its end are let in no more."""
        now_s = time.monotonic()
        for key, (end, until_s) in list(self._leaving.items()):
            while (arrived := end.receive()) is not None:
                end.handed_over(arrived.number)
            if end.is_over or now_s >= until_s:
                del self._leaving[key]
                self._sockets.dismiss(key)

    # ------------------------------------------------------------ what an agent says
    def _heard(
        self, guest: Guest, frames: Sequence[memoryview], proxies: Mapping[int, Proxy]
    ) -> None:
        word, fields = said(frames[0])
        rest = frames[1:]
        if word is Word.LEAVING:
            if not guest.is_leaving:
                guest.is_leaving = True
                self._tell(Tell.LEAVING, guest.name, printable(fields[0]))
            return
        if word is Word.NOTE:
            guest.notes += 1
            if guest.notes <= MAX_NOTES:
                text = printable(fields[1])
                self._tell(Tell.NOTE, fields[0], f"host {guest.name!r}: {text}")
            return
        if word is Word.LINK:
            guest.from_s, guest.from_bytes = max(0, fields[0]) / 1e9, max(0, fields[1])
            return
        if word is Word.LISTENS:
            self._introductions.listens(guest, *fields)
            return
        if word is Word.AWAITS:
            self._introductions.awaits(guest, *fields)
            return
        if word is Word.ZYGOTE_LOST:
            workers, never_ready, code, why = fields
            lost = tuple(worker for worker in workers if worker in guest.workers)
            guest.workers.difference_update(lost)
            for worker in lost:
                if worker in proxies:
                    proxies[worker].is_over = True
            if lost:
                about = (never_ready, code, printable(why))
                self._tell(Tell.ZYGOTE_LOST, guest.name, lost, *about)
            return
        if word < Word.STARTED:
            raise WireFormatError(f"{word.name} is not for a gateway")
        if fields[0] not in guest.workers:
            return  # it is over
        worker, proxy = fields[0], proxies.get(fields[0])
        if proxy is not None:
            proxy.heard(word, fields[1:], rest, self._tell)
        if proxy is None or proxy.is_over:
            guest.workers.discard(worker)
