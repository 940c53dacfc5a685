"""Observers see the whole life of a run; what one raises ends the run like any other failure."""

from __future__ import annotations

import pytest

import minipipe as mp
from minipipe.protocol.run import lifecycle as life
from minipipe.supervisor import run
from minipipe.supervisor.observers import Observers
from minipipe.supervisor.run_log import RunLog


class Writes:
    """Writes down what it sees; raises at what it is to fail at."""

    def __init__(self, fails_at: type = type(None)) -> None:
        self.seen: list[object] = []
        self.fails_at = fails_at

    def event(self, event: life.Event, now_s: float) -> None:
        self.seen.append(event)
        if isinstance(event, self.fails_at):
            raise ValueError("an event")

    def action(self, action: life.Action, now_s: float) -> None:
        self.seen.append(action)
        if isinstance(action, self.fails_at):
            raise ValueError("an action")

    def due_in_s(self, now_s: float) -> float | None:
        return None


def test_all_see_everything_in_order_whoever_fails() -> None:
    failed: list[str] = []
    first, second = Writes(life.Tick), Writes(life.Finish)
    observers = Observers([first, second], lambda error, doing: failed.append(doing))
    observers.event(life.Tick(), 1.0)
    observers.action(life.Finish(life.Outcome.FINISHED), 1.0)
    assert first.seen == second.seen == [life.Tick(), life.Finish(life.Outcome.FINISHED)]
    assert failed == ["showing Tick to Writes", "showing Finish to Writes"]


def test_one_that_fails_at_everything_does_not_fail_at_that_without_end() -> None:
    failed: list[BaseException] = []
    observers = Observers([Writes(object)], lambda error, doing: failed.append(error))
    broke = life.Broke(OSError("first"))
    observers.event(broke, 1.0)
    assert not failed
    assert "then an observer failed: ValueError: an event" in broke.cause.__notes__[0]


def observed(monkeypatch: pytest.MonkeyPatch, fails_at: type = type(None)) -> Writes:
    """An observer of the next run, beside the log."""
    writes = Writes(fails_at)

    class Both(RunLog):
        def event(self, event: life.Event, now_s: float) -> None:
            super().event(event, now_s)
            writes.event(event, now_s)

        def action(self, action: life.Action, now_s: float) -> None:
            super().action(action, now_s)
            writes.action(action, now_s)

    monkeypatch.setattr(run, "RunLog", Both)
    return writes


def kinds(writes: Writes) -> list[str]:
    names = [type(what).__name__ for what in writes.seen]
    return [name for name, before in zip(names, ["", *names], strict=False) if name != before]


def test_a_run_shows_all_events_that_go_in_and_all_actions_that_come_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    writes = observed(monkeypatch)
    mp.PipeLine([mp.Source(range(3)), mp.Sink(abs)]).run().close()
    seen = [kind for kind in kinds(writes) if kind != "Tick"]
    assert seen[:3] == ["Began", "Launch", "Launched"]
    assert seen[-1] == "Finish"
    counted = [type(what).__name__ for what in writes.seen]
    for kind in ("Launch", "ProcessStarted", "Bound", "SendInit", "Wired", "SendStart", "Done"):
        assert counted.count(kind) == 2, kind
    assert counted.index("Bound") < counted.index("SendInit")
    assert counted.index("SendExit") < counted.index("Died") < counted.index("Finish")


@pytest.mark.parametrize("fails_at", (life.Bound, life.SendStart, life.Tick))
def test_what_an_observer_raises_ends_the_run_by_a_stop(
    fails_at: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    observed(monkeypatch, fails_at)
    pline = mp.PipeLine([mp.Source(range(10**9)), mp.Sink(abs)])
    with pytest.raises(ValueError, match=r"an (event|action)") as caught:
        pline.run().close()
    assert any("in the supervisor, while showing" in note for note in caught.value.__notes__)
