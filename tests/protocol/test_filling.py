"""A run begins when each segment has a worker, and fills up as machines join."""

from __future__ import annotations

from dataclasses import replace

import pytest

from minipipe.protocol.run.actions import (
    Action,
    Dismiss,
    Kill,
    Launch,
    LogDeath,
    SendCount,
    SendFence,
    SendInit,
    SendJoin,
    SendLeave,
    SendStart,
    SendStop,
    Spawn,
)
from minipipe.protocol.run.events import (
    Began,
    Bound,
    Died,
    Done,
    Event,
    Member,
    Outcome,
    ProcessStarted,
    Resent,
    StopAsked,
    Tick,
    Waits,
    Wired,
)
from minipipe.protocol.run.lifecycle import Lifecycle
from minipipe.protocol.run.starting import AT_ONCE

REGION = frozenset({0})
SOURCE = Member(1, segment=0, is_source=True, sends_to=REGION)
WORK = Member(
    2, segment=1, is_stateless=True, works_in=REGION, fed_by=frozenset({0}), restarts=True
)
MORE = [replace(WORK, id=3), replace(WORK, id=4)]
SINK = Member(5, segment=2, receives_from=REGION, fed_by=frozenset({1}))
KILLED = RuntimeError("killed by SIGKILL")


def tell(lifecycle: Lifecycle, *events: Event) -> list[Action]:
    return [action for event in events for action in lifecycle.handle(event, 0.0)]


def ready(*members: Member) -> list[Event]:
    bound = [Bound(m.id, f"inproc://run/{m.id:x}") for m in members]
    return [*bound, *(Wired(m.id) for m in members)]


def begun() -> tuple[Lifecycle, list[Action]]:
    """A run of which the workers 3 and 4 wait for a machine."""
    lifecycle = Lifecycle([SOURCE, WORK, *MORE, SINK])
    tell(lifecycle, Began(), Waits(3), Waits(4), Tick())
    actions = tell(lifecycle, *ready(SOURCE, WORK, SINK))
    assert lifecycle.started
    return lifecycle, actions


def test_who_waits_for_a_machine_is_not_waited_for() -> None:
    _, actions = begun()
    there = (1, 2, 5)
    assert actions[-8:] == [
        *(Kill(ident) for ident in (3, 4)),
        *(SendCount(ident, 1, 1) for ident in there),
        *(SendStart(ident) for ident in there),
    ]
    assert not any(isinstance(action, Spawn) for action in actions)


def test_others_come_in_their_places_whenever_there_is_room() -> None:
    lifecycle, _ = begun()
    assert tell(lifecycle, Died(3, KILLED)) == [Dismiss(3)]  # all are gone before any comes
    spawned = [Spawn(replace(WORK, id=ident), 2, is_additional=True) for ident in (6, 7)]
    assert tell(lifecycle, Died(4, KILLED)) == [Dismiss(4), *spawned]
    assert tell(lifecycle, Waits(6), Waits(7), Tick()) == []
    assert tell(lifecycle, ProcessStarted(7), Bound(7, "there", "node")) == []
    actions = tell(lifecycle, Wired(7))
    assert isinstance(actions[0], SendInit) and (1, 2) in actions[0].workers
    assert [a.worker for a in actions if isinstance(a, SendJoin)] == [1, 2, 5]
    assert actions[-1] == SendStart(7)


def test_one_that_never_found_room_is_not_waited_for_at_the_end() -> None:
    lifecycle, _ = begun()
    tell(lifecycle, Died(3, KILLED), Died(4, KILLED), Waits(6), Waits(7))
    actions = tell(lifecycle, Done(1), Done(5))
    assert {a.worker for a in actions if isinstance(a, SendLeave)} == {2}
    assert {a.worker for a in actions if isinstance(a, Kill)} == {6, 7}


def test_nobody_begins_without_the_first_worker_of_a_segment() -> None:
    lifecycle = Lifecycle([SOURCE, WORK, *MORE, SINK])
    tell(lifecycle, Began(), Waits(2), Waits(3), Waits(4))
    tell(lifecycle, *ready(SOURCE, SINK))
    assert not lifecycle.started
    tell(lifecycle, ProcessStarted(3), Bound(3, "there"))
    assert not lifecycle.started
    actions = tell(lifecycle, Wired(3))
    assert lifecycle.started
    assert [a.worker for a in actions if isinstance(a, Kill)] == [2, 4]


