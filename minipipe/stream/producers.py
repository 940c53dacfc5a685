"""Those that put to an inlet: what each of them has sent, and has credit for."""

from __future__ import annotations

import time
from collections.abc import Collection, Container, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from minipipe.codec import Named
from minipipe.errors import WireFormatError
from minipipe.protocol.delivery.headcount import InletCounts
from minipipe.protocol.delivery.recent import Recent
from minipipe.protocol.flow.credit import UNLIMITED, WINDOW_BYTES, Grant, ServiceTime
from minipipe.protocol.flow.tickets import NEVER_S, Tickets
from minipipe.protocol.wiring import InletSpec
from minipipe.stream.arrived import Arrived, Turn

# What a producer keeps until it hears that it was taken up: from so much on it hears soon.
NEWS_BYTES: Final = 64 * 1024
QUIET_S: Final = 0.05  # of less it hears when nothing was worked off for so long

_new: Final = tuple.__new__  # half the time of a named tuple's own


class Said(NamedTuple):
    """What a producer is to hear."""

    producer: int
    grant: Grant
    # Tickets are taken back with it: so many items were allowed before.
    given: int | None = None
    # It may come later: no more is allowed than before, and so much memory is free again.
    freed_bytes: int | None = None


@dataclass
class Producer:
    """Absolute counters towards one producer."""

    unlimited: bool = False  # it closes a loop
    arrived: int = 0
    consumed: int = 0
    finished: int = 0
    told: Grant | None = None
    freed_bytes: int = 0  # taken up since it was told
    classes: Recent[Named] = field(default_factory=Recent)  # whose definitions it has sent

    def counts(self, ident: int, turn: Turn | None) -> tuple[int, int]:
        """How many of its items are taken up, and finished; those in work included."""
        if turn is None or turn.parcel.producer != ident:
            return self.consumed, self.finished
        begun = turn.begun if turn.parcel.whole is None else 0
        return self.consumed + begun, self.finished + turn.finished


