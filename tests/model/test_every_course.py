"""Every course of events of the smallest regions; and that each rule left out is found.

The larger shapes take minutes: MINIPIPE_EXHAUSTIVE=1.
"""

from __future__ import annotations

import os

import pytest

from tests.model.region import Shape, without
from tests.model.search import search

SMALL = {
    "a worker, a receiver": Shape(),
    "declared dead in error": Shape(kills=0, falsely=1),
    "two receivers share": Shape(receivers=2, drops=False),
    "function Sinks": Shape(functions=True, drops=False),
    "function Sinks behind a sender": Shape(functions=True, workers=0, receivers=2),
    "in order": Shape(ordered=True),
    "two items in order": Shape(items=2, ordered=True, drops=False),
}
LARGE = {
    "two receivers share, drops": Shape(receivers=2),
    "two receivers, declared dead in error": Shape(receivers=2, drops=False, kills=0, falsely=1),
    "two workers": Shape(workers=2),
    "two function Sinks": Shape(functions=True, receivers=2, drops=False),
    "two items in order, drops": Shape(items=2, ordered=True),
    "a switch": Shape(receivers=2, fork="switch"),
    "two items": Shape(items=2, drops=False),
    "two deaths": Shape(kills=2, drops=False),
}
if os.environ.get("MINIPIPE_EXHAUSTIVE"):
    SMALL |= LARGE


@pytest.mark.parametrize("shape", SMALL.values(), ids=list(SMALL))
def test_no_course_of_events_breaks_the_contract(shape: Shape) -> None:
    found = search(shape)
    assert not found.wrong, "\n".join([found.wrong, *map(str, found.course)])
    assert found.ends


@pytest.mark.parametrize(
    ("rule", "shape", "wrong"),
    [
        ("epochs of items", Shape(receivers=2, drops=False), "twice"),
        ("epochs, repeats dropped instead", Shape(receivers=2, drops=False), "twice"),
        ("waiting for FENCED", Shape(receivers=2, drops=False), "twice"),
        ("waiting for FENCE", Shape(functions=True, drops=False), "deadlock"),
        ("epochs of drops", Shape(workers=2), "after CLOSE"),
        ("held", Shape(functions=True, receivers=2, drops=False), "twice"),
        ("promised mask", Shape(receivers=2, fork="switch", drops=False), "deadlock|two choices"),
    ],
)
def test_each_rule_is_needed(rule: str, shape: Shape, wrong: str) -> None:
    found = search(without(shape, rule))
    assert any(word in found.wrong for word in wrong.split("|")), found
