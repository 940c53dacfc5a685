"""What a run says of itself arrives as it was, also where versions differ."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from minipipe.observe.bulletin import Bulletin
from minipipe.observe.load import SegmentFacts
from minipipe.protocol.run.stats import RunStats, WorkerStats

unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
counts = st.integers(0, 2**62)
seconds = st.floats(0, 1e9)
workers = st.builds(
    WorkerStats,
    path=st.just(()),
    item=st.none() | counts,
    **{
        field: {"int": counts, "float": seconds, "str": st.text()}[kind]
        for field, kind in WorkerStats.__annotations__.items()
        if kind in ("int", "float", "str")
    },
)
bulletins = st.builds(
    Bulletin,
    st.integers(1, 2**22),
    st.text(),
    seconds,
    st.lists(st.builds(SegmentFacts, st.text(), st.text(), st.booleans())).map(tuple),
    st.none() | counts,
    st.builds(RunStats, st.text(), seconds, st.lists(workers).map(tuple)),
    st.text(),
)


@unhurried
@given(bulletins)
def test_it_arrives_as_it_was(bulletin: Bulletin) -> None:
    assert Bulletin.from_json(bulletin.to_json()) == bulletin


@unhurried
@given(bulletins)
def test_what_another_version_counts_is_passed_over(bulletin: Bulletin) -> None:
    sent = json.loads(bulletin.to_json())
    for worker in sent["stats"]["workers"]:
        worker["new"] = {"a": [1]}
        del worker["wakeups"]
    sent["news"] = 1
    stats = bulletin.stats
    without = tuple(replace(worker, wakeups=0) for worker in stats.workers)
    expected = replace(bulletin, stats=replace(stats, workers=without))
    assert Bulletin.from_json(json.dumps(sent).encode()) == expected


@unhurried
@given(
    st.binary()
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    ).map(lambda value: json.dumps(value).encode())
)
def test_anything_else_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError):
        Bulletin.from_json(text)


@pytest.mark.parametrize("name", ["pid", "stats", "facts", "verdict", "total"])
@pytest.mark.parametrize("value", [None, [3], {"x": 1}])
def test_what_is_damaged_is_refused_or_read(name: str, value: object) -> None:
    worker = WorkerStats("w/0", "w", 1, "running", *([0] * 10), item=None)
    whole = Bulletin(1, "a.py", 0.0, (), None, RunStats("running", 1.0, (worker,)), "")
    sent = json.loads(whole.to_json()) | {name: value}
    try:
        found = Bulletin.from_json(json.dumps(sent).encode())
    except ValueError:
        return
    assert asdict(found)[name] != value or name in ("total", "verdict")
