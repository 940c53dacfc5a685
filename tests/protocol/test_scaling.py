"""Workers that join and leave in mid-run: what is decided, by example and under chance."""

from __future__ import annotations

import random
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from minipipe.protocol.delivery.membership import Peer
from minipipe.protocol.flow.credit import Accounts, Grant
from minipipe.protocol.run.actions import (
    Action,
    Dismiss,
    Finish,
    Kill,
    LogDeath,
    SendCount,
    SendExit,
    SendFence,
    SendGone,
    SendInit,
    SendJoin,
    SendLeave,
    SendRetire,
    SendRetiring,
    SendStart,
    Spawn,
)
from minipipe.protocol.run.events import (
    Bound,
    Died,
    Done,
    Event,
    Member,
    MoveAsked,
    Outcome,
    ScaleAsked,
    Tick,
    Waits,
    Wired,
)
from minipipe.protocol.run.lifecycle import Lifecycle

REGION = frozenset({0})
SOURCE = Member(1, segment=0, is_source=True, sends_to=REGION)
FIRST = Member(
    2, segment=1, is_stateless=True, works_in=REGION, fed_by=frozenset({0}), restarts=True
)
SECOND = replace(FIRST, id=3, segment=2, fed_by=frozenset({1}))
SINK = Member(4, segment=3, receives_from=REGION, fed_by=frozenset({2}))
LINE = (SOURCE, FIRST, SECOND, SINK)
DEATH = RuntimeError("killed by SIGKILL")


def tell(lifecycle: Lifecycle, *events: Event, at_s: float = 0.0) -> list[Action]:
    return [action for event in events for action in lifecycle.handle(event, at_s)]


def address(ident: int) -> str:
    return f"inproc://run/{ident:x}"


def running() -> Lifecycle:
    lifecycle = Lifecycle(LINE)
    tell(lifecycle, *(Bound(m.id, address(m.id)) for m in LINE), *(Wired(m.id) for m in LINE))
    assert lifecycle.started
    return lifecycle


def with_two() -> Lifecycle:
    """The run of LINE, whose segment 1 has the workers 2 and 5 by now."""
    lifecycle = running()
    (spawned,) = tell(lifecycle, ScaleAsked(1, 2))
    assert spawned == Spawn(replace(FIRST, id=5), 2, is_additional=True)
    tell(lifecycle, Bound(5, address(5)), Wired(5))
    return lifecycle


def test_an_additional_worker_is_counted_and_announced_when_it_is_ready() -> None:
    lifecycle = running()
    tell(lifecycle, ScaleAsked(1, 2))
    assert tell(lifecycle, Bound(5, address(5))) == []
    peers = tuple(Peer(m.id, m.segment, address(m.id)) for m in LINE)
    assert tell(lifecycle, Wired(5)) == [
        SendInit(5, peers, workers=((0, 1), (1, 2), (2, 1), (3, 1))),  # and no epoch
        *(SendCount(m.id, 1, 2) for m in LINE),  # before they greet it
        *(SendJoin(m.id, Peer(5, 1, address(5))) for m in LINE),
        SendStart(5),
    ]


def test_nobody_joins_before_the_run_has_begun() -> None:
    lifecycle = Lifecycle(LINE)
    assert tell(lifecycle, ScaleAsked(1, 2)) == []
    tell(lifecycle, *(Bound(m.id, address(m.id)) for m in LINE))
    actions = tell(lifecycle, *(Wired(m.id) for m in LINE))
    assert [a.member.id for a in actions if isinstance(a, Spawn)] == [5]


def test_one_that_leaves_hears_of_its_producers_and_they_of_it() -> None:
    assert tell(with_two(), ScaleAsked(1, 1)) == [
        SendRetire(5, (1,)),
        *(SendCount(m.id, 1, 1) for m in LINE),
        SendRetiring(1, 5),
    ]