def test_nobody_begins_without_a_worker_that_keeps_state() -> None:
    sinks = [SINK, replace(SINK, id=6)]
    lifecycle = Lifecycle([SOURCE, WORK, *sinks])
    tell(lifecycle, Began(), Waits(6), *ready(SOURCE, WORK, SINK))
    assert not lifecycle.started
    tell(lifecycle, ProcessStarted(6), *ready(sinks[1]))
    assert lifecycle.started


def test_one_that_has_got_its_machine_is_waited_for() -> None:
    lifecycle = Lifecycle([SOURCE, WORK, MORE[0], SINK])
    tell(lifecycle, Began(), Waits(3), ProcessStarted(3), *ready(SOURCE, WORK, SINK))
    assert not lifecycle.started
    actions = tell(lifecycle, *ready(MORE[0]))
    assert not any(isinstance(action, Kill | SendCount) for action in actions)
    assert lifecycle.started


def test_one_that_is_on_its_way_to_a_machine_is_waited_for() -> None:
    lifecycle = Lifecycle([SOURCE, WORK, MORE[0], SINK])
    tell(lifecycle, Began(), Waits(3), Waits(3, is_over=True), *ready(SOURCE, WORK, SINK))
    assert not lifecycle.started
    tell(lifecycle, *ready(MORE[0]))
    assert lifecycle.started


def test_those_who_wait_do_not_keep_others_from_being_asked_for() -> None:
    many = [replace(WORK, id=ident) for ident in range(2, 2 + 2 * AT_ONCE)]
    lifecycle = Lifecycle([*many, replace(SOURCE, id=100)])
    asked: list[int] = []
    actions = tell(lifecycle, Began())
    while new := [action.worker for action in actions if isinstance(action, Launch)]:
        asked += new
        actions = tell(lifecycle, *(Waits(ident) for ident in new), Tick())
    assert asked == [*(m.id for m in many), 100]


def test_who_waits_heeds_no_stop_and_is_ended_at_once() -> None:
    lifecycle = Lifecycle([SOURCE, WORK, MORE[0], SINK])
    tell(lifecycle, Began(), Waits(3), Bound(1, "here"))
    actions = tell(lifecycle, StopAsked(outcome=Outcome.INTERRUPTED))
    assert actions == [SendStop(1, Outcome.INTERRUPTED), Kill(3)]
    assert tell(lifecycle, Died(3, KILLED)) == []


@pytest.mark.parametrize("waits", [False, True])
def test_a_death_is_said_with_whether_the_one_in_its_place_waits(waits: bool) -> None:
    lifecycle = Lifecycle([SOURCE, WORK, SINK])
    tell(lifecycle, Began(), *ready(SOURCE, WORK, SINK))
    tell(lifecycle, Died(2, KILLED), *([Waits(6)] if waits else []))
    assert LogDeath(2, 0, is_replaced=True, waits=waits) in lifecycle.handle(Tick(), 10.0)


@pytest.mark.parametrize("becomes", [Waits(6), ProcessStarted(6)])
def test_a_death_is_said_when_it_is_known_what_became_of_the_one_in_its_place(
    becomes: Event,
) -> None:
    """That was said before, if a sender knew at once what it sends again: "it was replaced"."""
    lifecycle = Lifecycle([SOURCE, WORK, SINK])
    tell(lifecycle, Began(), *ready(SOURCE, WORK, SINK))
    actions = tell(lifecycle, Died(2, KILLED))
    (fence,) = [a for a in actions if isinstance(a, SendFence) and a.worker == SOURCE.id]
    resent = Resent(SOURCE.id, fence.region, fence.epoch, items=3)
    assert not [a for a in tell(lifecycle, resent, Tick()) if isinstance(a, LogDeath)]
    waits = isinstance(becomes, Waits)
    said = [a for a in tell(lifecycle, becomes, Tick()) if isinstance(a, LogDeath)]
    assert said == [LogDeath(2, 3, is_replaced=True, waits=waits)]
