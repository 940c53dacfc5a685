"""Several producers before several workers, in virtual time: with tickets, and as a central queue.

The decisions are the real ones; messages, deaths and new workers are invented.
"""

from __future__ import annotations

import heapq
import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import NamedTuple

from minipipe.protocol.flow.credit import Accounts, Grant, ServiceTime
from minipipe.protocol.flow.late_binding import LateBinding
from minipipe.protocol.flow.tickets import NEVER_S, Tickets

DELAY_S = 0.0003  # of a message
EVENTS = 400_000  # more than any course of events here has, so one that has more goes round


class Job(NamedTuple):
    """An item: when it is there, at which of the first producers, and its number."""

    at_s: float
    producer: int
    number: int


Duration = Callable[[int, int], float]  # of an item at a consumer: number, the how-manieth it is


def central_s(consumers: int, jobs: Sequence[Job], duration: Duration) -> float:
    """When all is finished if a free worker takes the oldest item, and nothing else takes time."""
    free = [(0.0, consumer) for consumer in range(consumers)]
    end_s = 0.0
    for job in sorted(jobs):
        free_s, consumer = heapq.heappop(free)
        finished_s = max(free_s, job.at_s) + duration(job.number, consumer)
        heapq.heappush(free, (finished_s, consumer))
        end_s = max(end_s, finished_s)
    return end_s


@dataclass
class Producer:
    """One that has items, and gives them to whom it chooses."""

    ident: int
    accounts: Accounts = field(default_factory=Accounts)
    items: deque[int] = field(default_factory=deque)
    wakes_s: float = -NEVER_S
    dead: set[int] = field(default_factory=set)  # of whom it knows that

    def __post_init__(self) -> None:
        self.late = LateBinding(self.ident, self.accounts)


@dataclass
class Consumer:
    """One that works at an item at a time, and reads nothing meanwhile."""

    ident: int
    index: int
    pace: ServiceTime = field(default_factory=ServiceTime)
    unread: deque[Callable[[], None]] = field(default_factory=deque)
    queue: deque[tuple[int, int]] = field(default_factory=deque)  # producer, number
    work: tuple[int, int] | None = None
    began_s: float = 0.0
    arrived: dict[int, int] = field(default_factory=dict)
    finished: dict[int, int] = field(default_factory=dict)
    told: dict[int, Grant] = field(default_factory=dict)
    wakes_s: float = -NEVER_S
    done: list[int] = field(default_factory=list)
    most: int = 0  # items that were here at once
    dead: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.tickets = Tickets(self.ident)


