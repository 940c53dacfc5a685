"""Tickets: a consumer's free places, each promised to one producer at a time.

With a window for each of several producers, an item may wait behind a busy worker while another
one idles: each producer knows of its own items only.  So where several producers share several
consumers, a consumer gives out as many tickets as it has free places.  A ticket is a window for one
producer, in absolute numbers: so many items it may have sent in all.

Who has items and no ticket says so (`wants`), and is served in turn.  Without such a producer the
ticket of an idle consumer lies at the one that it has served last, so a lone item costs one
message.  If another one wants it, it is called back, and that producer answers how many items it
has sent: the ticket is returned, or was used, and never both.
"""

from __future__ import annotations

import math
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from minipipe.protocol.flow.credit import AUTO_MIN_ITEMS, AUTO_WAIT_S

# From a ticket to its item: on an idle machine, and what is believed of a busy one.
FLIGHT_S, LONGEST_S = 0.001, 0.020
# A worker that would wait for a 20th of its time has more items wait for it, but for slow ones.
SHARE, AHEAD_S = 20, 0.100
AHEAD_ITEMS: Final = 8  # never more than this wait
# So many flights later a producer that wanted a ticket has used it, or has no use for it.
PATIENCE: Final = 3
# Who has not answered for so long is in a functor and does not listen: it went there when it had
# windows.  Then others get what it has; if it sends something after all, that waits for a while.
OVERDUE_S: Final = 0.050
# A worker that needs less for an item is given windows: a message an item would cost as much.
QUICK_S, QUICKEST_S = 0.002, 0.000_25
SLOW: Final = 2  # and one that needs so many times that, tickets again
NEVER_S: Final = float("inf")


@dataclass
class Promise:
    """What one producer has of this consumer's tickets, in absolute numbers of items.

    Attributes:
        given: so many items it may send in all.
        arrived: so many have come.
        wanted: so many it would like to be allowed.
        since_s: when it was given the last one.
        is_recalled: it was asked to return what it has not used, and has not answered yet.
    """

    given: int = 0
    arrived: int = 0
    wanted: int = 0
    since_s: float = 0.0
    is_recalled: bool = False
    recalled_s: float = 0.0  # when

    @property
    def out(self) -> int:
        """How many tickets it has, or has used for items that are under way."""
        return max(0, self.given - self.arrived)

    @property
    def is_wanted(self) -> bool:
        """Whether it has a ticket, and has asked for it."""
        return self.arrived < self.given <= self.wanted

    @property
    def wants(self) -> bool:
        return self.wanted > self.given and not self.is_recalled


