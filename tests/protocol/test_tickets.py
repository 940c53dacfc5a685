"""Tickets: who is promised a consumer's free place, and when that is called back."""

from __future__ import annotations

import pytest

from minipipe.protocol.flow.credit import Accounts, Grant
from minipipe.protocol.flow.late_binding import OFFER_S, RETRACT_S, LateBinding
from minipipe.protocol.flow.tickets import (
    AHEAD_ITEMS,
    AHEAD_S,
    FLIGHT_S,
    LONGEST_S,
    NEVER_S,
    OVERDUE_S,
    PATIENCE,
    QUICK_S,
    QUICKEST_S,
    SHARE,
    SLOW,
    Tickets,
)

PATIENCE_S = PATIENCE * FLIGHT_S


def tickets_of(ident: int, *producers: int) -> Tickets:
    """Of a consumer of this id, with these producers."""
    made = Tickets(ident)
    for producer in producers:
        made.add(producer)
    assert made.switch(0.0, {}, producers=len(producers), shared=True)
    return made


def deal(
    tickets: Tickets, *, busy: int = 0, places: int = 1, everybody: bool = True, now_s: float = 0.0
) -> tuple[set[int], set[int]]:
    return tickets.deal(busy=busy, places=places, everybody=everybody, now_s=now_s)


# --------------------------------------------------------------------- who gets one
def test_an_idle_consumer_leaves_its_ticket_at_one_producer() -> None:
    assert [deal(tickets_of(i, 10, 11, 12))[0] for i in range(3)] == [{10}, {11}, {12}]


def test_a_place_is_promised_once() -> None:
    tickets = tickets_of(0, 10, 11)
    assert deal(tickets) == ({10}, set())
    assert deal(tickets) == (set(), set())


def test_who_is_served_last_has_the_ticket_of_who_idles() -> None:
    tickets = tickets_of(0, 10, 11)
    tickets.wants(11, 1)
    assert deal(tickets)[0] == {11}
    tickets.arrived([(11, 1)])
    assert deal(tickets, busy=1)[0] == set()
    assert deal(tickets)[0] == {11}


def test_nobody_is_left_a_ticket_before_all_producers_are_known() -> None:
    """Else the first of them would be left the tickets of all consumers."""
    tickets = tickets_of(0, 10)
    assert deal(tickets, everybody=False)[0] == set()
    tickets.wants(10, 1)
    assert deal(tickets, everybody=False)[0] == {10}


def test_those_who_want_one_are_served_in_turn() -> None:
    tickets = tickets_of(0, 10, 11, 12)
    served = []
    for count in range(1, 7):
        for producer in (10, 11, 12):
            tickets.wants(producer, count)
        (producer,) = deal(tickets)[0]
        served.append(producer)
        tickets.arrived([(producer, tickets.promises[producer].given)])
        tickets.wants(producer, 0)
    assert served == [10, 11, 12, 10, 11, 12]


def test_a_second_place_is_for_those_who_want_it() -> None:
    """Two items at once of a producer that has few would wait for each other."""
    tickets = tickets_of(0, 10, 11)
    assert deal(tickets, places=2)[0] == {10}
    assert tickets.promises[10].given == 1
    tickets.wants(11, 1)
    assert deal(tickets, places=2)[0] == {11}


@pytest.mark.parametrize(
    ("service_time_s", "count"),
    [
        (0.0, 1),
        (1.0, 1),
        (SHARE * FLIGHT_S, 1),
        (0.01, 2),
        (2 * FLIGHT_S, 2),
        (FLIGHT_S, 3),
        (0.000_01, 1 + AHEAD_ITEMS),
    ],
)
def test_the_quicker_a_worker_is_the_more_may_wait_for_it(
    service_time_s: float, count: int
) -> None:
    assert Tickets(0).places(service_time_s) == count


def starved(tickets: Tickets, seconds: float, number: int, now_s: float) -> None:
    """An idle worker gives a ticket that is wanted, and the item comes so much later."""
    tickets.wants(10, number)
    assert deal(tickets, now_s=now_s)[0] == {10}
    tickets.arrived([(10, number)])
    deal(tickets, busy=1, now_s=now_s + seconds)