class Dealing:
    """One course of events.

    Args:
        rng: how long each message takes; None: the same for all.
    """

    def __init__(
        self, producers: int, consumers: int, duration: Duration, rng: random.Random | None = None
    ) -> None:
        self.now_s = 0.0
        self.messages = 0
        self.last_s = 0.0
        self.done: list[int] = []
        self.producers: dict[int, Producer] = {}
        self.consumers: dict[int, Consumer] = {}
        self.all_consumers: list[Consumer] = []
        self._duration = duration
        self._rng = rng
        self._serial, self._ids = count(), count(1)
        self._indices = count()
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._last_on_link: dict[tuple[int, int], float] = {}
        self._at: dict[int, tuple[int, int]] = {}  # item under way, or at a consumer: from, to
        for _ in range(producers):
            self.add_producer()
        for _ in range(consumers):
            self.add_consumer()
        for consumer in self.all_consumers:
            self._deal(consumer)

    # ------------------------------------------------------------------ time
    def at(self, time_s: float, what: Callable[[], None]) -> None:
        heapq.heappush(self._events, (time_s, next(self._serial), what))

    def _send(self, sender: int, receiver: int, what: Callable[[], None]) -> None:
        """First in, first out for each pair, and in no order between pairs."""
        self.messages += 1
        delay_s = DELAY_S if self._rng is None else self._rng.choice((0.0, DELAY_S, 0.002, 0.03))
        link = (sender, receiver)
        time_s = max(self.now_s + delay_s, self._last_on_link.get(link, 0.0))
        self._last_on_link[link] = time_s
        self.at(time_s, what)

    def run(self, jobs: Sequence[Job]) -> float:
        """Runs until nothing happens any more; when the last item was finished."""
        for job in jobs:
            self.at(job.at_s + 3 * DELAY_S, lambda job=job: self._made(job.producer, job.number))
        for _ in range(EVENTS):
            if not self._events:
                return self.last_s
            self.now_s, _, what = heapq.heappop(self._events)
            what()
        raise AssertionError("it goes on for ever")

    # --------------------------------------------------- who is there, and who no more
    def add_producer(self) -> None:
        producer = Producer(next(self._ids))
        self.producers[producer.ident] = producer
        for consumer in self.consumers.values():
            self._introduce(producer, consumer)

    def add_consumer(self) -> None:
        consumer = Consumer(next(self._ids), next(self._indices))
        self.consumers[consumer.ident] = consumer
        self.all_consumers.append(consumer)
        for producer in self.producers.values():
            self._introduce(producer, consumer)

    def _introduce(self, producer: Producer, consumer: Consumer) -> None:
        producer.accounts.add(consumer.ident)
        hello = lambda: self._hello(consumer, producer.ident)  # noqa: E731
        if not self.now_s:
            hello()  # all are connected before anything begins
        else:
            self._send(producer.ident, consumer.ident, lambda: self._read(consumer, hello))

    def _hello(self, consumer: Consumer, producer: int) -> None:
        if producer in consumer.dead:
            return
        consumer.tickets.add(producer)
        consumer.arrived[producer] = consumer.finished[producer] = 0

    def retire(self, ident: int) -> None:
        """A consumer is to leave: one producer after the other is told to send it nothing more."""
        for producer in self.producers.values():
            if ident in producer.accounts.consumers:
                self._send(0, producer.ident, lambda p=producer: self._retired(p, ident))

    def _retired(self, producer: Producer, ident: int) -> None:
        if ident in producer.accounts.consumers:
            producer.accounts.retire(ident)
            self._pump(producer)

    def kill(self, ident: int) -> None:
        """It dies now; the others hear of it one by one."""
        dead = self.producers.pop(ident, None) or self.consumers.pop(ident, None)
        assert dead is not None
        lost: list[int] = []
        if isinstance(dead, Producer):
            lost = [*dead.items]  # somebody has them still, and makes them again
            for consumer in self.consumers.values():
                fence = lambda c=consumer: self._fence_consumer(c, ident)  # noqa: E731
                self._send(0, consumer.ident, lambda c=consumer, f=fence: self._read(c, f))
            heirs = list(self.producers)
        else:
            lost = [number for number, (_, to) in self._at.items() if to == ident]
            for number in lost:
                del self._at[number]
            for producer in self.producers.values():
                self._send(0, producer.ident, lambda p=producer: self._fence_producer(p, ident))
            heirs = list(self.producers)
        for number in lost:
            self._made_again(number, heirs)

    def _made_again(self, number: int, heirs: Sequence[int]) -> None:
        heir = heirs[number % len(heirs)]
        self._send(0, heir, lambda: self._made(heir, number))

    def _fence_consumer(self, consumer: Consumer, dead: int) -> None:
        consumer.dead.add(dead)
        consumer.tickets.forget({dead})
        consumer.arrived.pop(dead, None)
        consumer.told.pop(dead, None)

    def _fence_producer(self, producer: Producer, dead: int) -> None:
        producer.dead.add(dead)
        producer.accounts.remove(dead)
        self._pump(producer)

    # -------------------------------------------------------------- producers
    def _made(self, ident: int, number: int) -> None:
        producer = self.producers.get(ident)
        if producer is None:
            self._made_again(number, list(self.producers))
            return
        producer.items.append(number)
        self._pump(producer)

    def _pump(self, producer: Producer) -> None:
        if producer.ident not in self.producers:
            return
        late, accounts, ident = producer.late, producer.accounts, producer.ident
        while producer.items:
            chosen = accounts.choose(self.now_s)
            if chosen is None:
                late.waits(self.now_s)
                break
            number, wanted = producer.items.popleft(), 0
            if late.in_use or late.is_waiting:
                wanted = late.sends(chosen, self.now_s)
            accounts.booked(chosen, 1, 100, self.now_s)
            if chosen not in self.consumers:
                self._made_again(number, [ident])  # it is dead, and will not be heard of
                continue
            consumer = self.consumers[chosen]
            self._at[number] = (ident, chosen)
            arrives = lambda c=consumer, n=number, w=wanted: self._arrives(c, ident, n, w)  # noqa: E731
            self._send(ident, chosen, lambda c=consumer, a=arrives: self._read(c, a))
        for chosen, wanted in late.offers(self.now_s):
            if chosen in self.consumers:
                consumer = self.consumers[chosen]
                offered = lambda c=consumer, w=wanted: c.tickets.wants(ident, w)  # noqa: E731
                self._send(ident, chosen, lambda c=consumer, o=offered: self._read(c, o))
        due_s = late.due_s
        if due_s < NEVER_S and not self.now_s < producer.wakes_s <= due_s:
            producer.wakes_s = due_s
            self.at(due_s, lambda: self._pump(producer))

    def _granted(self, ident: int, consumer: Consumer, grant: Grant, recalled: int | None) -> None:
        producer = self.producers.get(ident)
        if producer is None or consumer.ident in producer.dead:
            return
        producer.accounts.granted(consumer.ident, grant, self.now_s)
        producer.late.heard(self.now_s)
        if recalled is not None:
            sent = producer.late.recalled(consumer.ident, recalled)
            returned = lambda: consumer.tickets.returned(ident, sent)  # noqa: E731
            self._send(ident, consumer.ident, lambda: self._read(consumer, returned))
        self._pump(producer)

    # -------------------------------------------------------------- consumers
    def _read(self, consumer: Consumer, message: Callable[[], None]) -> None:
        """In its functor, a worker reads nothing."""
        if consumer.ident not in self.consumers:
            return
        consumer.unread.append(message)
        if consumer.work is None:
            self._serve(consumer)

    def _serve(self, consumer: Consumer) -> None:
        """Reads all that has come, and only then says what follows from it."""
        while consumer.unread:
            consumer.unread.popleft()()
        if consumer.queue:
            _, number = consumer.work = consumer.queue.popleft()
            consumer.began_s = self.now_s
            took_s = self._duration(number, consumer.index)
            self.at(self.now_s + took_s, lambda: self._finished(consumer))
        self._deal(consumer)

    def _deal(self, consumer: Consumer) -> None:
        tickets, pace = consumer.tickets, consumer.pace
        allowed = {i: grant.consumed + grant.window for i, grant in consumer.told.items()}
        there_are = len(self.producers)
        shared = there_are > 1 and len(self.consumers) > 1
        if not tickets.switch(pace.service_time_s, allowed, producers=there_are, shared=shared):
            self._give_windows(consumer)
            return
        busy = len(consumer.queue) + (consumer.work is not None)
        tickets.arrived((i, n) for i, n in consumer.arrived.items() if i in tickets.promises)
        given, recalled = tickets.deal(
            busy=busy, places=tickets.places(pace.service_time_s), everybody=True, now_s=self.now_s
        )
        for producer, promise in tickets.promises.items():
            told = consumer.told.get(producer)
            if {producer} & (given | recalled) or told is None or not told.is_ticket:
                allow = promise.arrived if promise.is_recalled else promise.given
                before = promise.given if producer in recalled else None
                self._grant(consumer, producer, max(allow, promise.arrived), before)
        due_s = tickets.recall_due_s
        if due_s < NEVER_S and consumer.wakes_s != due_s:
            consumer.wakes_s = due_s
            self.at(due_s, lambda: self._read(consumer, lambda: None))

    def _give_windows(self, consumer: Consumer) -> None:
        consumer.pace.producers = len(self.producers)
        for producer in consumer.tickets.promises:
            told, taken = consumer.told.get(producer), self._taken(consumer, producer)
            window, finished = consumer.pace.window, consumer.finished[producer]
            now = (taken, finished, window)
            if told is None or told.is_ticket or now != (told.consumed, told.finished, told.window):
                self._grant(consumer, producer, taken + window, None, is_ticket=False)

    def _taken(self, consumer: Consumer, producer: int) -> int:
        return consumer.arrived[producer] - sum(p == producer for p, _ in consumer.queue)

    def _grant(
        self,
        consumer: Consumer,
        producer: int,
        allowed: int,
        before: int | None,
        *,
        is_ticket: bool = True,
    ) -> None:
        taken = self._taken(consumer, producer)
        pace_s = consumer.pace.service_time_s
        grant = Grant(taken, consumer.finished[producer], allowed - taken, pace_s, 1, is_ticket)
        consumer.told[producer] = grant
        granted = lambda: self._granted(producer, consumer, grant, before)  # noqa: E731
        self._send(consumer.ident, producer, granted)

    def _arrives(self, consumer: Consumer, producer: int, number: int, wanted: int) -> None:
        if producer in consumer.dead:  # what a dead one has sent counts for nothing
            del self._at[number]
            self._made_again(number, list(self.producers))
            return
        if wanted:
            consumer.tickets.wants(producer, wanted)
        consumer.arrived[producer] += 1
        consumer.queue.append((producer, number))
        consumer.most = max(consumer.most, len(consumer.queue))

    def _finished(self, consumer: Consumer) -> None:
        if consumer.ident not in self.consumers:
            return
        assert consumer.work is not None
        producer, number = consumer.work
        consumer.work = None
        consumer.finished[producer] += 1
        del self._at[number]
        self.done.append(number)
        consumer.done.append(number)
        consumer.pace.observe(1, self.now_s - consumer.began_s)
        self.last_s = self.now_s
        self._serve(consumer)
