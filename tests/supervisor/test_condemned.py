"""A host kills a worker for one call of its, and for no other: it looks once more itself."""

from __future__ import annotations

import pytest

from minipipe.protocol.delivery.paths import ROOT
from minipipe.protocol.run import timeouts
from minipipe.protocol.run.vital_signs import STARTING, StartStage
from minipipe.stream.page import ITEM_WORD, Page
from minipipe.supervisor.hosts import condemned
from minipipe.supervisor.hosts.condemned import Condemned
from minipipe.supervisor.shared_page import SharedPage


class Stands(SharedPage):
    """A page whose worker stands as soon as it was halted."""

    halted = False

    def is_stopped(self) -> bool:
        return self.halted


class Signals:
    """Writes down what is done to worker 7."""

    def __init__(self, page: Stands) -> None:
        self.page = page
        self.done: list[str] = []

    def ask_for_stack(self, worker: int) -> None:
        self.done.append("stack")

    def halt(self, worker: int) -> None:
        self.page.halted = True
        self.done.append("halt")

    def resume(self, worker: int) -> None:
        self.page.halted = False
        self.done.append("resume")

    def kill(self, worker: int, *, hard: bool = False) -> None:
        self.done.append("kill hard" if hard else "kill")


class Host:
    """One worker, with item 3 in its functor, and a clock."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_s = 0.0
        monkeypatch.setattr(condemned.time, "monotonic", lambda: self.now_s)
        self.page = Stands(Page())
        self.page.page.start = StartStage.PAST
        self.begin(3)
        self.signals = Signals(self.page)
        self.condemned = Condemned(self.signals)
        self.condemned.watch(7, self.page)
        self.condemned.runs(7, 4711)

    def begin(self, number: int) -> None:
        self.page.page.begin(1, ROOT)
        self.page.page.words[ITEM_WORD] = number + 1

    def look(self, after_s: float) -> None:
        self.now_s += after_s
        self.condemned.look()


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Host:
    return Host(monkeypatch)


def test_one_that_stays_at_its_call_is_halted_then_killed_and_its_last_signs_tell(
    host: Host,
) -> None:
    call = host.page.call()
    assert call
    host.condemned.condemn(7, call)
    host.condemned.condemn(7, call)  # said again, as long as it is over its limit
    host.look(timeouts.STACK_S / 2)
    assert host.signals.done == ["stack"]
    host.look(timeouts.STACK_S)
    host.look(0.01)
    assert host.signals.done == ["stack", "halt", "kill"]
    last = host.condemned.last_of(7)
    assert last.condemned
    assert last.signs.item == (1, 3, ())


def test_one_whose_call_ends_before_it_stands_goes_on(host: Host) -> None:
    call = host.page.call()
    assert call
    host.condemned.condemn(7, call)
    host.look(timeouts.STACK_S)
    host.begin(4)
    host.look(0.01)
    assert host.signals.done == ["stack", "halt", "resume"]
    assert host.condemned.due_in_s is None
    assert not host.condemned.last_of(7).condemned


def test_when_it_is_called_off_who_was_halted_goes_on(host: Host) -> None:
    call = host.page.call()
    assert call
    host.condemned.condemn(7, call)
    host.look(timeouts.STACK_S)
    host.condemned.call_off()
    host.look(60.0)
    assert host.signals.done == ["stack", "halt", "resume"]


def test_one_without_a_process_is_ended_with_what_should_have_started_it(host: Host) -> None:
    host.page.page.start, host.page.pid = StartStage.NO_PROCESS, 0
    host.page.page.words[ITEM_WORD] = 0
    host.condemned.condemn(7, STARTING)
    host.look(timeouts.STACK_S)
    host.page.halted = False
    host.look(timeouts.HALT_S)
    assert host.signals.done == ["halt", "kill hard"]