class Producers:
    """The producers of one inlet, as far as they have said so.

    Attributes:
        by_ident: each of them.
        changed: those of whose items some were taken up since it was last looked at.
        tickets: for its places, if it may give such.
        held_up: what was made of the last item is still here, as nobody has a place for it.
    """

    def __init__(self, spec: InletSpec, pace: ServiceTime, tickets: Tickets | None) -> None:
        self.by_ident: dict[int, Producer] = {}
        self.tickets = tickets
        self.held_up = False
        self._took_s = 0.0  # when something was worked off last, as far as it was looked at
        self._spec = spec
        self._pace = pace
        self._tells_all = False
        self.changed: set[int] = set()

    def hello(self, producer: int, segment: int) -> None:
        """A producer has said that it puts to this stream: it will get a grant."""
        known = self.by_ident.setdefault(producer, Producer())
        known.unlimited = segment in self._spec.unlimited
        self.changed.add(producer)
        if self.tickets is not None:
            self.tickets.add(producer)

    def offered(self, producer: int, wanted: int) -> None:
        """A producer has a use for being allowed so many items in all."""
        if self.tickets is not None:
            self.tickets.wants(producer, wanted)

    def returned(self, producer: int, sent: int) -> None:
        """A producer whose tickets were taken back has sent so many items."""
        if self.tickets is not None:
            self.tickets.returned(producer, sent)

    def named(self, producer: int, said: Sequence[Any]) -> dict[bytes, Named]:
        """The classes that a parcel of this producer names by token.

        Args:
            said: each token, and the definition, or None if it came before.
        """
        kept = self.by_ident[producer].classes
        named: dict[bytes, Named] = {}
        for token, blob in zip(said[::2], said[1::2], strict=True):
            known = kept.get(token)
            if known is None:
                if blob is None:
                    raise WireFormatError(f"class {token!r:.80} is named and was never defined")
                known = Named(token, blob)
            named[token] = known
        kept.used(named)
        return named

    def forget(self, dead: Container[int]) -> None:
        """These wait for no credit any more."""
        for ident in [ident for ident in self.by_ident if ident in dead]:
            del self.by_ident[ident]
        if self.tickets is not None:
            self.tickets.forget(dead)

    def took(self, parcel: Arrived, count: int) -> None:
        """So many items of a parcel are worked off, or dropped."""
        producer = self.by_ident.get(parcel.producer)
        if producer is None:
            return  # it is dead, and waits for no credit
        self.changed.add(parcel.producer)
        self._took_s = NEVER_S
        producer.finished += count
        if parcel.whole is None:
            producer.consumed += count
            producer.freed_bytes += parcel.size_bytes

    @property
    def idents(self) -> list[int]:
        """The workers that put to the inlet."""
        return list(self.by_ident)

    def arrived_from(self) -> dict[int, int]:
        """How many items each producer's parcels brought."""
        return {ident: producer.arrived for ident, producer in self.by_ident.items()}

    @property
    def wait_for_room(self) -> bool:
        """Whether one has sent all that it has credit for."""
        return any(
            producer.told is not None
            and producer.arrived >= producer.told.consumed + abs(producer.told.window)
            for producer in self.by_ident.values()
        )

    def relieve(self) -> None:
        """Lets twice as much wait as now, and tells the producers at once."""
        self._pace.window_scale *= 2
        self.tell_all()

    def tell_all(self) -> None:
        """The next grants are news to all producers."""
        self._tells_all = True

    def grants(
        self, turn: Turn | None, *, withdraws: bool, is_alone: bool, idle: bool
    ) -> list[Said]:
        """What producers should hear now.

        Not every item is worth a message: a producer hears when half its window was taken up
        (of items, or of bytes), and, where workers share the stream, whenever this one has nothing
        to do (the least loaded is chosen by that).  One of several of a window of two says so of
        both: the next ones come while the last is worked on.

        Args:
            turn: the parcel in work.
            withdraws: the inlet drops what others could take.
            is_alone: there are no others.
            idle: there is nothing to do.
        """
        tells_all, self._tells_all = self._tells_all, False
        if turn is not None:
            self.changed.add(turn.parcel.producer)
        due: list[Said] = []
        if is_alone and not (tells_all or withdraws):  # of many producers, few are worth a look
            asked: Collection[int] = self.changed
            if not asked:
                return due
            self.changed = set()
        else:
            asked = self.by_ident
            self.changed.clear()
        at_work = -1 if turn is None else turn.parcel.producer
        for ident in asked:
            producer = self.by_ident.get(ident)
            if producer is None:
                continue
            consumed, finished = producer.consumed, producer.finished
            if ident == at_work:
                consumed, finished = producer.counts(ident, turn)
            told = producer.told
            if told is not None:
                assert consumed >= told.consumed and finished >= told.finished, (
                    consumed,
                    finished,
                    told,
                )
                new = consumed - told.consumed
                news = new > 0 or finished > told.finished
                if told.window < 0 and not news:
                    continue
                if not (
                    tells_all
                    or (2 * new >= told.window and (new > 1 or is_alone or told.window == 1))
                    or 2 * producer.freed_bytes >= WINDOW_BYTES * told.window_scale
                    or withdraws
                    or (news and not is_alone and idle)
                ):
                    continue
            pace = self._pace
            allowed = UNLIMITED if producer.unlimited else pace.window
            allowed = -allowed if withdraws else allowed
            producer.freed_bytes = 0
            service_time_s, scale = pace.service_time_s, pace.window_scale
            producer.told = Grant(consumed, finished, allowed, service_time_s, scale)
            due.append(_new(Said, (ident, producer.told, None, None)))
        return due

    # -------------------------------------------------------------- tickets
    @property
    def room_items(self) -> int:
        """How many items may wait here at present, of all producers together."""
        pace = self._pace
        if self.tickets is not None and self.tickets.in_force:
            return self.tickets.places(pace.service_time_s)
        return pace.window * pace.producers

    def deals(self, counts: InletCounts, *, withdraws: bool) -> bool:
        """Whether this worker gives tickets now: if several producers share several consumers."""
        tickets = self.tickets
        assert tickets is not None
        now = tickets.in_force
        shared = counts.producers > 1 and not counts.is_alone and not withdraws
        if not now and not shared:
            return False
        told = {i: p.told for i, p in self.by_ident.items() if p.told is not None}
        deals = tickets.switch(
            self._pace.service_time_s,
            {i: grant.consumed + abs(grant.window) for i, grant in told.items()},
            producers=counts.producers,
            shared=shared,
        )
        if now and not deals:
            self.tell_all()
        return deals

    def deal(
        self, turn: Turn | None, queued_items: int, *, everybody: bool, idle: bool
    ) -> list[Said]:
        """What producers should hear now, if this worker gives tickets.

        Who is given none hears of what it has sent when it is given one, or else with what goes
        to it anyway.

        Args:
            turn: the parcel in work.
            queued_items: are here, with those of the turn.
            everybody: all producers are known that there are to be.
            idle: there is nothing to do.
        """
        tickets, service_time_s = self.tickets, self._pace.service_time_s
        assert tickets is not None
        now_s = time.monotonic()
        self.changed.clear()  # all are looked at
        if self._took_s == NEVER_S:
            self._took_s = now_s
        tickets.arrived((ident, producer.arrived) for ident, producer in self.by_ident.items())
        busy = queued_items + self.held_up if turn is None else queued_items - turn.finished
        given, recalled = tickets.deal(
            busy=busy,
            places=tickets.places(service_time_s),
            everybody=everybody,
            now_s=now_s,
        )
        is_quiet = idle and now_s - self._took_s >= QUIET_S
        due: list[Said] = []
        for ident, producer in self.by_ident.items():
            consumed, finished = producer.counts(ident, turn)
            told, promise = producer.told, tickets.promises[ident]
            freed_bytes = None
            if not (ident in given or ident in recalled or told is None or not told.is_ticket):
                if consumed == told.consumed and finished == told.finished:
                    continue
                if producer.freed_bytes < NEWS_BYTES and not is_quiet:
                    continue
                freed_bytes = producer.freed_bytes
            allowed = promise.arrived if promise.is_recalled else promise.given
            allowed = max(allowed, promise.arrived)
            window_scale = self._pace.window_scale
            producer.freed_bytes = 0
            window = allowed - consumed
            producer.told = Grant(consumed, finished, window, service_time_s, window_scale, True)
            before = promise.given if ident in recalled else None
            due.append(Said(ident, producer.told, before, freed_bytes))
        return due