def test_where_messages_take_long_more_items_wait_for_a_worker() -> None:
    tickets = tickets_of(0, 10, 11)
    assert tickets.places(0.05) == 1
    for number in range(1, 5):
        starved(tickets, 0.010, number, float(number))
    assert tickets.places(0.05) == 2
    assert tickets.places(AHEAD_S) == 1  # what would wait there would wait long
    for number in range(5, 1000):
        starved(tickets, 0.000_1, number, float(number))
    assert tickets.places(0.05) == 1


def test_that_nobody_had_an_item_does_not_count_as_a_long_way() -> None:
    tickets = tickets_of(0, 10, 11)
    starved(tickets, LONGEST_S, 1, 1.0)
    assert deal(tickets, now_s=2.0)[0] == {10}  # which nobody has asked for
    tickets.arrived([(10, 2)])
    deal(tickets, busy=1, now_s=2.015)
    assert tickets.flight_s == FLIGHT_S


# --------------------------------------------------------------------- calling back
def test_the_ticket_of_an_idle_consumer_is_called_back_for_who_wants_it() -> None:
    tickets = tickets_of(0, 10, 11)
    deal(tickets)
    tickets.wants(11, 1)
    assert deal(tickets) == (set(), {10})
    assert deal(tickets) == (set(), set())  # once
    tickets.returned(10, 0)
    assert deal(tickets) == ({11}, set())
    assert tickets.promises[10].given == 0


def test_a_ticket_that_was_used_is_not_given_again() -> None:
    tickets = tickets_of(0, 10, 11)
    deal(tickets)
    tickets.wants(11, 1)
    deal(tickets)
    tickets.arrived([(10, 1)])
    tickets.returned(10, 1)  # which comes behind the item
    assert deal(tickets, busy=1) == (set(), set())
    assert deal(tickets) == ({11}, set())


def test_who_has_just_been_given_what_it_wanted_is_left_some_time() -> None:
    tickets = tickets_of(0, 10, 11)
    tickets.wants(10, 1)
    deal(tickets, now_s=1.0)
    tickets.wants(11, 1)
    assert deal(tickets, now_s=1.0) == (set(), set())
    assert tickets.recall_due_s == 1.0 + PATIENCE_S
    assert deal(tickets, now_s=1.0 + PATIENCE_S) == (set(), {10})
    assert tickets.recall_due_s == 1.0 + PATIENCE_S + OVERDUE_S  # if there is no answer


def test_others_get_what_one_has_that_does_not_answer() -> None:
    tickets = tickets_of(0, 10, 11, 12)
    deal(tickets)
    tickets.wants(11, 1)
    assert deal(tickets, now_s=1.0) == (set(), {10})
    assert deal(tickets, now_s=1.0 + OVERDUE_S / 2) == (set(), set())
    assert deal(tickets, now_s=1.0 + OVERDUE_S) == ({11}, set())
    assert tickets.recall_due_s == NEVER_S
    tickets.arrived([(11, 1)])
    tickets.wants(12, 1)
    assert deal(tickets, now_s=1.1) == ({12}, set())
    tickets.returned(10, 0)  # at last
    tickets.arrived([(12, 1)])
    tickets.wants(10, 1)
    assert deal(tickets, now_s=1.2) == ({10}, set())


def test_windows_that_become_tickets_are_not_waited_for() -> None:
    tickets = Tickets(0)
    for producer in (10, 11):
        tickets.add(producer)
    assert tickets.switch(0.02, {10: 4000, 11: 4000}, producers=2, shared=True)
    assert deal(tickets, now_s=1.0) == (set(), {10, 11})
    tickets.returned(11, 0)
    tickets.wants(11, 1)
    assert deal(tickets, now_s=1.01) == (set(), set())
    assert deal(tickets, now_s=1.0 + OVERDUE_S) == ({11}, set())


def test_who_wants_it_no_more_is_left_none() -> None:
    tickets = tickets_of(0, 10, 11)
    tickets.wants(10, 1)
    deal(tickets, now_s=1.0)
    tickets.wants(10, 0)
    tickets.wants(11, 1)
    assert deal(tickets, now_s=1.0) == (set(), {10})


def test_a_busy_consumer_calls_nothing_back() -> None:
    tickets = tickets_of(0, 10, 11)
    deal(tickets, places=2)
    tickets.wants(11, 1)
    deal(tickets, places=2)
    tickets.arrived([(10, 1)])
    tickets.wants(10, 2)
    assert deal(tickets, busy=1, places=2, now_s=1.0) == (set(), set())
    assert deal(tickets, busy=0, places=1, now_s=1.0) == (set(), {11})


