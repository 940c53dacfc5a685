"""Credit: what a producer may send, and to whom; in virtual time."""

from __future__ import annotations

import heapq
from copy import deepcopy
from dataclasses import dataclass, field
from itertools import count

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from minipipe.protocol.flow.credit import (
    AUTO_FIRST_ITEMS,
    AUTO_MAX_ITEMS,
    AUTO_MIN_ITEMS,
    HOLD_BACK_S,
    WINDOW_BYTES,
    Account,
    Accounts,
    Grant,
    ServiceTime,
)

PACES_S = st.sampled_from((0.0, 1e-6, 0.001, 0.1, 5.0))
SIZES = st.sampled_from((0, 100, WINDOW_BYTES // 3, WINDOW_BYTES - 1, 3 * WINDOW_BYTES))


def grant(
    consumed: int, window: int, *, finished: int | None = None, service_time_s: float = 0.0
) -> Grant:
    return Grant(consumed, consumed if finished is None else finished, window, service_time_s)


# ------------------------------------------------------------------ one consumer
class AccountMachine(RuleBasedStateMachine):
    """A producer and one consumer; grants are lost, repeated and delivered in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.account = Account(consumer=1)
        self.now_s = 0.0
        self.parcels: list[tuple[int, int]] = []  # items up to here, bytes; all ever sent
        self.consumed = 0  # the truth, at the consumer
        self.finished = 0
        self.grants: list[Grant] = []
        self.largest_window = 0

    @rule(items=st.integers(1, 5), size_bytes=SIZES)
    def send(self, items: int, size_bytes: int) -> None:
        items = min(items, self.account.room_items)
        if items:
            self.account.booked(items, size_bytes, len(self.parcels), self.now_s)
            sent = self.parcels[-1][0] if self.parcels else 0
            self.parcels.append((sent + items, size_bytes))

    @rule(items=st.integers(0, 4), of_them=st.integers(0, 8))
    def work(self, items: int, of_them: int) -> None:
        self.consumed = min(self.account.sent, self.consumed + items)
        self.finished = min(self.consumed, self.finished + of_them)

    @rule(window=st.integers(1, 8), service_time_s=PACES_S)
    def write_a_grant(self, window: int, service_time_s: float) -> None:
        self.grants.append(Grant(self.consumed, self.finished, window, service_time_s))

    @precondition(lambda self: self.grants)
    @rule(data=st.data(), later_s=st.floats(0, 1))
    def deliver_any_grant(self, data: st.DataObject, later_s: float) -> None:
        self.now_s += later_s
        said = data.draw(st.sampled_from(self.grants))
        before = deepcopy(self.account)
        self.account.granted(said, self.now_s)
        if said.consumed < before.consumed or said.finished < before.finished:
            assert self.account == before
        else:
            self.largest_window = max(self.largest_window, said.window)
            assert (self.account.consumed, self.account.finished) == (said.consumed, said.finished)

    @invariant()
    def what_waits_never_exceeds_the_largest_window_granted(self) -> None:
        assert self.account.sent - self.consumed <= self.largest_window
        assert self.account.room_items <= self.largest_window
        assert self.account.room_items >= 0

    @invariant()
    def the_producer_never_believes_in_more_than_is_true(self) -> None:
        assert self.account.consumed <= self.consumed
        assert self.account.finished <= self.finished

    @invariant()
    def bytes_wait_until_the_last_item_of_their_parcel_is_taken(self) -> None:
        waiting = [size for upto, size in self.parcels if upto > self.account.consumed]
        assert self.account.waiting_bytes == sum(waiting)
        assert len(self.account.parcels) == len(waiting)
        if self.account.waiting_bytes >= WINDOW_BYTES:
            assert self.account.room_items == 0


TestAccountKeepsWithinItsWindow = AccountMachine.TestCase
TestAccountKeepsWithinItsWindow.settings = settings(
    max_examples=25, stateful_step_count=25, deadline=None
)


def test_nothing_may_be_sent_before_the_first_grant() -> None:
    assert Account(1).room_items == 0


def test_a_parcel_that_is_larger_than_the_window_passes_alone() -> None:
    account = Account(1)
    account.granted(grant(0, 10), 0.0)
    assert account.room_items == 10
    account.booked(1, 5 * WINDOW_BYTES, 1, 0.0)
    assert account.room_items == 0
    account.granted(grant(1, 10), 1.0)
    assert account.room_items == 10


def test_a_window_that_shrinks_below_what_waits_leaves_no_room() -> None:
    account = Account(1)
    account.granted(grant(0, 10), 0.0)
    account.booked(8, 8, 1, 0.0)
    account.granted(grant(2, 3), 1.0)
    assert account.room_items == 0
    account.granted(grant(7, 3), 2.0)
    assert account.room_items == 2


def test_a_lost_grant_is_made_good_by_the_next() -> None:
    account = Account(1)
    account.granted(grant(0, 4), 0.0)
    account.booked(4, 4, 1, 0.0)
    account.granted(grant(4, 4), 1.0)
    assert account.room_items == 4


@pytest.mark.parametrize("wrong", [Grant(3, 0, 4, 0.0), Grant(1, 2, 4, 0.0)], ids=str)
def test_a_grant_that_cannot_be_true_is_an_error(wrong: Grant) -> None:
    account = Account(1)
    account.granted(grant(0, 4), 0.0)
    account.booked(2, 2, 1, 0.0)
    before = deepcopy(account)
    with pytest.raises(ValueError, match="does not fit 2 items sent"):
        account.granted(wrong, 1.0)
    assert account == before


# ----------------------------------------------------------------- all consumers
@dataclass
class Truth:
    """A consumer as it really is."""

    sent: int = 0
    consumed: int = 0
    finished: int = 0
    told: Grant | None = None
    waiting: list[tuple[int, int]] = field(default_factory=list)

    @property
    def room(self) -> int:
        if self.told is None or sum(size for _, size in self.waiting) >= WINDOW_BYTES:
            return 0
        return max(0, self.told.consumed + self.told.window - self.sent)

    @property
    def idle(self) -> bool:
        """Whether, for all that the producer was told, it has nothing to do."""
        return self.sent == (self.told.finished if self.told else 0)


class AccountsMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.accounts = Accounts()
        self.now_s = 0.0
        self.ids = count(1)
        self.truth: dict[int, Truth] = {}
        self.dead: list[int] = []

    @rule()
    def a_consumer_joins(self) -> None:
        ident = next(self.ids)
        self.accounts.add(ident)
        self.truth[ident] = Truth()

    @precondition(lambda self: self.truth)
    @rule(data=st.data())
    def a_consumer_is_announced_twice(self, data: st.DataObject) -> None:
        self.accounts.add(data.draw(st.sampled_from(sorted(self.truth))))

    @precondition(lambda self: len(self.truth) > 1)
    @rule(data=st.data())
    def a_consumer_dies(self, data: st.DataObject) -> None:
        ident = data.draw(st.sampled_from(sorted(self.truth)))
        self.accounts.remove(ident)
        del self.truth[ident]
        self.dead.append(ident)

    @precondition(lambda self: self.dead)
    @rule(data=st.data())
    def the_dead_grant(self, data: st.DataObject) -> None:
        self.accounts.granted(data.draw(st.sampled_from(self.dead)), grant(0, 9), self.now_s)

    @precondition(lambda self: self.truth)
    @rule(
        data=st.data(),
        consumed=st.integers(0, 5),
        finished=st.integers(0, 5),
        window=st.integers(1, 5),
        service_time_s=PACES_S,
    )
    def a_consumer_works_and_grants(self, data, consumed, finished, window, service_time_s) -> None:
        ident = data.draw(st.sampled_from(sorted(self.truth)))
        it = self.truth[ident]
        it.consumed = min(it.sent, it.consumed + consumed)
        it.finished = min(it.consumed, it.finished + finished)
        it.told = Grant(it.consumed, it.finished, window, service_time_s)
        it.waiting = [(upto, size) for upto, size in it.waiting if upto > it.consumed]
        self.accounts.granted(ident, it.told, self.now_s)

    @rule(later_s=st.floats(0, 1))
    def time_passes(self, later_s: float) -> None:
        self.now_s += later_s

    @rule(size_bytes=SIZES, items=st.integers(1, 4))
    def send_to_whom_is_chosen(self, size_bytes: int, items: int) -> None:
        chosen = self.accounts.choose(self.now_s)
        if chosen is not None:
            it = self.truth[chosen]
            items = min(items, it.room)
            self.accounts.booked(chosen, items, size_bytes, self.now_s)
            it.sent += items
            it.waiting.append((it.sent, size_bytes))

    @invariant()
    def only_one_with_room_is_chosen_and_an_idle_one_before_all(self) -> None:
        chosen = self.accounts.choose(self.now_s)
        with_room = {i for i, it in self.truth.items() if it.room}
        idle = {i for i in with_room if self.truth[i].idle}
        if chosen is not None:
            assert chosen in with_room
        if idle:
            assert chosen in idle

    @invariant()
    def it_waits_only_for_somebody_who_will_be_heard_of(self) -> None:
        if self.accounts.choose(self.now_s) is None:
            with_room = [it for it in self.truth.values() if it.room]
            without = [it for it in self.truth.values() if not it.room]
            assert not with_room or any(it.told is None or not it.idle for it in without)

    @invariant()
    def the_sums_are_those_of_the_consumers(self) -> None:
        assert sorted(self.accounts.consumers) == sorted(self.truth)
        waiting = sum(account.sent - account.consumed for account in self.accounts._by_id.values())
        assert waiting == sum(
            it.sent - (it.told.consumed if it.told else 0) for it in self.truth.values()
        )
        assert all(self.accounts.room_items(i) == it.room for i, it in self.truth.items())
        assert all(self.accounts.room_items(i) == 0 for i in self.dead)


TestAccountsChooseWell = AccountsMachine.TestCase
TestAccountsChooseWell.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)


def accounts_of(**grants: Grant) -> Accounts:
    """Accounts of consumers c1, c2, .. that have granted this."""
    made = Accounts()
    for name, said in grants.items():
        made.add(int(name[1:]))
        made.granted(int(name[1:]), said, 0.0)
    return made


def test_nobody_is_chosen_of_nobody() -> None:
    assert Accounts().choose(0.0) is None


def test_among_equals_the_one_not_sent_to_for_longest_is_chosen() -> None:
    accounts = accounts_of(c1=grant(0, 9), c2=grant(0, 9), c3=grant(0, 9))
    order = []
    for _ in range(9):
        chosen = accounts.choose(0.0)
        assert chosen is not None
        accounts.booked(chosen, 1, 1, 0.0)
        order.append(chosen)
    assert order == [1, 2, 3] * 3


def test_an_idle_consumer_is_chosen_however_slow_it_is() -> None:
    slow, quick = grant(0, 4, service_time_s=10.0), grant(0, 4, service_time_s=0.001)
    accounts = accounts_of(c1=slow, c2=quick)
    accounts.booked(2, 1, 1, 0.0)
    assert accounts.choose(0.0) == 1


def test_the_one_that_begins_a_further_item_first_is_chosen() -> None:
    accounts = accounts_of(
        c1=grant(0, 4, service_time_s=0.003), c2=grant(0, 4, service_time_s=0.001)
    )
    accounts.booked(1, 1, 1, 0.0)
    accounts.booked(2, 1, 1, 0.0)
    assert accounts.choose(0.0) == 2
    accounts.booked(2, 3, 3, 0.0)  # 4 ms of work there, 3 here
    assert accounts.choose(0.0) == 1


def test_nothing_is_queued_behind_a_busy_worker_while_another_is_free_much_sooner() -> None:
    accounts = accounts_of(c1=grant(0, 2, service_time_s=1.0), c2=grant(0, 1, service_time_s=0.005))
    accounts.booked(1, 1, 1, 0.0)
    accounts.booked(2, 1, 1, 0.0)
    assert accounts.room_items(1) == 1
    assert accounts.choose(0.0) is None
    accounts.granted(2, grant(1, 1, service_time_s=0.005), 0.005)
    assert accounts.choose(0.005) == 2


def test_a_wait_shorter_than_a_message_there_and_back_is_not_avoided() -> None:
    accounts = accounts_of(c1=grant(0, 2, service_time_s=HOLD_BACK_S), c2=grant(0, 1))
    accounts.booked(1, 1, 1, 0.0)
    accounts.booked(2, 1, 1, 0.0)
    assert accounts.choose(0.0) == 1


# -------------------------------------------------------------------------- pace
@given(
    st.integers(1, 100) | st.none(),
    st.integers(1, 20),
    st.lists(st.tuples(st.integers(0, 1000), st.floats(0, 100)), max_size=10),
)
@settings(max_examples=30, deadline=None)
def test_a_window_is_never_empty_and_never_beyond_its_limit(fixed, producers, turns) -> None:
    pace = ServiceTime(fixed, producers)
    for items, seconds in turns:
        pace.observe(items, seconds)
    if fixed is None:
        lowest = AUTO_MIN_ITEMS if pace.service_time_s > 0 else AUTO_FIRST_ITEMS
        assert lowest <= pace.window <= AUTO_MAX_ITEMS
    else:
        assert fixed <= pace.window * producers < fixed + producers


@given(st.lists(st.tuples(st.integers(1, 1000), st.floats(1e-6, 100)), min_size=1, max_size=10))
@example([(1, 1.0), (244, 1e-06)])
@settings(max_examples=300, deadline=None)
def test_the_pace_stays_between_the_slowest_and_the_quickest_turn(turns) -> None:
    pace = ServiceTime()
    for items, seconds in turns:
        pace.observe(items, seconds)
    seen = [seconds / items for items, seconds in turns]
    assert min(seen) * (1 - 1e-9) <= pace.service_time_s <= max(seen) * (1 + 1e-9)


def test_two_slow_turns_are_believed_and_of_one_a_fifth() -> None:
    pace = ServiceTime()
    pace.observe(1000, 0.001)
    pace.observe(1, 2.0)
    assert pace.service_time_s == pytest.approx(0.4, rel=0.01)
    assert pace.window == AUTO_MIN_ITEMS
    pace.observe(1, 1.0)
    assert pace.service_time_s == pytest.approx(1.0)


def test_an_interruption_makes_a_window_a_little_smaller_for_a_while() -> None:
    pace = ServiceTime()
    pace.observe(1, 0.000_25)
    assert pace.window == 40
    pace.observe(1, 0.004_25)  # another process had the processor
    assert pace.window >= 9
    for _ in range(10):
        pace.observe(1, 0.000_25)
    assert pace.window > 25


def test_a_quick_turn_is_believed_by_and_by() -> None:
    pace = ServiceTime()
    pace.observe(1, 1.0)
    pace.observe(1, 0.0)
    assert pace.service_time_s == pytest.approx(0.8)
    pace.observe(1, 0.0)
    assert pace.service_time_s == pytest.approx(0.64)


def test_many_quick_items_in_one_turn_count_like_many_turns() -> None:
    one, many = ServiceTime(), ServiceTime()
    for pace in (one, many):
        pace.observe(1, 1.0)
    one.observe(5, 5 * 0.001)
    for _ in range(5):
        many.observe(1, 0.001)
    assert one.service_time_s == pytest.approx(many.service_time_s)


def test_a_turn_without_items_teaches_nothing() -> None:
    pace = ServiceTime()
    pace.observe(1, 0.5)
    pace.observe(0, 100.0)
    assert pace.service_time_s == pytest.approx(0.5)


def test_an_automatic_window_holds_10_ms_of_work_shared_among_the_producers() -> None:
    alone, shared = ServiceTime(), ServiceTime(producers=4)
    for pace in (alone, shared):
        pace.observe(1, 0.000_1)
    assert alone.window in (99, 100)  # the division rounds
    assert shared.window in (24, 25)


# -------------------------------------------------------------------- simulation
class Simulation:
    """One producer and some consumers in virtual time; each message takes `delay_s`."""

    def __init__(self, paces_s: list[float], *, items: int, delay_s: float = 0.0002) -> None:
        self.accounts = Accounts()
        self.paces_s = paces_s
        self.left = items
        self.delay_s = delay_s
        self.order: list[int] = []
        self.events: list[tuple[float, int, str, int, Grant | None]] = []
        self.serial = count()
        self.counts = [[0, 0, 0] for _ in paces_s]  # arrived, consumed, finished
        self.paces = [ServiceTime() for _ in paces_s]
        self.now_s = 0.0

    def at(self, time_s: float, what: str, who: int, said: Grant | None = None) -> None:
        heapq.heappush(self.events, (time_s, next(self.serial), what, who, said))

    def say(self, who: int) -> None:
        _, consumed, finished = self.counts[who]
        pace = self.paces[who]
        said = Grant(consumed, finished, pace.window, pace.service_time_s)
        self.at(self.now_s + self.delay_s, "grant", who, said)

    def begin(self, who: int) -> None:
        arrived, consumed, finished = self.counts[who]
        if consumed == finished < arrived:
            self.counts[who][1] += 1
            self.say(who)
            self.at(self.now_s + self.paces_s[who], "finished", who)

    def produce(self) -> None:
        while self.left and (who := self.accounts.choose(self.now_s)) is not None:
            self.accounts.booked(who, 1, 100, self.now_s)
            self.order.append(who)
            self.left -= 1
            self.at(self.now_s + self.delay_s, "arrives", who)

    def run(self) -> float:
        """Runs to the end; returns the moment when the last item was finished."""
        total, last_s = self.left, 0.0
        for who in range(len(self.paces_s)):
            self.accounts.add(who)
            self.say(who)
        while self.events:
            self.now_s, _, what, who, said = heapq.heappop(self.events)
            if what == "arrives":
                self.counts[who][0] += 1
            elif what == "finished":
                self.counts[who][2] += 1
                self.paces[who].observe(1, self.paces_s[who])
                last_s = self.now_s
                self.say(who)
            elif said is not None:
                self.accounts.granted(who, said, self.now_s)
            self.begin(who)
            if not self.events or self.events[0][0] > self.now_s:  # all has been taken in
                self.produce()
        assert self.left == 0, "the producer waits for ever"
        assert sum(finished for *_, finished in self.counts) == total
        return last_s


def ideal_s(paces_s: list[float], items: int) -> float:
    """When `items` would be finished if everything were known beforehand and at once there."""
    free = [
        (service_time_s, service_time_s) for service_time_s in paces_s
    ]  # when it would have finished one more
    heapq.heapify(free)
    for _ in range(items):
        end_s, service_time_s = heapq.heappop(free)
        heapq.heappush(free, (end_s + service_time_s, service_time_s))
    return end_s


@pytest.mark.parametrize("paces_ms", [(100, 5, 5), (5, 5, 5), (5, 5, 5, 20), (50, 50, 2)], ids=str)
def test_a_slow_consumer_beside_quick_ones_costs_less_than_a_tenth(paces_ms) -> None:
    paces_s = [ms / 1000 for ms in paces_ms]
    took_s = Simulation(paces_s, items=400).run()
    assert took_s <= 1.1 * ideal_s(paces_s, 400)


@pytest.mark.parametrize("consumers", [2, 3])
def test_equal_consumers_are_sent_to_in_turn(consumers: int) -> None:
    simulation = Simulation([0.005] * consumers, items=60)
    simulation.run()
    assert simulation.order == [i % consumers for i in range(60)]


@given(
    st.lists(st.sampled_from((0.0, 0.00001, 0.001, 0.005, 0.1)), min_size=1, max_size=4),
    st.sampled_from((0.0, 0.0002, 0.01)),
)
@settings(max_examples=40, deadline=None)
def test_the_producer_never_waits_for_ever(paces_s: list[float], delay_s: float) -> None:
    simulation = Simulation(paces_s, items=50, delay_s=delay_s)
    simulation.run()
    assert len(simulation.order) == 50
