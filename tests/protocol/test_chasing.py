"""The question of a join comes back exactly if its empty stream waits for its full one."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from minipipe.protocol.flow.chasing import Chase, Question

JOIN = 0
OTHERS = range(1, 7)
WORKERS = st.lists(st.sampled_from([JOIN, *OTHERS]), max_size=3, unique=True)
# What each worker waits for: nothing, input of these, or room at those.
STATES = st.fixed_dictionaries(
    {i: st.tuples(st.sampled_from(("works", "hungry", "blocked")), WORKERS) for i in OTHERS}
)


def comes_back(states: dict[int, tuple[str, list[int]]], producers: list[int]) -> bool:
    """By the plain definition: there is a way of who waits for whom, its last step for room."""
    seen: set[int] = set()
    frontier = [p for p in producers if p != JOIN]
    while frontier:
        worker = frontier.pop()
        if worker in seen:
            continue
        seen.add(worker)
        what, others = states[worker]
        if what == "blocked" and JOIN in others:
            return True
        if what != "works":
            frontier += [other for other in others if other != JOIN]
    return False


@given(STATES, WORKERS, st.randoms(use_true_random=False))
@settings(deadline=None)
def test_it_comes_back_exactly_if_there_is_a_way_of_waiting(
    states: dict[int, tuple[str, list[int]]], producers: list[int], rng: Any
) -> None:
    chases = {i: Chase(i) for i in (JOIN, *OTHERS)}
    for _ in range(2):  # each time anew
        under_way: list[Question] = chases[JOIN].ask({7: producers})
        answers = steps = 0
        while under_way:
            steps += 1
            worker, join, number, _, down = under_way.pop(rng.randrange(len(under_way)))
            if chases[worker].is_answer(join, number, down=down):
                answers += 1
                continue
            if worker == JOIN:
                continue
            what, others = states[worker]
            empty = {7: others} if what == "hungry" else {}
            full = {8: others} if what == "blocked" else {}
            under_way += chases[worker].passed_on(join, number, empty=empty, full=full)
        assert answers == comes_back(states, producers)
        assert steps <= len(producers) + 3 * len(OTHERS)  # each passes it on once


def test_a_late_answer_to_an_earlier_question_is_none() -> None:
    chase = Chase(1)
    ((_, join, number, _, _),) = chase.ask({7: [2]})
    chase.ask({7: [2]})
    assert not chase.is_answer(join, number, down=True)
    assert not chase.is_answer(join, number + 1, down=False)
    assert chase.is_answer(join, number + 1, down=True)
    assert not chase.is_answer(join, number + 1, down=True)  # once