def test_it_exits_when_it_is_done_and_its_end_is_no_death() -> None:
    lifecycle = with_two()
    tell(lifecycle, ScaleAsked(1, 1))
    assert tell(lifecycle, Done(5)) == [SendExit(5)]
    assert tell(lifecycle, Died(5, DEATH)) == [Dismiss(5), *(SendGone(m.id, 5) for m in LINE)]
    assert lifecycle.outcome is None
    # A late word of it changes nothing, and the next one hears that it is gone.
    assert tell(lifecycle, Done(5), Died(5, DEATH)) == []
    tell(lifecycle, ScaleAsked(1, 2), Bound(6, address(6)))
    init = next(a for a in tell(lifecycle, Wired(6)) if isinstance(a, SendInit))
    assert init.dead == ((5, 6),) and init.epochs == ()


def test_a_new_worker_hears_nothing_of_one_that_leaves_but_that_one_of_it() -> None:
    lifecycle = with_two()
    tell(lifecycle, ScaleAsked(1, 1), ScaleAsked(2, 2), Bound(6, address(6)))
    actions = tell(lifecycle, Wired(6))
    init = next(a for a in actions if isinstance(a, SendInit))
    assert 5 not in [peer.id for peer in init.peers]
    assert (1, 1) in init.workers
    assert SendJoin(5, Peer(6, 2, address(6))) in actions


def test_the_death_of_one_that_leaves_is_a_death_but_nobody_takes_its_place() -> None:
    lifecycle = with_two()
    tell(lifecycle, ScaleAsked(1, 1))
    actions = tell(lifecycle, Died(5, DEATH))
    assert actions[0] == Dismiss(5)
    assert {a.worker for a in actions if isinstance(a, SendFence)} == {1, 2, 3, 4}
    assert not any(isinstance(a, Spawn | SendGone) for a in actions)
    assert LogDeath(5, 0, is_replaced=False) in tell(lifecycle, Tick(), at_s=10.0)


def test_a_worker_that_takes_a_dead_ones_place_is_counted_all_the_time() -> None:
    lifecycle = with_two()
    actions = tell(lifecycle, Died(5, DEATH), Bound(6, address(6)), Wired(6))
    assert not any(isinstance(a, SendCount) for a in actions)
    assert next(a for a in actions if isinstance(a, SendInit)).workers[1] == (1, 2)


def test_one_that_nobody_knows_yet_is_given_up() -> None:
    lifecycle = running()
    tell(lifecycle, ScaleAsked(1, 2))
    assert tell(lifecycle, ScaleAsked(1, 1)) == [Kill(5)]
    assert tell(lifecycle, Died(5, DEATH)) == [Dismiss(5)]
    assert lifecycle.outcome is None


def test_nobody_is_told_of_one_that_is_given_up_and_says_that_it_is_ready() -> None:
    lifecycle = running()
    tell(lifecycle, ScaleAsked(1, 2), Bound(5, address(5)))
    assert tell(lifecycle, ScaleAsked(1, 1)) == [Kill(5)]
    # Others would send it items, which nobody would send again.
    assert tell(lifecycle, Wired(5), Tick()) == []
    assert tell(lifecycle, Died(5, DEATH)) == [Dismiss(5)]
    assert tell(lifecycle, ScaleAsked(1, 2)) == [Spawn(replace(FIRST, id=6), 2, is_additional=True)]
    assert lifecycle.outcome is None


def test_the_last_that_is_there_waits_until_another_one_is() -> None:
    lifecycle = with_two()
    tell(lifecycle, Died(5, DEATH))  # 6 is to take its place
    assert tell(lifecycle, ScaleAsked(1, 1)) == []
    actions = tell(lifecycle, Bound(6, address(6)), Wired(6))
    assert SendRetire(6, (1,)) in actions


