"""Errors of the supervisor's own, in the life of a run: decided without processes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from minipipe.protocol.run.lifecycle import (
    EXIT_S,
    MAX_TOLD,
    STOP_S,
    Action,
    Bound,
    Broke,
    Died,
    Done,
    Event,
    Finish,
    Kill,
    Lifecycle,
    LogLaterFailure,
    Member,
    Outcome,
    SendStop,
    StopAsked,
    Tick,
    Wired,
)

SOURCE = Member(1, segment=0, is_source=True, sends_to=frozenset({0}))
SINK = Member(2, segment=1, receives_from=frozenset({0}), saves=True)
GONE = RuntimeError("gone")
FULL = OSError(28, "no space left on device")


def tell(lifecycle: Lifecycle, *events: Event, at_s: float = 0.0) -> list[Action]:
    return [action for event in events for action in lifecycle.handle(event, at_s)]


def running(grace_s: float = 10.0, *, saves: bool = True) -> Lifecycle:
    members = (SOURCE, replace(SINK, saves=saves))
    lifecycle = Lifecycle(members, grace_s=grace_s)
    for member in members:
        tell(lifecycle, Bound(member.id, f"inproc://{member.id}"))
    tell(lifecycle, *(Wired(member.id) for member in members))
    assert lifecycle.started
    return lifecycle


def test_an_error_of_the_supervisor_stops_the_run_like_any_failure() -> None:
    lifecycle = running()
    assert tell(lifecycle, Broke(FULL)) == [
        SendStop(1, Outcome.FAILED),
        SendStop(2, Outcome.FAILED),
    ]
    tell(lifecycle, Done(1), Done(2), Died(1, GONE))
    assert tell(lifecycle, Died(2, GONE)) == [Finish(Outcome.FAILED)]
    assert lifecycle.cause is FULL
    assert not lifecycle.gave_up


def test_one_that_comes_during_a_stop_is_raised_if_nothing_else_is() -> None:
    lifecycle = running()
    tell(lifecycle, StopAsked(), Broke(FULL))
    assert lifecycle.cause is FULL
    assert lifecycle.outcome is Outcome.FAILED


def test_one_that_comes_when_all_have_saved_is_raised_too() -> None:
    lifecycle = running()
    tell(lifecycle, Done(1), Done(2))
    assert tell(lifecycle, Broke(FULL)) == []
    tell(lifecycle, Died(1, GONE), Died(2, GONE))
    assert lifecycle.cause is FULL
    assert lifecycle.outcome is Outcome.FAILED


def test_errors_without_end_are_told_a_few_times() -> None:
    lifecycle = running()
    tell(lifecycle, Broke(FULL))
    told = [a for _ in range(99) for a in tell(lifecycle, Broke(OSError("again")))]
    assert len(told) == MAX_TOLD - 1
    assert all(isinstance(a, LogLaterFailure) for a in told)


@pytest.mark.parametrize("saves", (True, False))
def test_a_stop_that_does_not_come_to_its_end_after_an_error_is_given_up(saves: bool) -> None:
    lifecycle = running(saves=saves)
    tell(lifecycle, Broke(FULL), at_s=100.0)
    end_s = 100.0 + (10.0 if saves else STOP_S) + 3 * EXIT_S
    kills = tell(lifecycle, Tick(), at_s=end_s - EXIT_S - 0.01)
    assert Kill(2) in kills  # its grace is over, and it is not said to be dead
    assert not lifecycle.finished
    assert tell(lifecycle, Tick(), at_s=end_s)[-1] == Finish(Outcome.FAILED)
    assert lifecycle.finished
    assert lifecycle.gave_up


def test_a_stop_without_such_errors_waits_for_its_workers() -> None:
    lifecycle = running()
    tell(lifecycle, StopAsked(), at_s=0.0)
    tell(lifecycle, Tick(), at_s=1e6)
    tell(lifecycle, Tick(), at_s=2e6)
    assert not lifecycle.finished
