"""Passes over the data: when they begin and end, by example and under chance."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable

from hypothesis import given, settings
from hypothesis import strategies as st

from minipipe.protocol.run.actions import (
    Action,
    Finish,
    Kill,
    PassEnded,
    SendAbandon,
    SendDrain,
    SendExit,
    SendFence,
    SendInit,
    SendLeave,
    SendStart,
    Spawn,
)
from minipipe.protocol.run.events import (
    Bound,
    CloseAsked,
    Died,
    Done,
    Event,
    Member,
    Outcome,
    PassAsked,
    PassDone,
    PassLeft,
    SegmentEnded,
    StopAsked,
    Wired,
)
from minipipe.protocol.run.lifecycle import Lifecycle

LEFT, RIGHT = frozenset({0}), frozenset({1})
SOURCE = Member(1, segment=0, is_source=True, sends_to=LEFT)
MAPS = Member(2, segment=1, is_stateless=True, works_in=LEFT, restarts=True, max_restarts=1000)
KEEPS = Member(3, segment=2, receives_from=LEFT, sends_to=RIGHT)
SINK = Member(4, segment=3, receives_from=RIGHT, restarts=True, max_restarts=1000)
LINE = (SOURCE, MAPS, KEEPS, SINK)
STATEFUL = (1, 3, 4)
DEATH = RuntimeError("killed by SIGKILL")


def tell(lifecycle: Lifecycle, *events: Event) -> list[Action]:
    return [action for event in events for action in lifecycle.handle(event, 0.0)]


def ready(members: Iterable[Member] = LINE, *, is_persistent: bool = True) -> list[Event]:
    return [
        *(Bound(m.id, f"inproc://{m.id}") for m in members),
        *(Wired(m.id) for m in members),
    ]


def running() -> Lifecycle:
    lifecycle = Lifecycle(LINE, is_persistent=True)
    assert [a for a in tell(lifecycle, *ready()) if isinstance(a, SendStart)] == [
        SendStart(m.id, 0) for m in LINE
    ]
    return lifecycle


def through(lifecycle: Lifecycle, pass_: int) -> list[Action]:
    return tell(lifecycle, *(PassDone(ident, pass_) for ident in STATEFUL))


def test_a_pass_ends_when_all_that_keep_state_have_come_to_its_end() -> None:
    lifecycle = running()
    assert tell(lifecycle, PassDone(1, 0), PassDone(4, 0)) == []
    assert tell(lifecycle, PassDone(3, 0)) == [PassEnded(0, left=False)]
    assert not lifecycle.is_at_work


def test_the_next_one_is_begun_by_sources_when_it_is_asked_for() -> None:
    lifecycle = running()
    through(lifecycle, 0)
    assert tell(lifecycle, PassAsked()) == [SendStart(1, 1)]
    assert lifecycle.is_at_work


def test_one_that_is_asked_for_early_waits_for_the_one_before() -> None:
    lifecycle = running()
    assert tell(lifecycle, PassAsked()) == []
    assert through(lifecycle, 0) == [PassEnded(0, left=False), SendStart(1, 1)]


def test_no_more_passes_end_the_run_at_once_or_with_the_one_that_is_on() -> None:
    leaving = [SendLeave(ident) for ident in STATEFUL]
    lifecycle = running()
    through(lifecycle, 0)
    assert tell(lifecycle, CloseAsked()) == leaving
    lifecycle = running()
    assert tell(lifecycle, CloseAsked()) == []
    assert through(lifecycle, 0) == [PassEnded(0, left=False), *leaving]
    assert tell(lifecycle, CloseAsked()) == []  # once
    assert tell(lifecycle, Done(1), Done(3), Done(4)) == [SendLeave(2)]
    assert tell(lifecycle, Done(2)) == [SendExit(m.id) for m in LINE]
    assert tell(lifecycle, *(Died(m.id, DEATH) for m in LINE))[-1] == Finish(Outcome.FINISHED)


def test_a_pass_left_early_is_one_message_to_each_with_all_its_regions() -> None:
    lifecycle = running()
    tell(lifecycle, PassDone(1, 0))
    left = ((0, 1, (3,)),)
    right = ((1, 1, (4,)),)
    assert tell(lifecycle, PassLeft(0)) == [
        SendAbandon(1, 1, left, (), ()),
        SendAbandon(2, 1, left, (), ()),
        SendAbandon(3, 1, left + right, (), ()),
        SendAbandon(4, 1, right, (), ()),
        PassEnded(0, left=True),
    ]
    assert tell(lifecycle, PassDone(3, 0), PassDone(4, 0)) == []  # of a pass that is over
    assert tell(lifecycle, PassLeft(0)) == []
    assert tell(lifecycle, PassAsked()) == [SendStart(1, 1)]
    assert through(lifecycle, 1) == [PassEnded(1, left=False)]


def test_a_pass_left_before_all_are_ready_is_never_begun() -> None:
    lifecycle = Lifecycle(LINE, is_persistent=True)
    tell(lifecycle, Bound(1, "inproc://1"))
    assert tell(lifecycle, PassLeft(0)) == [
        SendAbandon(1, 1, ((0, 1, ()),), (), ()),
        PassEnded(0, left=True),
    ]
    actions = tell(lifecycle, *ready())
    assert {a.pass_ for a in actions if isinstance(a, SendInit)} == {1}
    assert not any(isinstance(a, SendStart) for a in actions)
    assert tell(lifecycle, PassAsked()) == [SendStart(m.id, 1) for m in LINE]


def test_who_takes_the_place_of_a_dead_one_is_told_the_pass() -> None:
    lifecycle = running()
    through(lifecycle, 0)
    tell(lifecycle, Died(4, DEATH), Bound(5, "inproc://5"))
    actions = tell(lifecycle, Wired(5))
    assert [a.pass_ for a in actions if isinstance(a, SendInit)] == [1]
    assert SendStart(5, 0) in actions  # which is over: it waits for what comes
    tell(lifecycle, PassAsked())
    assert tell(lifecycle, PassDone(1, 1), PassDone(3, 1)) == []
    assert tell(lifecycle, PassDone(5, 1)) == [PassEnded(1, left=False)]
    tell(lifecycle, CloseAsked(), Died(5, DEATH), Bound(6, "inproc://6"))
    assert SendLeave(6) in tell(lifecycle, Wired(6))  # so that it calls local_term


def test_a_source_that_nobody_takes_from_is_drained_for_this_pass_alone() -> None:
    lifecycle = running()
    for pass_ in range(2):
        assert SendDrain(1) in tell(lifecycle, SegmentEnded(3))
        through(lifecycle, pass_)
        tell(lifecycle, PassAsked())


def test_draining_ends_the_run_with_the_pass() -> None:
    lifecycle = running()
    assert tell(lifecycle, StopAsked(drain=True)) == [SendDrain(1)]
    assert through(lifecycle, 0) == [
        PassEnded(0, left=False),
        *(SendLeave(ident) for ident in STATEFUL),
    ]
    lifecycle = running()
    through(lifecycle, 0)
    assert tell(lifecycle, StopAsked(drain=True)) == [
        SendDrain(1),
        *(SendLeave(ident) for ident in STATEFUL),
    ]


class Play:
    """Workers that do what they are told, in any order; the user asks, leaves and closes."""

    def __init__(self, seed: int, passes: int, deaths: int, leaves: int) -> None:
        self.random = random.Random(seed)
        self.lifecycle = Lifecycle(LINE, is_persistent=True)
        self.members = {m.id: m for m in LINE}
        self.at: dict[int, int] = {}  # the pass that each is in, of those that keep state
        self.begun: dict[int, int] = {}  # of Sources
        self.ended: list[tuple[int, bool]] = []
        self.told: Counter[Action] = Counter()
        self.epochs: dict[int, int] = {0: 0, 1: 0}
        self.asked, self.passes = 1, passes
        self.deaths, self.leaves = deaths, leaves
        self.closing = False
        self.exited: set[int] = set()
        self.leaving: list[int] = []
        self.todo: list[Event] = ready()

    def hear(self, event: Event) -> None:
        for action in self.lifecycle.handle(event, 0.0):
            self.told[action] += 1
            match action:
                case SendInit(worker, _, _, _, _, _, pass_):
                    if not self.members[worker].is_stateless:
                        self.at[worker] = pass_
                case SendStart(worker, pass_) if worker == 1:
                    assert self.begun.get(1, -1) < pass_ < self.asked, "a pass nobody asked for"
                    assert pass_ == len(self.ended), "two passes at once"
                    self.begun[worker] = pass_
                case SendAbandon(worker, pass_, regions):
                    assert {r for r, _, _ in regions} == self.members[worker].regions
                    if worker in self.at:
                        self.at[worker] = pass_
                case SendFence(region=region, epoch=epoch):
                    self.epochs[region] = max(self.epochs[region], epoch)
                case PassEnded(pass_, left):
                    assert pass_ == len(self.ended)
                    late = [i for i, at in self.at.items() if at <= pass_]
                    assert not late, f"{late} are still in pass {pass_}"
                    self.ended.append((pass_, left))
                case Spawn(member, dead):
                    self.members[member.id] = member
                    self.todo += [Bound(member.id, f"inproc://{member.id}"), Wired(member.id)]
                    self.at.pop(dead, None)
                case SendLeave(worker):
                    assert self.closing and len(self.ended) == self.asked, "a pass is on"
                    self.leaving.append(worker)
                case SendExit(worker) | Kill(worker):
                    self.exited.add(worker)

    def step(self) -> bool:
        """Something that may happen now; False if there is nothing."""
        can: list[Event] = []
        if self.todo:  # in the order of each worker
            firsts: dict[int, Event] = {}
            for event in self.todo:
                firsts.setdefault(event.worker, event)  # type: ignore[union-attr]
            can += firsts.values()
        for ident, at in self.at.items():
            is_ready = self.lifecycle.started and at == len(self.ended) < self.asked
            if is_ready and (ident != 1 or self.begun.get(1, -1) >= at):
                can.append(PassDone(ident, at))
        can += [Done(ident) for ident in self.leaving]
        can += [Died(ident, DEATH) for ident in self.exited]
        if self.asked < self.passes and len(self.ended) == self.asked:
            can.append(PassAsked())
        if self.leaves and len(self.ended) < self.asked and not self.closing:
            can.append(PassLeft(len(self.ended)))
        if self.asked == self.passes and not self.closing:
            can.append(CloseAsked())
        mortal = [i for i, m in self.members.items() if m.restarts and self._lives(i)]
        if self.deaths and mortal and self.lifecycle.started and not self.leaving:
            can.append(Died(self.random.choice(mortal), DEATH))
        if not can:
            return False
        self._do(self.random.choice(can))
        return True

    def _lives(self, ident: int) -> bool:
        return ident not in self.exited and self.lifecycle.phase(ident).value < 3

    def _do(self, event: Event) -> None:
        if event in self.todo:
            self.todo.remove(event)
        match event:
            case PassDone(worker, pass_):
                self.at[worker] = pass_ + 1
            case Done(worker):
                self.leaving.remove(worker)
            case PassAsked():
                self.asked += 1
            case CloseAsked():
                self.closing = True
            case PassLeft():
                self.leaves -= 1
            case Died(worker) if worker in self.exited:
                self.exited.discard(worker)
            case Died(worker):
                self.deaths -= 1
                self.todo = [e for e in self.todo if e.worker != worker]  # type: ignore[union-attr]
                self.at.pop(worker, None)
        self.hear(event)


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 5), st.integers(0, 3), st.integers(0, 3))
def test_whatever_happens_all_passes_come_in_turn_and_the_run_ends(
    seed: int, passes: int, deaths: int, leaves: int
) -> None:
    play = Play(seed, passes, deaths, leaves)
    while play.step():
        pass
    assert [pass_ for pass_, _ in play.ended] == list(range(passes))
    assert play.lifecycle.finished and play.lifecycle.outcome is Outcome.FINISHED