def test_at_the_end_of_the_run_nobody_waits_for_those_who_leave() -> None:
    lifecycle = with_two()
    tell(lifecycle, ScaleAsked(1, 1))
    leaving = tell(lifecycle, Done(1), Done(4))
    assert {a.worker for a in leaving if isinstance(a, SendLeave)} == {2, 3, 5}
    assert tell(lifecycle, ScaleAsked(1, 3)) == []
    exits = tell(lifecycle, *(Done(ident) for ident in (5, 2, 3)))
    assert {a.worker for a in exits if isinstance(a, SendExit)} == {1, 2, 3, 4, 5}
    ended = tell(lifecycle, *(Died(ident, DEATH) for ident in (5, 2, 3, 4, 1)))
    assert ended[-1] == Finish(Outcome.FINISHED)


def test_one_whose_machine_wants_to_go_leaves_when_another_one_is_ready() -> None:
    lifecycle = running()
    assert tell(lifecycle, MoveAsked((2,))) == [Spawn(replace(FIRST, id=5), 2, is_additional=True)]
    assert tell(lifecycle, Bound(5, address(5)), MoveAsked((2,))) == []
    actions = tell(lifecycle, Wired(5))
    there = (1, 3, 4, 5)
    assert actions[-7:] == [
        SendStart(5),
        SendRetire(2, (1,)),
        *(SendCount(ident, 1, 1) for ident in there),
        SendRetiring(1, 2),
    ]
    assert tell(lifecycle, Done(2)) == [SendExit(2)]
    assert tell(lifecycle, Died(2, DEATH))[0] == Dismiss(2)
    assert tell(lifecycle, Tick()) == [] and lifecycle.outcome is None


def test_where_nobody_has_room_a_segment_goes_on_with_fewer_but_never_with_none() -> None:
    lifecycle = with_two()
    spawned = tell(lifecycle, MoveAsked((5,)))
    assert spawned == [Spawn(replace(FIRST, id=6), 5, is_additional=True)]
    assert SendRetire(5, (1,)) in tell(lifecycle, Waits(6))  # it may wait for ever
    tell(lifecycle, Done(5), Died(5, DEATH))
    assert [type(a) for a in tell(lifecycle, MoveAsked((2,)), Waits(7))] == [Spawn]
    assert not any(isinstance(a, SendRetire) for a in tell(lifecycle, Tick()))
    actions = tell(lifecycle, Waits(7, is_over=True), Bound(7, address(7)), Wired(7))
    assert SendRetire(2, (1,)) in actions


def test_several_that_move_leave_one_by_one_as_others_come() -> None:
    lifecycle = with_two()
    spawned = tell(lifecycle, MoveAsked((2, 5)))
    assert [(a.member.id, a.instead_of) for a in spawned if isinstance(a, Spawn)] == [
        (6, 2),
        (7, 5),
    ]
    actions = tell(lifecycle, Bound(6, address(6)), Wired(6))
    assert [a.worker for a in actions if isinstance(a, SendRetire)] == [2]
    actions = tell(lifecycle, Waits(7))
    assert [a.worker for a in actions if isinstance(a, SendRetire)] == [5]


def test_who_is_to_come_takes_the_place_of_one_that_dies_before_it_has_left() -> None:
    lifecycle = running()
    tell(lifecycle, MoveAsked((2,)), Waits(5))
    actions = tell(lifecycle, Died(2, DEATH))
    assert actions[0] == Dismiss(2)
    assert not any(isinstance(a, Spawn | SendCount) for a in actions)
    actions = tell(lifecycle, Waits(5, is_over=True), Bound(5, address(5)), Wired(5))
    assert next(a for a in actions if isinstance(a, SendInit)).workers[1] == (1, 1)
    assert not any(isinstance(a, SendCount | SendRetire) for a in actions)


def test_if_others_are_there_nobody_takes_the_place_of_one_that_was_to_move() -> None:
    lifecycle = with_two()
    tell(lifecycle, ScaleAsked(1, 3), ScaleAsked(1, 2))  # 6 is to be given up first
    assert tell(lifecycle, MoveAsked((2,))) == []
    actions = tell(lifecycle, Died(2, DEATH))
    assert actions[0] == Dismiss(2) and SendCount(1, 1, 1) in actions
    assert not any(isinstance(a, Spawn) for a in actions)
    assert any(isinstance(a, Spawn) for a in tell(lifecycle, Died(6, DEATH)))


