"""What the supervisor does about what happens: by example, and played in virtual time."""

from __future__ import annotations

import heapq
from collections import Counter
from dataclasses import dataclass, field
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minipipe.protocol.delivery.membership import Peer
from minipipe.protocol.run.lifecycle import (
    EXIT_S,
    SLOW_EXIT_S,
    STOP_S,
    Action,
    Bound,
    Died,
    Done,
    Event,
    Failed,
    Finish,
    Kill,
    Leaving,
    Lifecycle,
    LogCutShort,
    LogLaterFailure,
    LogSlowExit,
    Member,
    Outcome,
    Phase,
    SendDrain,
    SendExit,
    SendInit,
    SendJoin,
    SendLeave,
    SendStart,
    SendStop,
    StopAsked,
    Tick,
    Wired,
)

SOURCE = Member(1, segment=0, is_source=True, sends_to=frozenset({0}))
RELAY = Member(2, segment=1, is_stateless=True, works_in=frozenset({0}))
SINK = Member(3, segment=2, receives_from=frozenset({0}))
LINE = (SOURCE, RELAY, SINK)
COUNTS = ((0, 1), (1, 1), (2, 1))  # of each segment one worker

ERROR = RuntimeError("the functor raised")
DEATH = RuntimeError("killed by SIGKILL")
INTERRUPT = StopAsked(outcome=Outcome.INTERRUPTED)
STOP = StopAsked()
DRAIN = StopAsked(drain=True)
KILL = StopAsked(outcome=Outcome.INTERRUPTED, kill=True)


def address(worker: int) -> str:
    return f"inproc://run/{worker:x}"


def peer(member: Member) -> Peer:
    return Peer(member.id, member.segment, address(member.id))


def tell(lifecycle: Lifecycle, *events: Event, at_s: float = 0.0) -> list[Action]:
    """Handles these events; the actions of all of them."""
    return [action for event in events for action in lifecycle.handle(event, at_s)]


def bound(*members: Member) -> list[Event]:
    return [Bound(m.id, address(m.id)) for m in members]


def running(*members: Member, grace_s: float = 10.0) -> Lifecycle:
    """A run whose workers have all begun."""
    members = members or LINE
    lifecycle = Lifecycle(members, grace_s=grace_s)
    tell(lifecycle, *bound(*members), *(Wired(m.id) for m in members))
    assert lifecycle.started
    return lifecycle


# ------------------------------------------------------------------------- start
def test_the_first_worker_hears_of_nobody_and_the_next_ones_of_those_before() -> None:
    lifecycle = Lifecycle(LINE)
    first, second, third = bound(*LINE)
    assert tell(lifecycle, first) == [SendInit(1, (), workers=COUNTS)]
    assert tell(lifecycle, second) == [
        SendInit(2, (peer(SOURCE),), workers=COUNTS),
        SendJoin(1, peer(RELAY)),
    ]
    assert tell(lifecycle, third) == [
        SendInit(3, (peer(SOURCE), peer(RELAY)), workers=COUNTS),
        SendJoin(1, peer(SINK)),
        SendJoin(2, peer(SINK)),
    ]


def test_workers_hear_only_of_those_that_they_may_say_something_to_or_hear_something_from() -> None:
    # With a hundred workers of a segment, that all hear of all was most of what was said.
    zero, speaks_to = frozenset({0}), [{1, 3}, {0, 2}, {3, 1}, {0}]
    source, first, other, second, sink = members = (
        Member(1, 0, sends_to=zero, speaks_to=frozenset(speaks_to[0])),
        Member(2, 1, is_stateless=True, works_in=zero, speaks_to=frozenset(speaks_to[1])),
        Member(3, 1, is_stateless=True, works_in=zero, speaks_to=frozenset(speaks_to[1])),
        Member(4, 2, is_stateless=True, works_in=zero, speaks_to=frozenset(speaks_to[2])),
        Member(5, 3, receives_from=zero, speaks_to=frozenset(speaks_to[3])),
    )
    actions = tell(Lifecycle(members), *bound(*members))
    heard = {m.id: set[int]() for m in members}
    for action in actions:
        if isinstance(action, SendInit):
            heard[action.worker] |= {peer.id for peer in action.peers}
        elif isinstance(action, SendJoin):
            heard[action.worker].add(action.peer.id)
    assert heard[source.id] == {first.id, other.id, sink.id}
    assert heard[first.id] == heard[other.id] == {source.id, second.id}
    assert heard[second.id] == {first.id, other.id, sink.id}
    assert heard[sink.id] == {source.id, second.id}