class Tickets:
    """The tickets of one consumer.

    Args:
        ident: of the consumer: which producer it begins with.
    """

    def __init__(self, ident: int) -> None:
        self.promises: dict[int, Promise] = {}
        self.in_force = False  # else there are windows
        self._ident = ident
        self._home: int | None = None  # where a ticket lies that nobody wants
        self._last = -1  # who was served last of those who wanted one
        self.recall_due_s = NEVER_S  # look again then, if nothing happens before
        self.flight_s = FLIGHT_S  # from a ticket that is wanted to its item
        self._starved_since_s = NEVER_S

    def places(self, service_time_s: float) -> int:
        """How many items may be at a worker, the one in work included."""
        if not 0.0 < service_time_s < min(AHEAD_S, SHARE * self.flight_s):
            return 1
        return 1 + min(AHEAD_ITEMS, math.ceil(2 * self.flight_s / service_time_s))

    def _observe(self, busy: int, now_s: float) -> None:
        """Takes in how long the worker had nothing to do although somebody had an item for it."""
        if busy:
            starved_s = now_s - self._starved_since_s
            self._starved_since_s = NEVER_S
            if 0.0 < starved_s < LONGEST_S:
                self.flight_s = max(FLIGHT_S, (self.flight_s + starved_s) / 2)
            else:  # it was not, or nobody had one: that it is not as long any more is seen in time
                self.flight_s = max(FLIGHT_S, 0.995 * self.flight_s)
        elif self._starved_since_s == NEVER_S and any(p.is_wanted for p in self.promises.values()):
            self._starved_since_s = now_s

    def add(self, producer: int) -> None:
        self.promises.setdefault(producer, Promise())

    def forget(self, dead: Container[int]) -> None:
        """The tickets of these are void."""
        for producer in [producer for producer in self.promises if producer in dead]:
            del self.promises[producer]
        if self._home in dead:
            self._home = None

    def wants(self, producer: int, wanted: int) -> None:
        """A producer has a use for being allowed so many items in all, and now for no more."""
        promise = self.promises.get(producer)
        if promise is not None:
            promise.wanted = wanted

    def arrived(self, counts: Iterable[tuple[int, int]]) -> None:
        """So many items have come of each of these producers, in all."""
        for producer, count in counts:
            promise = self.promises[producer]
            if count > promise.arrived:
                promise.arrived = count
                self._home = producer

    def returned(self, producer: int, sent: int) -> None:
        """A producer that was asked for its tickets has used them up to this, and has no others."""
        promise = self.promises.get(producer)
        if promise is None or not promise.is_recalled:
            return
        promise.is_recalled = False
        if sent < promise.given:  # it had no use for it; what it wants later, it says again
            promise.given = sent
            promise.wanted = min(promise.wanted, sent)

    def switch(
        self, service_time_s: float, allowed: Mapping[int, int], *, producers: int, shared: bool
    ) -> bool:
        """Whether there are tickets now, and no windows.

        Args:
            service_time_s: 0: it is not known yet.
            producers: how many there are to be.
            allowed: so many items each producer may have sent in all, by what it was told.
            shared: several producers share several consumers.
        """
        now = self.in_force
        # Windows as small as they get cost as many messages, and together are more than wanted.
        least_s = AUTO_WAIT_S / (AUTO_MIN_ITEMS * producers)
        limit_s = max(QUICKEST_S, min(QUICK_S, least_s)) * (1 if now else SLOW)
        should = shared and (service_time_s <= 0.0 or service_time_s >= limit_s)
        if should and not now:
            for producer, given in allowed.items():
                self.promises[producer].given = given
        # An answer that comes when there are windows would be taken for one to a later question.
        self.in_force = should or (now and not self.is_settled)
        return self.in_force

    @property
    def is_settled(self) -> bool:
        """Whether no producer owes an answer."""
        return not any(promise.is_recalled for promise in self.promises.values())

    def _is_answered(self, now_s: float) -> bool:
        """Whether no answer is waited for."""
        return not any(p.is_recalled and not _is_overdue(p, now_s) for p in self.promises.values())

    def deal(
        self, *, busy: int, places: int, everybody: bool, now_s: float
    ) -> tuple[set[int], set[int]]:
        """Gives out what is free, and calls back what is needed elsewhere.

        Args:
            busy: how many items are here and not finished.
            places: how many there may be.
            everybody: all producers are known that there are to be.

        Returns:
            Who was given tickets, and who is asked for theirs.
        """
        self.recall_due_s = NEVER_S
        out = sum(p.out for p in self.promises.values() if not _is_overdue(p, now_s))
        free = places - busy - out
        wanting = [producer for producer, promise in self.promises.items() if promise.wants]
        given: set[int] = set()
        while free > 0 and wanting:
            # In turn, so that none waits for ever.
            producer = min(wanting, key=lambda p: (p <= self._last, p))
            self._last = producer
            self._give(producer, now_s)
            given.add(producer)
            free -= 1
            wanting = [p for p in wanting if self.promises[p].wants]
        self._observe(busy, now_s)
        if free == places and everybody:  # nothing to do, and nothing under way
            home = self._find_home()
            if home is not None:
                self._give(home, now_s)
                given.add(home)
        recalled: list[int] = []
        if free < 0:
            recalled = self._unused(now_s)
        elif wanting and not busy and self._is_answered(now_s):
            recalled = self._unused(now_s)[:1]
        for producer in recalled:
            self.promises[producer].is_recalled, self.promises[producer].recalled_s = True, now_s
        for promise in self.promises.values():
            if promise.is_recalled and not _is_overdue(promise, now_s):
                self.recall_due_s = min(self.recall_due_s, promise.recalled_s + OVERDUE_S)
        return given, set(recalled)

    def _give(self, producer: int, now_s: float) -> None:
        promise = self.promises[producer]
        promise.given = max(promise.given, promise.arrived) + 1
        promise.since_s = now_s

    def _find_home(self) -> int | None:
        promises = self.promises
        if self._home is None and promises:
            self._home = sorted(promises)[self._ident % len(promises)]
        if self._home is None or promises[self._home].is_recalled:
            return None
        return self._home

    def _unused(self, now_s: float) -> list[int]:
        """Those that have tickets and, as far as one can tell, no use for them."""
        found: list[int] = []
        due_s = NEVER_S
        for producer, promise in self.promises.items():
            if promise.out and not promise.is_recalled:
                until_s = promise.since_s + PATIENCE * self.flight_s
                if promise.wanted < promise.given or now_s >= until_s:
                    found.append(producer)
                else:
                    due_s = min(due_s, until_s)
        self.recall_due_s = NEVER_S if found else due_s
        return found


def _is_overdue(promise: Promise, now_s: float) -> bool:
    return promise.is_recalled and now_s - promise.recalled_s >= OVERDUE_S