def test_who_is_to_move_before_the_run_has_begun_moves_then() -> None:
    lifecycle = Lifecycle(LINE)
    tell(lifecycle, Bound(2, address(2), "node"))
    assert tell(lifecycle, MoveAsked((2,))) == []
    others = [m for m in LINE if m is not FIRST]
    tell(lifecycle, *(Bound(m.id, address(m.id)) for m in others))
    actions = tell(lifecycle, *(Wired(m.id) for m in LINE))
    assert [a for a in actions if isinstance(a, Spawn)] == [
        Spawn(replace(FIRST, id=5), 2, is_additional=True)
    ]


def test_at_the_end_of_the_run_nobody_moves_any_more() -> None:
    lifecycle = running()
    tell(lifecycle, MoveAsked((2,)), Waits(5))
    actions = tell(lifecycle, Done(1), Done(4))
    assert {a.worker for a in actions if isinstance(a, SendLeave)} == {2, 3}
    assert Kill(5) in actions
    tell(lifecycle, Died(5, DEATH), *(Done(ident) for ident in (2, 3)))
    ended = tell(lifecycle, *(Died(ident, DEATH) for ident in (2, 3, 4, 1)))
    assert ended[-1] == Finish(Outcome.FINISHED)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("scale"), st.integers(1, 2), st.integers(1, 4)),
        st.tuples(
            st.sampled_from(("bind", "wire", "leave", "die", "kill", "wait", "move")),
            st.just(0),
            st.just(0),
        ),
    ),
    max_size=60,
)


