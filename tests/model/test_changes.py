"""A run that changes while it runs keeps its promises; and each rule left out is found.

More courses of events: MINIPIPE_EXHAUSTIVE=1.
"""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import replace

import pytest

from tests.model.changes import Run
from tests.model.supervision import Shape

COURSES = 5_000 if os.environ.get("MINIPIPE_EXHAUSTIVE") else 100
SEARCHED = 3_000  # courses: each rule that is left out is found within 200

SOURCE, ONE, TWO, TAKER = ("S", 1), ("T", 1), ("T", 2), ("K", 1)
CHAIN = (SOURCE, TWO, TWO, ("A", 2), TWO, ("F", 2))
ORDERED = (SOURCE, TWO, ("A", 2), TWO, ("O", 2))

SHAPES = {
    "joins": Shape((SOURCE, ONE, TAKER), items=3, drops=True, joins=3, kills=1),
    "leaves": Shape(
        (SOURCE, ("T", 3), ("T", 3), ("K", 2)), items=4, leaves=3, joins=2, kills=2, falsely=1
    ),
    "leaves, drops": Shape((SOURCE, ("T", 3), ("F", 2)), items=6, drops=True, leaves=2, kills=2),
    "hosts": Shape(CHAIN, items=3, hosts=2, leaves=1, kills=1),
    "passes": Shape(CHAIN, passes=3, joins=2, kills=2, leaves=1),
    "passes in order": Shape(ORDERED, passes=3, drops=True, joins=2, kills=2),
    "left early": Shape(CHAIN, items=3, passes=4, abandons=3, joins=1, kills=1, leaves=1),
    "left early, in order": Shape(
        ORDERED, items=3, passes=4, drops=True, abandons=3, joins=1, hosts=1, falsely=1, leaves=1
    ),
}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=list(SHAPES))
def test_no_change_of_a_run_breaks_the_contract(shape: Shape) -> None:
    happened: Counter[str] = Counter()
    for seed in range(COURSES):
        run = Run(shape, seed)
        assert not (wrong := run.go_on()), f"seed {seed}: {wrong}"
        happened.update({name: getattr(shape, name) - left for name, left in run.budget.items()})
        happened["gone"] += run.gone
    planned = [name for name in run.budget if getattr(shape, name)]
    assert all(happened[name] >= COURSES / 10 for name in planned), happened
    assert not shape.leaves or happened["gone"] >= happened["leaves"] / 2, happened


LEAVE = Shape((SOURCE, TWO, TAKER), items=3, leaves=2, rate=0.1)
JOIN = Shape((SOURCE, ONE, TAKER), items=1, passes=3, joins=3, rate=0.15)
EARLY = Shape((SOURCE, ONE, ("A", 1), ONE, TAKER), passes=2, abandons=1, rate=0.05)

RULES = [
    # 22: join
    ("the pass in INIT", JOIN, "CLOSE of pass"),
    (
        "CLOSE of the last pass closed",
        Shape((SOURCE, ("A", 1), TAKER), items=1, passes=2, joins=2, rate=0.1),
        "deadlock",
    ),
    ("who has joined counts", JOIN, "of pass"),
    # 23 to 25: leave
    ("LAST", LEAVE, "deadlock|cannot leave"),
    ("TAKEN", replace(LEAVE, stages=(SOURCE, ("T", 4), TAKER), items=6), "deadlock"),
    ("BYE to senders", replace(LEAVE, items=6, drops=True), "deadlock"),
    (
        "INIT without who leaves",
        Shape((SOURCE, ONE, TWO, TAKER), items=6, leaves=1, joins=3, rate=0.1),
        "deadlock",
    ),
    (
        "leavers are members",
        Shape((SOURCE, ("T", 3), ("T", 3), TAKER), items=4, leaves=3, kills=1, rate=0.1),
        "deadlock|cannot leave",
    ),
    ("the last stays", LEAVE, "deadlock"),
    ("GONE counts", Shape((SOURCE, TWO, TWO, TAKER), leaves=2, rate=0.5), "cannot leave"),
    # 26: a host
    ("a host is one restart", Shape(hosts=1, rate=0.2), "too many restarts"),
    ("a host charges nobody", Shape((SOURCE, TWO, TAKER), items=1, hosts=4, rate=0.1), "lost"),
    # 27: passes
    ("all DONE", replace(EARLY, abandons=0), "of pass|lost"),
    ("DONE moves on", Shape((SOURCE, ONE, TAKER), items=1, passes=3), "of pass 1 in pass 0"),
    (
        "CLOSE marks up to a number",
        Shape((SOURCE, TWO, ("O", 1)), items=3, passes=2),
        "handed over|out of order",
    ),
    ("the pass in CLOSE", EARLY, "in pass|after CLOSE"),
    (
        "the pass in DONE",
        Shape((SOURCE, TAKER), items=1, passes=3, abandons=1, rate=0.1),
        "in pass|lost",
    ),
    (
        "the pass in MARK",
        Shape((SOURCE, TWO, ("O", 1)), items=4, passes=2, abandons=1, rate=0.05),
        "handed over|out of order",
    ),
    # 28: a pass left early
    ("numbers run on", EARLY, "a confirmation of|lost"),
    ("ledgers emptied", EARLY, "of pass 0 in pass 1"),
    ("queues purged", replace(EARLY, stages=(SOURCE, ONE, ("F", 1)), items=3), "begins an item"),
    ("stale results of an anchor", EARLY, "of pass 0 in pass 1"),
    ("epochs in every region", EARLY, "of pass 0 in pass 1"),
    ("all regions in one message", EARLY, "twice|in pass|lost"),
    ("waiting for FENCED", replace(EARLY, stages=(SOURCE, ("K", 2)), passes=3), "in pass"),
]


@pytest.mark.parametrize(("rule", "shape", "wrong"), RULES, ids=[rule for rule, *_ in RULES])
def test_each_rule_for_changes_is_needed(rule: str, shape: Shape, wrong: str) -> None:
    for seed in range(SEARCHED):
        assert not (found := Run(shape, seed).go_on()), f"with all rules, seed {seed}: {found}"
        if found := Run(replace(shape, without=rule), seed).go_on():
            break
    assert any(words in found for words in wrong.split("|")), found or "nothing is wrong"
