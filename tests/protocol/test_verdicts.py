"""Calls that take too long: who is killed, who is spared, and what is said of long starts."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from minipipe.protocol.run.timeouts import HALT_S, STACK_S, Sentences, Since, Step, Timeouts


def condemned(call: object = "item 3") -> Sentences:
    sentences = Sentences()
    sentences.condemn(7, call, 0.0)
    return sentences


def test_a_worker_is_halted_and_looked_at_again_before_it_is_killed() -> None:
    sentences = condemned()
    assert sentences.step(7, "item 3", STACK_S - 0.01, stands=False) is Step.WAIT
    assert sentences.step(7, "item 3", STACK_S, stands=False) is Step.HALT
    assert sentences.halted == (7,)
    assert sentences.step(7, "item 3", STACK_S + 0.01, stands=False) is Step.WAIT
    assert sentences.step(7, "item 3", STACK_S + 0.02, stands=True) is Step.KILL
    assert sentences.workers == ()


def test_one_that_somebody_else_has_stopped_cannot_come_to_the_end_of_its_call() -> None:
    assert condemned().step(7, "item 3", STACK_S, stands=True) is Step.KILL


def test_where_it_cannot_be_seen_to_stop_it_is_killed_after_a_while() -> None:
    sentences = condemned()
    sentences.step(7, "item 3", STACK_S, stands=False)
    assert sentences.step(7, "item 3", STACK_S + HALT_S, stands=False) is Step.KILL


def test_one_that_has_come_to_the_end_of_its_call_is_spared() -> None:
    assert condemned().step(7, "item 4", 0.1, stands=False) is Step.SPARE
    sentences = condemned()
    sentences.step(7, "item 3", STACK_S, stands=False)
    assert sentences.step(7, None, STACK_S + 0.01, stands=True) is Step.RESUME
    assert sentences.workers == ()


@given(st.lists(st.tuples(st.sampled_from("aab"), st.booleans(), st.floats(0.0, 0.4))))
def test_nobody_is_killed_at_another_call_and_nobody_stays_halted(steps) -> None:
    sentences, now_s, halted = condemned("a"), 0.0, False
    for call, stands, gap_s in steps:
        now_s += gap_s
        if 7 not in sentences.workers:
            break
        step = sentences.step(7, call, now_s, stands=stands)
        assert step is not Step.KILL or call == "a"
        assert (step is Step.RESUME) == (halted and call != "a")
        halted = halted or step is Step.HALT
    assert (7 in sentences.halted) == (halted and 7 in sentences.workers)


def test_a_limit_is_looked_at_when_it_is_over_and_a_first_look_is_soon() -> None:
    timeouts = Timeouts({7: 1.0})
    assert timeouts.due_in_s(0.0) == 0.1
    timeouts.look(0.0, {7: "item"})
    assert timeouts.due_in_s(0.0) == 0.1
    due_s = timeouts.due_in_s(0.95)
    assert due_s is not None
    assert due_s < 0.06
    assert timeouts.look(0.95 + due_s, {7: "item"})
    assert Timeouts({}).due_in_s(0.0) is None


def test_what_stays_the_same_is_said_ever_more_rarely_of_each() -> None:
    since = Since(60.0)
    said = [
        (t, w) for t in range(500) for w, _ in since.look(t, {1: "a", 2: "a" if t > 9 else "b"})
    ]
    assert said == [(60, 1), (70, 2), (120, 1), (130, 2), (240, 1), (250, 2), (480, 1), (490, 2)]
    assert since.look(501.0, {2: "a"}) == []
    assert since.look(502.0, {1: "a"}) == []  # it had been away
    assert since.look(562.0, {1: "a"}) == [(1, 60.0)]


def test_what_is_to_be_said_once_is_said_once() -> None:
    since = Since(5.0, once=True)
    assert [t for t in range(90) if since.look(float(t), {1: "a"})] == [5]