def test_no_more_is_out_than_there_are_places_when_these_become_fewer() -> None:
    tickets = tickets_of(0, 10, 11)
    deal(tickets, places=2)
    tickets.wants(11, 1)
    deal(tickets, places=2)
    assert deal(tickets, places=1) == (set(), {10})  # 11 is about to use its own
    assert deal(tickets, places=1, now_s=PATIENCE_S) == (set(), {11})


def test_the_tickets_of_the_dead_are_void() -> None:
    tickets = tickets_of(0, 10, 11)
    deal(tickets)
    tickets.forget({10})
    assert deal(tickets) == ({11}, set())


def test_an_answer_that_is_not_owed_changes_nothing() -> None:
    tickets = tickets_of(0, 10, 11)
    deal(tickets)
    tickets.returned(10, 0)
    tickets.returned(12, 0)
    assert tickets.promises[10].given == 1
    assert deal(tickets) == (set(), set())


# ----------------------------------------------------------------- tickets or windows
def test_whoever_has_windows_is_asked_for_them_before_there_are_tickets() -> None:
    tickets = Tickets(0)
    for producer in (10, 11):
        tickets.add(producer)
    assert not tickets.switch(QUICK_S / 2, {}, producers=2, shared=True)
    tickets.arrived([(10, 3), (11, 0)])
    assert tickets.switch(SLOW * QUICK_S, {10: 5, 11: 2}, producers=2, shared=True)
    assert deal(tickets, busy=0) == (set(), {10, 11})
    tickets.returned(10, 4)
    tickets.returned(11, 0)
    assert deal(tickets) == (set(), set())  # an item of 10 is under way
    tickets.arrived([(10, 4)])
    assert deal(tickets)[0] == {10}


def test_there_are_no_windows_while_an_answer_is_owed() -> None:
    tickets = tickets_of(0, 10, 11)
    deal(tickets)
    tickets.wants(11, 1)
    deal(tickets)
    assert tickets.switch(QUICK_S / 2, {}, producers=2, shared=True)
    tickets.returned(10, 0)
    assert not tickets.switch(QUICK_S / 2, {}, producers=2, shared=True)


@pytest.mark.parametrize(
    ("producers", "limit_s"), [(2, QUICK_S), (8, 0.000_625), (64, QUICKEST_S)], ids=str
)
def test_quick_workers_have_windows(producers: int, limit_s: float) -> None:
    tickets = Tickets(0)
    assert not tickets.switch(SLOW * limit_s * 0.99, {}, producers=producers, shared=True)
    assert tickets.switch(SLOW * limit_s, {}, producers=producers, shared=True)
    assert tickets.switch(limit_s, {}, producers=producers, shared=True)
    assert not tickets.switch(limit_s * 0.99, {}, producers=producers, shared=True)


def test_a_stream_that_is_not_shared_has_windows() -> None:
    assert not Tickets(0).switch(1.0, {}, producers=1, shared=False)


# --------------------------------------------------------------------- the producer
def late_of(*consumers: int, ident: int = 1) -> tuple[LateBinding, Accounts]:
    """Of a producer of this id, whose consumers all give tickets, and have given it none."""
    accounts = Accounts()
    for consumer in consumers:
        accounts.add(consumer)
        accounts.granted(consumer, Grant(0, 0, 0, 0.0, is_ticket=True), 0.0)
    return LateBinding(ident, accounts), accounts


def test_a_ticket_is_used_and_nothing_else_is() -> None:
    _, accounts = late_of(5, 6)
    assert accounts.choose(0.0) is None
    accounts.granted(6, Grant(0, 0, 1, 1.0, is_ticket=True), 0.0)
    assert accounts.choose(0.0) == 6
    accounts.booked(6, 1, 1, 0.0)
    assert accounts.choose(0.0) is None


@pytest.mark.parametrize("is_ticket", [False, True])
def test_who_has_nothing_of_ours_and_gives_no_ticket_is_not_waited_for(is_ticket: bool) -> None:
    _, accounts = late_of(5, 6)
    accounts.granted(6, Grant(0, 0, 1, 1.0, is_ticket=is_ticket), 0.0)
    accounts.booked(6, 1, 1, 0.0)
    accounts.granted(6, Grant(1, 0, 1, 1.0, is_ticket=is_ticket), 0.0)
    assert accounts.choose(0.0) == 6


