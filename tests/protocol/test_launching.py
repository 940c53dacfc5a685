"""The processes of a run are asked for a few at a time, so that a wish to end it comes between."""

from __future__ import annotations

from minipipe.protocol.run.lifecycle import (
    Began,
    Bound,
    Died,
    Finish,
    Kill,
    Launch,
    Launched,
    LaunchFailed,
    Lifecycle,
    Member,
    Outcome,
    Phase,
    ProcessStarted,
    StopAsked,
    Tick,
)
from minipipe.protocol.run.starting import AT_ONCE

CALLER = Member(101, segment=1, is_caller=True, receives_from=frozenset({0}))
ERROR = OSError("no more pipes")


def hundred() -> Lifecycle:
    sources = [Member(i, segment=0, is_source=True, sends_to=frozenset({0})) for i in range(1, 101)]
    return Lifecycle([*sources, CALLER])


def asked(actions: list) -> list[int]:
    return [action.worker for action in actions if isinstance(action, Launch)]


def test_so_many_are_asked_for_until_some_of_them_are_there() -> None:
    life = hundred()
    assert asked(life.handle(Began(), 0.0)) == list(range(1, AT_ONCE + 1))
    assert not asked(life.handle(Tick(), 0.1))
    life.handle(ProcessStarted(2), 0.2)
    life.handle(Bound(3, "there"), 0.2)  # heard before what its host says
    assert asked(life.handle(Tick(), 0.2)) == [AT_ONCE + 1, AT_ONCE + 2]


def test_all_but_the_caller_are_asked_for_and_that_is_said_once() -> None:
    life = hundred()
    seen = actions = life.handle(Began(), 0.0)
    for _ in range(20):
        for worker in asked(actions):
            life.handle(ProcessStarted(worker), 0.0)
        actions = life.handle(Tick(), 0.0)
        seen = seen + actions
    assert asked(seen) == list(range(1, 101))
    assert [type(action) for action in seen].count(Launched) == 1
    assert isinstance(seen[-1], Launched)


def test_who_was_not_asked_for_is_not_waited_for_by_a_stop() -> None:
    life = hundred()
    life.handle(Began(), 0.0)
    stop = StopAsked(outcome=Outcome.INTERRUPTED, kill=True)
    killed = [a.worker for a in life.handle(stop, 1.0) if isinstance(a, Kill)]
    assert killed == [*range(1, AT_ONCE + 1), CALLER.id]
    assert life.phase(100) is Phase.GONE
    actions = life.handle(Tick(), 1.0)
    assert not asked(actions)
    assert Launched() in actions
    for worker in killed:
        actions = life.handle(Died(worker, ERROR), 1.1)
    assert Finish(Outcome.INTERRUPTED) in actions


def test_one_that_cannot_be_asked_for_ends_the_run_at_once() -> None:
    life = hundred()
    life.handle(Began(), 0.0)
    actions = life.handle(LaunchFailed(5, ERROR), 0.0)
    killed = [a.worker for a in actions if isinstance(a, Kill)]
    assert killed == [*range(1, 5), *range(6, AT_ONCE + 1), CALLER.id]
    assert life.cause is ERROR
    assert life.outcome is Outcome.FAILED
    assert Launched() not in actions + life.handle(Tick(), 0.0)


def test_the_last_one_may_fail_too() -> None:
    life = Lifecycle([Member(1, segment=0, is_source=True)])
    actions = life.handle(Began(), 3.0)
    assert asked(actions) == [1]
    assert life.deadline_s == 3.0  # it is looked at once whether that went well
    actions += life.handle(LaunchFailed(1, ERROR), 3.0)
    assert Launched() not in actions
    assert Finish(Outcome.FAILED) in actions