class Play:
    """A run whose workers do what they are told, in any order; and what everybody was told."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.lifecycle = running()
        self.segment_of = {m.id: m.segment for m in LINE}
        self.alive = {m.id for m in LINE}
        self.starting: set[int] = set()
        self.bound: set[int] = set()
        self.leaving: set[int] = set()
        self.moving: set[int] = set()
        self.condemned: set[int] = set()  # to be killed, which has not reached them yet
        self.counts = {m.id: {0: 1, 1: 1, 2: 1, 3: 1} for m in LINE}
        self.knows = {m.id: {o.id for o in LINE} - {m.id} for m in LINE}

    def tell(self, event: Event) -> None:
        for action in self.lifecycle.handle(event, 0.0):
            self.obey(action)

    def obey(self, action: Action) -> None:
        match action:
            case Spawn(member):
                self.segment_of[member.id] = member.segment
                self.alive.add(member.id)
                self.starting.add(member.id)
            case SendInit(worker, peers, workers=workers):
                assert worker not in self.condemned
                assert not {p.id for p in peers} & self.leaving
                self.counts[worker] = dict(workers)
                self.knows[worker] = {p.id for p in peers}
            case SendCount(worker, segment, workers):
                self.counts[worker][segment] = workers
            case SendJoin(worker, peer):
                assert peer.id not in self.knows[worker]
                self.knows[worker].add(peer.id)
            case SendRetire(worker, producers):
                staying = {i for i in self.announced if i not in self.leaving | {worker}}
                assert self.segment_of[worker] in {self.segment_of[i] for i in staying}
                self.leaving.add(worker)
                feeds = self.segment_of[worker] - 1
                assert {*producers} == {i for i in self.announced if self.segment_of[i] == feeds}
            case Kill(worker):
                self.condemned.add(worker)
            case SendExit(worker):
                self.alive.discard(worker)
                self.starting.discard(worker)
                self.tell(Died(worker, DEATH))
            case SendGone(worker, gone):
                assert gone in self.leaving and gone not in self.alive
                self.knows[worker].discard(gone)
            case SendFence(worker, dead=dead):
                self.knows[worker] -= {i for run in dead for i in range(*run)}

    @property
    def announced(self) -> set[int]:
        return {i for i in self.alive if i in self.knows}

    def pick(self, of: set[int]) -> int | None:
        return self.rng.choice(sorted(of)) if of else None

    def step(self, what: str, segment: int, workers: int) -> None:
        if what == "scale":
            self.tell(ScaleAsked(segment, workers))
        elif what == "move":
            movable = {i for i in self.alive if self.segment_of[i] in (1, 2)}
            some = tuple(i for i in sorted(movable) if self.rng.random() < 0.5)
            self.moving |= {*some} - self.leaving - self.condemned
            self.tell(MoveAsked(some))
        elif what == "wait" and (who := self.pick(self.starting - self.bound)):
            self.tell(Waits(who))
        elif what == "bind" and (who := self.pick(self.starting - self.bound)):
            self.bound.add(who)
            self.tell(Bound(who, address(who)))
        elif what == "wire" and (who := self.pick(self.starting & self.bound)):
            self.starting.discard(who)
            self.tell(Wired(who))
        elif what == "leave" and (who := self.pick(self.leaving & self.alive)):
            self.tell(Done(who))
        elif what == "kill" and (who := self.pick(self.condemned)):
            self.condemned.discard(who)
            self.alive.discard(who)
            self.starting.discard(who)
            self.tell(Died(who, DEATH))
        elif what == "die":
            mortal = {i for i in self.alive - self.condemned if self.segment_of[i] in (1, 2)}
            who = self.pick(mortal)
            if who is not None:
                self.alive.discard(who)
                self.starting.discard(who)
                self.tell(Died(who, DEATH))


@given(STEPS, st.randoms(use_true_random=False))
@settings(max_examples=150, deadline=None)
def test_whatever_is_wished_for_is_reached_and_everybody_knows_it(steps, rng) -> None:
    it = Play(rng)
    it.lifecycle._run.restarts.judge = lambda *args, **kw: None  # type: ignore[method-assign]
    wanted = {1: 1, 2: 1}
    for what, segment, workers in steps:
        it.step(what, segment, workers)
        if what == "scale":
            wanted[segment] = workers
    for _ in range(40):  # now everybody does what it is told
        for what in ("bind", "wire", "leave", "kill"):
            it.step(what, 0, 0)
    assert it.lifecycle.outcome is None
    assert it.alive == it.announced and not (it.leaving | it.moving) & it.alive
    now = {segment: sum(it.segment_of[i] == segment for i in it.alive) for segment in range(4)}
    assert {1: now[1], 2: now[2]} == wanted
    for ident in it.alive:
        assert it.counts[ident] == now
        assert it.knows[ident] == it.alive - {ident}


# ---------------------------------------------------------------------- credit
GRANTS = st.tuples(st.just("grant"), st.integers(1, 3))
CREDIT = st.lists(
    st.one_of(GRANTS, st.tuples(st.sampled_from(("send", "retire", "remove")), st.integers(1, 3))),
    max_size=40,
)


@given(CREDIT)
@settings(max_examples=200, deadline=None)
def test_one_that_leaves_is_chosen_no_more_and_keeps_what_it_has_until_it_is_gone(steps) -> None:
    accounts = Accounts()
    staying, kept = {1, 2, 3}, {1: 0, 2: 0, 3: 0}
    for consumer in staying:
        accounts.add(consumer)
    for what, consumer in steps:
        if what == "grant" and consumer in accounts.consumers:
            sent = accounts.sent()[consumer]
            back = accounts.granted(consumer, Grant(sent, sent, 2, 0.0), 0.0)
            assert len(back) == kept[consumer]
            kept[consumer] = 0
        elif what == "send" and (chosen := accounts.choose(0.0)) is not None:
            assert chosen in staying
            accounts.booked(chosen, 1, 100, 0.0, object())
            kept[chosen] += 1
        elif what == "retire" and consumer in accounts.consumers:
            accounts.retire(consumer)
            staying.discard(consumer)
        elif what == "remove":
            assert len(accounts.remove(consumer)) == kept[consumer]
            kept[consumer] = 0
            staying.discard(consumer)
        assert accounts.sole == (len(staying) == 1)
        assert {*accounts.staying} == staying