def test_all_in_a_loop_hear_of_each_other_as_they_count_what_goes_round() -> None:
    zero = frozenset({0})
    ring = [
        Member(i, i // 3, receives_from=zero, loop=0, speaks_to=frozenset()) for i in range(1, 5)
    ]
    actions = tell(Lifecycle(ring), *bound(*ring))
    joins = {(a.worker, a.peer.id) for a in actions if isinstance(a, SendJoin)}
    assert joins == {(i, j) for j in range(1, 5) for i in range(1, j)}


def test_a_worker_that_says_twice_that_it_is_bound_is_heard_once() -> None:
    lifecycle = Lifecycle(LINE)
    tell(lifecycle, *bound(*LINE))
    assert tell(lifecycle, *bound(*LINE)) == []


def test_the_sources_may_begin_when_the_last_worker_is_wired() -> None:
    lifecycle = Lifecycle(LINE)
    tell(lifecycle, *bound(*LINE), Wired(1), Wired(3))
    assert not lifecycle.started
    assert tell(lifecycle, Wired(2)) == [SendStart(1), SendStart(2), SendStart(3)]
    assert tell(lifecycle, Wired(2)) == []


def test_a_run_that_is_stopped_does_not_start() -> None:
    lifecycle = Lifecycle(LINE)
    tell(lifecycle, *bound(*LINE), Wired(1), Wired(2), STOP)
    assert not any(isinstance(a, SendStart) for a in tell(lifecycle, Wired(3)))


# -------------------------------------------------------------------- normal end
def test_a_normal_run_ends_finished() -> None:
    lifecycle = running()
    assert tell(lifecycle, Done(1)) == []
    assert tell(lifecycle, Done(3)) == [SendLeave(2)]
    assert tell(lifecycle, Done(2)) == [SendExit(1), SendExit(2), SendExit(3)]
    assert tell(lifecycle, *(Died(i, DEATH) for i in (1, 2, 3))) == [Finish(Outcome.FINISHED)]
    assert lifecycle.finished
    assert lifecycle.cause is None
    assert lifecycle.deadline_s is None


def test_nobody_exits_before_all_are_done() -> None:
    lifecycle = running()
    assert SendExit(1) not in tell(lifecycle, Done(1), Tick(), at_s=1e6)


def test_at_a_normal_end_a_process_has_all_the_time_that_it_takes_and_that_is_said() -> None:
    lifecycle = running()
    tell(lifecycle, Done(1), Done(3), Done(2), at_s=5.0)
    tell(lifecycle, Died(1, DEATH), Died(2, DEATH), at_s=5.1)
    assert lifecycle.deadline_s == 5.0 + SLOW_EXIT_S
    assert tell(lifecycle, Tick(), at_s=5.0 + SLOW_EXIT_S) == [LogSlowExit(3)]
    assert lifecycle.deadline_s is None
    assert tell(lifecycle, Tick(), at_s=1e6) == []
    assert tell(lifecycle, Died(3, DEATH), at_s=1e6) == [Finish(Outcome.FINISHED)]


def test_a_stop_gives_its_grace_to_a_process_that_does_not_end() -> None:
    lifecycle = running(grace_s=50.0)
    tell(lifecycle, Done(1), Done(3), Done(2), at_s=5.0)
    tell(lifecycle, Died(1, DEATH), Died(2, DEATH), STOP, at_s=7.0)
    assert lifecycle.deadline_s == 57.0
    assert tell(lifecycle, Tick(), at_s=57.0) == [LogCutShort(3), Kill(3)]
    assert tell(lifecycle, Tick(), at_s=99.0) == [Kill(3, hard=True)]
    assert tell(lifecycle, Tick(), at_s=999.0) == []
    assert tell(lifecycle, Died(3, DEATH), at_s=999.0) == [Finish(Outcome.FINISHED)]


def test_a_worker_that_heeds_a_stop_has_its_grace_for_what_it_does_on_the_way_out() -> None:
    lifecycle = running(SOURCE, SINK, grace_s=50.0)
    tell(lifecycle, STOP, at_s=5.0)
    tell(lifecycle, Leaving(1), at_s=5.2)
    assert tell(lifecycle, Tick(), at_s=5.0 + STOP_S) == [Kill(3)]
    tell(lifecycle, Died(3, DEATH), at_s=6.1)
    assert lifecycle.deadline_s == 55.0
    assert tell(lifecycle, Tick(), at_s=55.0) == [LogCutShort(1), Kill(1)]


def test_all_of_a_workers_end_has_one_grace() -> None:
    lifecycle = running(Member(3, 2, saves=True), grace_s=50.0)
    tell(lifecycle, STOP, at_s=5.0)
    tell(lifecycle, Leaving(3), at_s=15.0)
    assert tell(lifecycle, Done(3), at_s=25.0) == [SendExit(3)]
    assert lifecycle.deadline_s == 55.0
    assert tell(lifecycle, Tick(), at_s=55.0) == [LogCutShort(3), Kill(3)]


def test_a_stateless_worker_leaves_when_all_receivers_of_its_regions_are_done() -> None:
    second = Member(4, segment=3, receives_from=frozenset({0, 1}))
    elsewhere = Member(5, segment=4, receives_from=frozenset({1}))
    lifecycle = running(*LINE, second, elsewhere)
    assert tell(lifecycle, Done(1), Done(3)) == []
    assert tell(lifecycle, Done(4)) == [SendLeave(2)]
    assert tell(lifecycle, Done(5)) == []


def test_nothing_is_decided_after_the_end() -> None:
    lifecycle = running(SINK)
    tell(lifecycle, Done(3), Died(3, DEATH))
    assert tell(lifecycle, STOP, KILL, Failed(3, ERROR), Tick(), Died(3, DEATH)) == []
    assert lifecycle.outcome is Outcome.FINISHED


# ----------------------------------------------------------------------- failure
def test_a_failure_stops_the_others_and_the_one_that_failed_exits() -> None:
    lifecycle = running()
    actions = tell(lifecycle, Failed(2, ERROR))
    assert actions == [SendStop(1, Outcome.FAILED), SendStop(3, Outcome.FAILED), SendExit(2)]
    assert lifecycle.cause is ERROR


def test_after_a_failure_each_worker_exits_as_soon_as_it_is_done() -> None:
    lifecycle = running()
    tell(lifecycle, Failed(2, ERROR))
    assert tell(lifecycle, Done(1)) == [SendExit(1)]
    assert tell(lifecycle, Done(3)) == [SendExit(3)]
    assert tell(lifecycle, *(Died(i, DEATH) for i in (1, 2, 3))) == [Finish(Outcome.FAILED)]


def test_the_process_of_a_worker_that_failed_has_the_grace_of_all_to_end() -> None:
    lifecycle = running(SOURCE, Member(3, 2, saves=True), grace_s=50.0)
    assert SendExit(3) in tell(lifecycle, Failed(3, ERROR), at_s=7.0)
    assert tell(lifecycle, Tick(), at_s=7.0 + STOP_S) == [Kill(1)]
    tell(lifecycle, Died(1, DEATH), at_s=8.1)
    assert tell(lifecycle, Tick(), at_s=57.0) == [LogCutShort(3), Kill(3)]


def test_the_death_of_a_worker_that_failed_is_not_another_cause() -> None:
    lifecycle = running()
    tell(lifecycle, Failed(2, ERROR), Died(2, DEATH))
    assert lifecycle.cause is ERROR


@pytest.mark.parametrize("phase", ["starting", "bound", "wired", "done"])
def test_an_unexpected_death_fails_the_run_at_any_time(phase: str) -> None:
    lifecycle = Lifecycle(LINE)
    steps = {"bound": bound(RELAY), "wired": [Wired(2)], "done": [Done(2)]}
    for name, events in steps.items():
        if phase == "starting":
            break
        tell(lifecycle, *events)
        if name == phase:
            break
    tell(lifecycle, Died(2, DEATH))
    assert lifecycle.outcome is Outcome.FAILED
    assert lifecycle.cause is DEATH
    assert lifecycle.stopping


def test_the_first_cause_wins() -> None:
    lifecycle = running()
    tell(lifecycle, Failed(1, ERROR), Died(2, DEATH), Failed(3, ValueError()), INTERRUPT)
    assert lifecycle.outcome is Outcome.FAILED
    assert lifecycle.cause is ERROR


def test_a_stop_that_came_before_a_failure_stays_a_stop() -> None:
    lifecycle = running()
    tell(lifecycle, INTERRUPT, Failed(1, ERROR))
    assert lifecycle.outcome is Outcome.INTERRUPTED
    assert lifecycle.cause is None


def test_a_failure_in_a_drained_run_is_a_failure() -> None:
    lifecycle = running()
    tell(lifecycle, DRAIN, Failed(3, ERROR))
    assert lifecycle.outcome is Outcome.FAILED
    assert lifecycle.cause is ERROR


def test_what_the_dead_said_last_does_no_harm() -> None:
    lifecycle = Lifecycle(LINE)
    tell(lifecycle, *bound(SOURCE), Died(2, DEATH))
    late = tell(lifecycle, *bound(RELAY), Wired(2), Done(2), Failed(2, ERROR))
    assert not [a for a in late if getattr(a, "worker", None) == 2]
    assert lifecycle.cause is DEATH


# -------------------------------------------------------------------------- stop
def test_a_stop_reaches_all_that_are_not_done() -> None:
    lifecycle = running()
    tell(lifecycle, Done(1))
    actions = tell(lifecycle, STOP)
    assert actions == [
        SendStop(2, Outcome.STOPPED),
        SendStop(3, Outcome.STOPPED),
        SendExit(1),
    ]


def test_a_second_stop_changes_nothing() -> None:
    lifecycle = running()
    tell(lifecycle, STOP, at_s=1.0)
    deadline_s = lifecycle.deadline_s
    assert tell(lifecycle, INTERRUPT, at_s=1.5) == []
    assert lifecycle.deadline_s == deadline_s
    assert lifecycle.outcome is Outcome.STOPPED


def test_a_worker_that_is_bound_during_the_stop_hears_of_it_at_once() -> None:
    lifecycle = Lifecycle(LINE)
    tell(lifecycle, *bound(SOURCE), INTERRUPT)
    actions = tell(lifecycle, *bound(RELAY))
    assert actions[-1] == SendStop(2, Outcome.INTERRUPTED)
    assert SendInit(2, (peer(SOURCE),), workers=COUNTS) in actions


def test_a_worker_that_does_not_leave_its_functor_is_killed_after_stop_s() -> None:
    lifecycle = running()
    tell(lifecycle, STOP, at_s=5.0)
    assert lifecycle.deadline_s == 5.0 + STOP_S
    assert tell(lifecycle, Tick(), at_s=5.0 + STOP_S) == [Kill(1), Kill(2), Kill(3)]


def test_a_worker_that_never_began_is_killed_after_stop_s() -> None:
    lifecycle = Lifecycle(LINE)
    tell(lifecycle, STOP, at_s=5.0)
    assert tell(lifecycle, Tick(), at_s=5.0 + STOP_S) == [Kill(1), Kill(2), Kill(3)]


def test_a_worker_that_saves_gets_its_grace() -> None:
    lifecycle = running(SOURCE, Member(3, 2, saves=True), grace_s=50.0)
    tell(lifecycle, STOP, at_s=5.0)
    assert tell(lifecycle, Tick(), at_s=5.0 + STOP_S) == [Kill(1)]
    assert lifecycle.deadline_s == 55.0
    assert tell(lifecycle, Tick(), at_s=54.9) == []
    assert tell(lifecycle, Tick(), at_s=55.0) == [LogCutShort(3), Kill(3)]


def test_what_fails_in_the_last_words_after_a_stop_is_raised() -> None:
    saver = Member(3, 2, saves=True)
    lifecycle = running(SOURCE, saver)
    tell(lifecycle, STOP)
    assert tell(lifecycle, Failed(1, DEATH)) == [LogLaterFailure(DEATH), SendExit(1)]
    assert tell(lifecycle, Failed(3, ERROR, at_the_end=True)) == [SendExit(3)]
    assert (lifecycle.outcome, lifecycle.cause) == (Outcome.FAILED, ERROR)


def test_a_second_failure_is_said() -> None:
    lifecycle = running(SOURCE, SINK)
    tell(lifecycle, Failed(1, ERROR))
    assert LogLaterFailure(DEATH) in tell(lifecycle, Failed(3, DEATH, at_the_end=True))
    assert lifecycle.cause is ERROR


def test_a_joining_worker_hears_of_a_drain_before_the_sources_do() -> None:
    lifecycle = running(SOURCE, Member(3, 2, joins=True))
    assert tell(lifecycle, DRAIN) == [SendDrain(3), SendDrain(1)]


def test_a_worker_that_saves_but_has_not_begun_has_nothing_to_save() -> None:
    saver = Member(3, 2, saves=True)
    lifecycle = Lifecycle([SOURCE, saver], grace_s=50.0)
    tell(lifecycle, *bound(saver), STOP, at_s=5.0)
    assert Kill(3) in tell(lifecycle, Tick(), at_s=5.0 + STOP_S)


def test_a_worker_that_saved_in_time_has_exit_s_more_to_go() -> None:
    lifecycle = running(Member(3, 2, saves=True), grace_s=50.0)
    tell(lifecycle, STOP, at_s=5.0)
    assert tell(lifecycle, Done(3), at_s=54.0) == [SendExit(3)]
    assert lifecycle.deadline_s == 54.0 + EXIT_S


def test_stateless_workers_are_not_told_to_leave_while_all_are_stopped() -> None:
    lifecycle = running()
    tell(lifecycle, STOP)
    assert tell(lifecycle, Done(3)) == [SendExit(3)]


def test_the_callers_own_process_is_never_killed_for_being_late() -> None:
    lifecycle = running(SOURCE, Member(3, 2, is_caller=True))
    tell(lifecycle, STOP, at_s=0.0)
    assert tell(lifecycle, Tick(), at_s=1e6) == [Kill(1)]
    assert tell(lifecycle, Tick(), at_s=2e6) == [Kill(1, hard=True)]
    assert lifecycle.deadline_s is None


# ------------------------------------------------------------------------- drain
def test_a_drain_tells_the_sources_only_and_sets_no_deadline() -> None:
    lifecycle = running()
    assert tell(lifecycle, DRAIN) == [SendDrain(1)]
    assert not lifecycle.stopping
    assert lifecycle.deadline_s is None


def test_a_drained_run_works_off_what_is_there_and_ends_stopped() -> None:
    lifecycle = running()
    tell(lifecycle, DRAIN, Done(1), Done(3), Done(2))
    assert tell(lifecycle, *(Died(i, DEATH) for i in (1, 2, 3))) == [Finish(Outcome.STOPPED)]


def test_a_drain_before_the_start_lets_the_run_start_and_end() -> None:
    lifecycle = Lifecycle(LINE)
    assert tell(lifecycle, DRAIN) == [SendDrain(1)]
    tell(lifecycle, *bound(*LINE), *(Wired(i) for i in (1, 2, 3)))
    assert lifecycle.started


def test_a_drain_of_a_run_that_is_stopping_changes_nothing() -> None:
    lifecycle = running()
    tell(lifecycle, INTERRUPT)
    assert tell(lifecycle, DRAIN) == []
    assert lifecycle.outcome is Outcome.INTERRUPTED


def test_a_stop_may_follow_a_drain() -> None:
    lifecycle = running()
    tell(lifecycle, DRAIN, at_s=1.0)
    assert SendStop(3, Outcome.STOPPED) in tell(lifecycle, STOP, at_s=2.0)
    assert lifecycle.deadline_s == 2.0 + STOP_S


# finding: those bound already hear "interrupted", those bound later and the caller "stopped"
def test_all_workers_and_the_caller_are_told_the_same_outcome() -> None:
    lifecycle = Lifecycle(LINE)
    tell(lifecycle, *bound(SOURCE, RELAY), DRAIN)
    told = tell(lifecycle, INTERRUPT, *bound(SINK), *(Died(i, DEATH) for i in (1, 2, 3)))
    outcomes = {a.outcome for a in told if isinstance(a, SendStop | Finish)}
    assert len(outcomes) == 1


# finding: a source that is gone is drained all the same
def test_a_drain_does_not_go_to_a_source_that_is_gone() -> None:
    lifecycle = running()
    tell(lifecycle, Done(1), Done(3), Done(2), Died(1, DEATH))
    assert tell(lifecycle, DRAIN) == []


# finding: all work was done and saved; only the processes were still to go
@pytest.mark.parametrize("wish", [STOP, DRAIN, INTERRUPT], ids=["stop", "drain", "interrupt"])
def test_a_wish_that_comes_when_all_are_done_does_not_undo_a_normal_run(wish: StopAsked) -> None:
    lifecycle = running()
    tell(lifecycle, Done(1), Done(3), Done(2), wish)
    assert tell(lifecycle, *(Died(i, DEATH) for i in (1, 2, 3))) == [Finish(Outcome.FINISHED)]


# -------------------------------------------------------------------------- kill
def test_kill_kills_all_at_once_and_once() -> None:
    lifecycle = running(*LINE, Member(4, 3, saves=True, is_caller=True))
    actions = tell(lifecycle, KILL, at_s=3.0)
    assert [a for a in actions if isinstance(a, Kill)] == [Kill(1), Kill(2), Kill(3), Kill(4)]
    assert tell(lifecycle, KILL, at_s=3.0) == []
    hard = [Kill(i, hard=True) for i in (1, 2, 3)]
    assert tell(lifecycle, Tick(), at_s=3.0 + EXIT_S) == hard
    assert tell(lifecycle, Tick(), at_s=1e6) == []


def test_nobody_is_killed_hard_while_another_one_may_be_saving() -> None:
    lifecycle = running(SOURCE, Member(3, 2, saves=True), grace_s=50.0)
    tell(lifecycle, STOP, at_s=0.0)
    assert tell(lifecycle, Tick(), at_s=STOP_S) == [Kill(1)]
    assert tell(lifecycle, Tick(), at_s=49.0) == []
    assert tell(lifecycle, Tick(), at_s=50.0) == [LogCutShort(3), Kill(3)]
    assert tell(lifecycle, Tick(), at_s=50.0 + EXIT_S) == [Kill(1, True), Kill(3, True)]


def test_a_death_after_all_others_were_done_is_still_a_failure() -> None:
    lifecycle = running()
    tell(lifecycle, Done(1), Done(2))
    tell(lifecycle, Died(3, DEATH))
    assert lifecycle.outcome is Outcome.FAILED
    assert lifecycle.cause is DEATH


def test_a_second_ctrl_c_kills_those_that_save() -> None:
    lifecycle = running(Member(3, 2, saves=True))
    tell(lifecycle, INTERRUPT, at_s=1.0)
    assert Kill(3) in tell(lifecycle, KILL, at_s=1.1)


def test_the_killed_are_not_a_cause() -> None:
    lifecycle = running()
    tell(lifecycle, KILL, *(Died(i, DEATH) for i in (1, 2, 3)))
    assert lifecycle.outcome is Outcome.INTERRUPTED
    assert lifecycle.cause is None
    assert lifecycle.finished


def test_kill_beats_drain() -> None:
    lifecycle = running()
    assert Kill(1) in tell(lifecycle, StopAsked(drain=True, kill=True))


# ------------------------------------------------------- played in virtual time
NEVER = float("inf")
GRACE_S = 3.0
LONGEST_DELAY_S = 0.2
NETWORK_S = 6 * LONGEST_DELAY_S  # a few messages one after another

RELAYED = (
    SOURCE,
    RELAY,
    Member(3, 1, is_stateless=True, works_in=frozenset({0})),
    Member(4, 2, receives_from=frozenset({0}), saves=True),
)
TWO_REGIONS = (
    SOURCE,
    RELAY,
    Member(3, 2, receives_from=frozenset({0}), sends_to=frozenset({1}), saves=True),
    Member(4, 3, is_stateless=True, works_in=frozenset({1})),
    Member(5, 4, receives_from=frozenset({1})),
    Member(6, 5, receives_from=frozenset({0, 1}), is_caller=True),
)
DIRECT = (
    SOURCE,
    Member(2, 0, is_source=True, sends_to=frozenset({0}), saves=True),
    Member(3, 1, receives_from=frozenset({0})),
)
SHAPES = {  # the members, and who sends into each region
    "relayed": (RELAYED, {0: {1}}),
    "two regions": (TWO_REGIONS, {0: {1}, 1: {3}}),
    "direct": (DIRECT, {0: {1, 2}}),
}


@dataclass(frozen=True)
class Script:
    """What one worker does; NEVER: it does not."""

    delay_s: float = 0.0  # of its messages, each way
    notice_s: float = 0.0  # from its death until the supervisor hears of it
    bind_s: float = 0.1
    init_s: float = 0.1
    work_s: float = 1.0
    stop_s: float = 0.1  # from STOP until local_term has returned
    exit_s: float = 0.1
    fails: str = ""  # "", "init", "work"
    dies_at_s: float = NEVER


GOOD = Script()
SHORT = st.floats(0, LONGEST_DELAY_S)


def scripts() -> st.SearchStrategy[Script]:
    def some(*values: float) -> st.SearchStrategy[float]:
        return st.floats(0, 1) | st.sampled_from(values)

    return st.just(GOOD) | st.builds(
        Script,
        delay_s=SHORT,
        notice_s=SHORT,
        bind_s=some(0.1, NEVER),
        init_s=some(0.1, NEVER),
        work_s=some(0.1, 20.0, NEVER),
        stop_s=some(0.1, STOP_S, GRACE_S, 2.9, NEVER),
        exit_s=some(0.1, EXIT_S, NEVER),
        fails=st.sampled_from(("", "", "", "init", "work")),
        dies_at_s=st.just(NEVER) | st.floats(0, 6),
    )


WISHES = st.lists(
    st.tuples(
        st.floats(0, 6),
        st.sampled_from((STOP, DRAIN, INTERRUPT)),
    ),
    max_size=2,
)
CTRL_C = st.tuples(st.floats(0, 6), st.floats(0, 2)).map(
    lambda t: [(t[0], INTERRUPT), (t[0] + t[1], KILL)]
)


@dataclass
class Worker:
    """A worker process in virtual time."""

    member: Member
    script: Script
    alive: bool = True
    planned: bool = False  # to be done with its work
    stopped: bool = False
    over: bool = False  # it has said Done or Failed


@dataclass
class Play:
    """Runs a Lifecycle against workers that follow their scripts, and checks each action."""

    members: tuple[Member, ...]
    senders: dict[int, set[int]]
    scripts: list[Script]
    wishes: list[tuple[float, StopAsked]]
    now_s: float = 0.0
    ended_s: float | None = None  # the first thing that ends the run
    killed_s: float | None = None
    finished_s: float | None = None
    outcome: Outcome | None = None  # what it has to be
    cause: BaseException | None = None
    all_done: bool = False
    workers: dict[int, Worker] = field(default_factory=dict)
    seen: Counter[tuple[type[Action], int]] = field(default_factory=Counter)
    phases: dict[int, Phase] = field(default_factory=dict)
    excused: set[int] = field(default_factory=set)  # those whose death is expected
    knows: Counter[tuple[int, int]] = field(default_factory=Counter)
    connect_peer: set[tuple[int, int]] = field(default_factory=set)  # who has to know of whom

    def __post_init__(self) -> None:
        self.lifecycle = Lifecycle(self.members, grace_s=GRACE_S)
        self.heap: list[tuple[float, int, str, int, object]] = []
        self.serial = count()
        for member, script in zip(self.members, self.scripts, strict=True):
            # The caller's part runs in the supervisor's own process: it can do no wrong.
            script = GOOD if member.is_caller else script
            self.workers[member.id] = Worker(member, script)
            self.phases[member.id] = Phase.STARTING
            self.plan(script.bind_s, "bind", member.id)
            self.plan(script.dies_at_s, "die", member.id)
        for at_s, wish in self.wishes:
            self.plan(at_s, "hear", 0, wish)

    # --------------------------------------------------------------- the world
    def plan(self, in_s: float, what: str, worker: int, thing: object = None) -> None:
        if in_s != NEVER:
            item = (self.now_s + in_s, next(self.serial), what, worker, thing)
            heapq.heappush(self.heap, item)

    def say(self, worker: Worker, event: Event) -> None:
        if worker.alive and not worker.over:
            worker.over = isinstance(event, Done | Failed)
            self.plan(worker.script.delay_s, "hear", worker.member.id, event)

    def die(self, worker: Worker) -> None:
        if worker.alive:
            worker.alive = False
            death = RuntimeError(f"worker {worker.member.id} died")
            self.plan(worker.script.notice_s, "hear", 0, Died(worker.member.id, death))

    def happens(self, what: str, worker: Worker, thing: object) -> None:
        ident, script = worker.member.id, worker.script
        match what, thing:
            case "die", _:
                self.die(worker)
            case "bind", _:
                self.say(worker, Bound(ident, address(ident)))
            case "wire", _ if script.fails == "init":
                self.say(worker, Failed(ident, ValueError(f"init of {ident}")))
            case "wire", _:
                self.say(worker, Wired(ident))
            case "work ends", _ if script.fails == "work" and not worker.stopped:
                self.say(worker, Failed(ident, ValueError(f"work of {ident}")))
            case "work ends", _ if not worker.stopped:
                self.say(worker, Done(ident))
                self.wake_receivers()
            case "stop ends", _:
                self.say(worker, Done(ident))
            case "arrives", SendInit():
                self.plan(script.init_s, "wire", ident)
            case "arrives", SendStart() if worker.member.is_source:
                self.finish_work(worker, script.work_s)
            case "arrives", SendDrain() if self.phases[ident] >= Phase.WIRED:
                self.finish_work(worker, min(script.work_s, 0.1))
            case "arrives", SendLeave():
                self.finish_work(worker, script.work_s)
            case "arrives", SendStop():
                worker.stopped = True
                self.plan(script.stop_s, "stop ends", ident)
            case "arrives", SendExit():
                self.plan(script.exit_s, "die", ident)

    def finish_work(self, worker: Worker, in_s: float) -> None:
        if not worker.planned:
            worker.planned = True
            self.plan(in_s, "work ends", worker.member.id)

    def wake_receivers(self) -> None:
        """A receiver has done its work some time after all its senders have."""
        for worker in self.workers.values():
            regions = worker.member.receives_from
            if regions and all(
                self.workers[s].over for region in regions for s in self.senders[region]
            ):
                self.finish_work(worker, worker.script.work_s)

    # ---------------------------------------------------------- the supervisor
    def run(self) -> None:
        while self.finished_s is None:
            due_s = self.lifecycle.deadline_s
            next_s = self.heap[0][0] if self.heap else NEVER
            if due_s is not None and due_s < next_s:
                self.now_s = max(self.now_s, due_s)
                self.handle(Tick())
            elif self.heap:
                self.now_s, _, what, worker, thing = heapq.heappop(self.heap)
                if what == "hear":
                    self.handle(thing)  # type: ignore[arg-type]
                elif self.workers[worker].alive:
                    self.happens(what, self.workers[worker], thing)
            else:
                return

    def handle(self, event: Event) -> None:
        if isinstance(event, StopAsked) and self.all_done and not event.kill:
            return  # its own test says what should happen then
        self.note(event)
        actions = self.lifecycle.handle(event, self.now_s)
        for action in actions:
            assert self.finished_s is None, "an action after Finish"
            self.check(action)
            self.obey(action)
        if isinstance(event, Tick):
            assert actions, "a deadline without anything to do comes again and again"

    def note(self, event: Event) -> None:
        """What the event means, by the rules of this test."""
        phases = self.phases
        match event:
            case Bound(worker) if phases[worker] is Phase.STARTING:
                phases[worker] = Phase.BOUND
                mine = self.workers[worker].member.regions
                for other, phase in phases.items():
                    if not self.workers[other].member.regions & mine:
                        continue  # these have nothing to do with each other
                    if other != worker and Phase.BOUND <= phase < Phase.GONE:
                        self.connect_peer |= {(worker, other), (other, worker)}
            case Wired(worker):
                phases[worker] = max(phases[worker], Phase.WIRED)
            case Done(worker):
                phases[worker] = max(phases[worker], Phase.DONE)
            case Failed(worker, cause):
                self.excused.add(worker)
                self.ends(Outcome.FAILED, cause)
            case Died(worker, cause):
                saving = self.workers[worker].member.saves and phases[worker] is Phase.WIRED
                phases[worker] = Phase.GONE
                if worker not in self.excused:
                    if saving and self.ended_s is not None and self.cause is None:
                        self.cause = cause  # what it had to save is lost
                        if self.outcome is not Outcome.INTERRUPTED:
                            self.outcome = Outcome.FAILED
                    self.ends(Outcome.FAILED, cause)
            case StopAsked(drain=True, kill=False) if self.ended_s is None:
                self.outcome = self.outcome or Outcome.STOPPED
            case StopAsked(drain=False):
                self.ends(self.outcome or event.outcome, None)
                if event.kill and self.killed_s is None:
                    self.killed_s = self.now_s
        left = [p for p in phases.values() if p is not Phase.GONE]
        if self.ended_s is None and all(p is Phase.DONE for p in left):
            self.all_done = True
            self.ends(self.outcome or Outcome.FINISHED, None)

    def ends(self, outcome: Outcome, cause: BaseException | None) -> None:
        if self.ended_s is None:
            self.ended_s, self.outcome, self.cause = self.now_s, outcome, cause

    def check(self, action: Action) -> None:
        phases, lifecycle = self.phases, self.lifecycle
        if isinstance(action, Finish):
            assert set(phases.values()) == {Phase.GONE}
            return
        if isinstance(action, LogLaterFailure):
            assert self.ended_s is not None
            return
        self.seen[type(action), action.worker] += 1
        assert phases[action.worker] is not Phase.GONE, f"{action} to one that is gone"
        if not isinstance(action, SendJoin | SendDrain):
            assert self.seen[type(action), action.worker] == 1, f"{action} comes again"
        match action:
            case SendStart():
                assert all(phase >= Phase.WIRED for phase in phases.values())
            case SendDrain(worker):
                assert lifecycle._workers[worker].member.is_source
            case SendLeave(worker):
                member = self.workers[worker].member
                assert member.is_stateless
                for other in self.members:
                    if other.receives_from & member.works_in:
                        assert phases[other.id] >= Phase.DONE
            case SendStop(worker):
                assert phases[worker] >= Phase.BOUND
                assert self.ended_s is not None
            case SendExit() | Kill():
                assert self.ended_s is not None
            case SendInit(worker, peers):
                self.knows.update((worker, p.id) for p in peers)
            case SendJoin(worker, newcomer):
                self.knows[worker, newcomer.id] += 1

    def obey(self, action: Action) -> None:
        if isinstance(action, Finish):
            self.finished_s = self.now_s
            assert action.outcome is self.outcome
            return
        if isinstance(action, LogLaterFailure | LogCutShort):
            return
        worker = self.workers[action.worker]
        ident = worker.member.id
        match action:
            case Kill() | SendExit():
                self.excused.add(ident)
        if isinstance(action, Kill):
            self.die(worker)
        elif worker.member.is_caller and isinstance(action, SendStop):
            self.say(worker, Done(ident))
        elif worker.member.is_caller and isinstance(action, SendExit):
            self.die(worker)
        else:
            self.plan(worker.script.delay_s, "arrives", ident, action)


def play(shape: str, scripts: list[Script], wishes: list[tuple[float, StopAsked]]) -> Play:
    members, senders = SHAPES[shape]
    made = Play(members, senders, scripts[: len(members)], sorted(wishes, key=lambda w: w[0]))
    made.run()
    return made


def check_the_end(it: Play) -> None:
    """What holds of each run that has come to its end, or hangs in the user's code."""
    hangs = any(NEVER in (s.bind_s, s.init_s, s.work_s) for s in it.scripts)
    if it.ended_s is None:
        assert hangs, "nobody hangs, and yet the run does not end"
        return
    if it.all_done and it.finished_s is None:
        assert any(s.exit_s == NEVER for s in it.scripts), "they end, and yet the run does not"
        return
    assert it.finished_s is not None, "the run never ends"
    longest_s, since_s = EXIT_S if it.all_done else max(STOP_S, GRACE_S) + EXIT_S, it.ended_s
    if it.all_done and any(s.exit_s == NEVER for s in it.scripts):
        # A process that does not end is waited for, until it dies, or somebody wishes for the end.
        deaths_s = (s.dies_at_s for s in it.scripts if s.dies_at_s != NEVER)
        since_s = max([since_s, *(wish_s for wish_s, _ in it.wishes), *deaths_s])
        longest_s = GRACE_S + EXIT_S
    assert it.finished_s <= since_s + longest_s + NETWORK_S
    if it.killed_s is not None:
        assert it.finished_s <= it.killed_s + NETWORK_S
    assert it.lifecycle.outcome is it.outcome
    assert it.lifecycle.cause is it.cause
    assert it.knows == Counter(it.connect_peer), "each hears of each other exactly once"
    assert it.lifecycle.deadline_s is None


@given(
    st.sampled_from(sorted(SHAPES)),
    st.lists(scripts(), min_size=6, max_size=6),
    WISHES | CTRL_C,
)
@settings(max_examples=120, deadline=None)
def test_whatever_the_workers_and_the_user_do_the_run_ends_in_time(shape, scripts, wishes) -> None:
    check_the_end(play(shape, scripts, wishes))


@given(
    st.sampled_from(sorted(SHAPES)),
    st.lists(st.builds(Script, delay_s=SHORT, bind_s=SHORT, work_s=SHORT), min_size=6, max_size=6),
)
@settings(max_examples=30, deadline=None)
def test_workers_that_behave_finish_and_each_is_started_once(shape, scripts) -> None:
    it = play(shape, scripts, [])
    check_the_end(it)
    assert it.outcome is Outcome.FINISHED
    for member in it.members:
        assert it.seen[SendInit, member.id] == 1
        assert it.seen[SendStart, member.id] == 1
        assert it.seen[SendExit, member.id] == 1
        assert it.seen[SendLeave, member.id] == member.is_stateless
        assert it.seen[Kill, member.id] == 0


@given(st.sampled_from(sorted(SHAPES)), st.integers(0, 2), st.floats(0, 3), st.booleans())
@settings(max_examples=40, deadline=None)
def test_one_death_or_failure_among_workers_that_behave_fails_the_run(
    shape, who, at_s, dies
) -> None:
    scripts = [GOOD] * 6
    bad = Script(dies_at_s=at_s) if dies else Script(fails="work")
    scripts[who] = bad
    it = play(shape, scripts, [])
    check_the_end(it)
    if not dies or not it.all_done:
        assert it.outcome is Outcome.FAILED
        assert it.cause is not None