def test_an_item_that_waits_is_offered_to_more_and_more_and_to_each_once() -> None:
    late, _ = late_of(*range(10, 17))
    late.waits(1.0)
    assert late.offers(1.0) == []
    asked, now_s = [], 1.0
    while late.due_s < NEVER_S:
        now_s = late.due_s
        asked.append(late.offers(now_s))
    assert [len(said) for said in asked] == [2, 4, 1, 0]
    assert sorted(said for each in asked for said in each) == [(c, 1) for c in range(10, 17)]


def test_a_consumer_that_comes_later_is_asked_too() -> None:
    late, accounts = late_of(10)
    late.waits(1.0)
    late.offers(1.0 + OFFER_S)
    assert late.offers(1.0 + 2 * OFFER_S) == []
    assert late.due_s == NEVER_S
    accounts.add(11)
    accounts.granted(11, Grant(0, 0, 0, 0.0, is_ticket=True), 2.0)
    late.heard(2.0)
    assert late.offers(2.0 + OFFER_S) == [(11, 1)]


def test_with_an_item_that_has_waited_the_next_one_is_asked_for() -> None:
    late, accounts = late_of(10, 11)
    late.waits(1.0)
    late.offers(1.0 + OFFER_S)
    accounts.granted(10, Grant(0, 0, 1, 0.0, is_ticket=True), 1.1)
    assert late.sends(10, 1.1) == 2
    accounts.booked(10, 1, 1, 1.1)


def test_a_producer_that_has_many_items_asks_for_as_many_places_as_there_may_be() -> None:
    late, accounts = late_of(10, 11)
    accounts.granted(10, Grant(0, 0, 1, 0.0, is_ticket=True), 1.0)
    late.sends(10, 1.0)
    accounts.booked(10, 1, 1, 1.0)
    late.waits(1.0 + OFFER_S / 2)
    accounts.granted(10, Grant(1, 1, 1, 0.0, is_ticket=True), 1.1)
    assert late.sends(10, 1.1) == 2 + AHEAD_ITEMS


def test_a_lone_item_asks_for_nothing() -> None:
    late, accounts = late_of(10, 11)
    accounts.granted(10, Grant(0, 0, 1, 0.0, is_ticket=True), 1.0)
    assert late.sends(10, 1.0) == 0
    assert late.due_s == NEVER_S


def test_what_is_not_wanted_any_more_is_said() -> None:
    late, accounts = late_of(10, 11)
    late.waits(1.0)
    late.offers(1.0 + OFFER_S)
    accounts.granted(10, Grant(0, 0, 1, 0.0, is_ticket=True), 1.1)
    late.sends(10, 1.1)
    accounts.booked(10, 1, 1, 1.1)
    assert late.offers(1.1 + OFFER_S) == []
    assert sorted(late.offers(1.1 + RETRACT_S)) == [(10, 1), (11, 0)]
    assert late.due_s == NEVER_S


def test_what_was_dropped_waits_no_more() -> None:
    late, _ = late_of(10, 11)
    late.waits(1.0)
    late.rests()
    assert late.due_s == NEVER_S


def test_who_gives_a_ticket_back_asks_anew_when_it_needs_one() -> None:
    late, accounts = late_of(10)
    late.waits(1.0)
    assert late.offers(1.0 + OFFER_S) == [(10, 1)]
    accounts.granted(10, Grant(0, 0, 1, 0.0, is_ticket=True), 1.1)
    accounts.granted(10, Grant(0, 0, 0, 0.0, is_ticket=True), 1.1)  # before it was used
    assert late.recalled(10, 1) == 0
    late.heard(1.1)
    assert late.offers(1.1 + OFFER_S) == [(10, 1)]


def test_who_is_to_leave_is_not_asked() -> None:
    late, accounts = late_of(10, 11)
    accounts.retire(10)
    late.waits(1.0)
    assert late.offers(1.0 + OFFER_S) == [(11, 1)]


def test_it_is_in_use_while_somebody_gives_tickets() -> None:
    late, accounts = late_of(10, 11)
    assert late.in_use
    accounts.granted(10, Grant(0, 0, 4, 0.0), 1.0)
    assert late.in_use
    accounts.remove(11)
    assert not late.in_use
