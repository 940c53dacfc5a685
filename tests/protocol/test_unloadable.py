"""A worker that cannot load its functor is started again in another way."""

from __future__ import annotations

from minipipe.protocol.delivery.membership import Peer
from minipipe.protocol.run.lifecycle import (
    Bound,
    Died,
    Finish,
    Inherit,
    Kill,
    Lifecycle,
    LogLaterFailure,
    Member,
    Outcome,
    SendInit,
    SendJoin,
    SendStart,
    StopAsked,
    Unloadable,
    Wired,
)

SOURCE = Member(1, segment=0, is_source=True, sends_to=frozenset({0}))
SINK = Member(2, segment=1, receives_from=frozenset({0}))
WHY = ImportError("no module named 'gone'")
KILLED = RuntimeError("killed by SIGKILL")
COUNTS = ((0, 1), (1, 1))  # of each segment one worker


def address(worker: int) -> str:
    return f"inproc://run/{worker:x}"


def test_it_is_killed_and_started_again_under_its_own_name() -> None:
    lifecycle = Lifecycle([SOURCE, SINK])
    assert lifecycle.handle(Bound(1, address(1)), 0.0) == [SendInit(1, (), workers=COUNTS)]
    assert lifecycle.handle(Unloadable(2, WHY), 0.0) == [Kill(2)]
    assert lifecycle.handle(Died(2, KILLED), 0.1) == [Inherit(2, WHY)]
    assert not lifecycle.stopping
    assert lifecycle.handle(Bound(2, address(2)), 0.2) == [
        SendInit(2, (Peer(1, 0, address(1)),), workers=COUNTS),
        SendJoin(1, Peer(2, 1, address(2))),
    ]
    lifecycle.handle(Wired(1), 0.3)
    assert lifecycle.handle(Wired(2), 0.3) == [SendStart(1), SendStart(2)]
    assert lifecycle.deadline_s is None


def test_a_death_after_that_is_a_death() -> None:
    lifecycle = Lifecycle([SOURCE])
    lifecycle.handle(Unloadable(1, WHY), 0.0)
    lifecycle.handle(Died(1, KILLED), 0.1)
    again = RuntimeError("killed by SIGSEGV")
    assert lifecycle.handle(Died(1, again), 0.2) == [Finish(Outcome.FAILED)]
    assert lifecycle.cause is again


def test_it_is_not_started_again_in_a_run_that_is_stopped() -> None:
    lifecycle = Lifecycle([SOURCE])
    lifecycle.handle(Unloadable(1, WHY), 0.0)
    lifecycle.handle(StopAsked(), 0.1)
    assert lifecycle.handle(Died(1, KILLED), 0.2) == [Finish(Outcome.STOPPED)]


def test_after_a_stop_it_is_only_told() -> None:
    lifecycle = Lifecycle([SOURCE])
    lifecycle.handle(StopAsked(), 0.0)
    assert lifecycle.handle(Unloadable(1, WHY), 0.1) == [LogLaterFailure(WHY), Kill(1)]
    assert lifecycle.handle(Died(1, KILLED), 0.2) == [Finish(Outcome.STOPPED)]
