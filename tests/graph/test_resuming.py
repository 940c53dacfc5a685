"""Which pipelines can go on in the middle of a pass, and how."""

from __future__ import annotations

import threading
from typing import Any

import pytest

import minipipe as mp
from minipipe.errors import StateError
from minipipe.graph.resuming import facts_of, resume_plan
from minipipe.pipeline.state import from_dict, seed_of, to_dict
from minipipe.protocol.run.beginning import Beginning, Progress


def same(x: Any) -> Any:
    return x


def yields(worker: int = 0, n_workers: int = 1) -> Any:
    yield from range(worker, 10, n_workers)


class Keeps:
    def run(self, x: Any) -> Any:
        return x


def graph(*segments: Any) -> Any:
    return mp.PipeLine(list(segments)).build()._graph


NUMBERS = range(10)


def test_behind_stateless_segments_sources_go_past_what_was_delivered() -> None:
    ordered = mp.Transform(same, n_processes=3, ordered=True)
    assert resume_plan(graph(mp.Source(NUMBERS), ordered)).at_source
    for segments in ([], [mp.Transform(same)], [mp.Transform(same), mp.Transform(same)]):
        plan = resume_plan(graph(mp.Source(NUMBERS), *segments))
        assert plan.at_source and plan.in_order and not plan.needs_seed and not plan.why_not
    for several in (mp.Transform(same, n_processes=2), mp.Transform(same, threads=2)):
        plan = resume_plan(graph(mp.Source(NUMBERS), several))
        assert plan.at_source and not plan.in_order and plan.needs_seed
    assert resume_plan(graph(mp.Source(yields))).needs_seed
    several = resume_plan(graph(mp.Source(yields, n_processes=3), mp.Transform(same)))
    assert several.at_source and several.in_order and several.needs_seed


@pytest.mark.parametrize(
    "behind",
    [
        [mp.Batch(3)],
        [mp.Transform(same, n_processes=2, ordered=True), mp.Shuffle(5), mp.Transform(same)],
        [mp.Transform(Keeps())],
        [mp.FlatMap(lambda x: [x, x]), mp.Transform(same, n_processes=2, ordered=True)],
    ],
)
def test_behind_segments_with_state_all_is_done_once_more(behind: list[Any]) -> None:
    plan = resume_plan(graph(mp.Source(NUMBERS), *behind))
    assert not plan.at_source and not plan.why_not and plan.needs_seed


@pytest.mark.parametrize(
    ("segments", "why"),
    [
        ([mp.Transform(same, "load", n_processes=2), mp.Batch(3)], "'load'.* ordered=True"),
        ([mp.Transform(same, "load", threads=2), mp.Batch(3)], "'load'.* ordered=True"),
        ([mp.Batch(3, n_processes=2)], "2 workers of Batch 'Batch' has a state of its own"),
        ([mp.Batch(3), mp.Transform(same, "late", n_processes=2)], "'late'.* ordered=True"),
        (
            [mp.Broadcast([mp.Transform(same, "a"), mp.Transform(same, "b")])],
            "'a' and 'b' put to one stream",
        ),
        ([mp.Sink(print, "save")], "Sink 'save'"),
    ],
)
def test_what_timing_decides_is_refused_and_it_is_said_what_to_do(
    segments: list[Any], why: str
) -> None:
    made = graph(mp.Source(NUMBERS), *segments)
    with pytest.raises(StateError, match=f"in the middle of a pass of this pipeline: .*{why}"):
        to_dict(made, Progress(Beginning(delivered=3)), 7, inline=False)
    between = to_dict(made, Progress(Beginning(pass_=3), is_over=True), 7, inline=False)
    assert from_dict(between, made, inline=False) == (Beginning(3), 7)


def test_messages_that_come_once_are_not_gone_past() -> None:
    source = mp.ZmqSource("ipc:///tmp/messages", "feed", bind=True)
    assert "to ZmqSource 'feed' does not come again" in resume_plan(graph(source)).why_not


def test_flags_and_graphs_without_an_end_that_is_read_are_refused() -> None:
    flagged = mp.Transform(same, "until")
    flagged.set_term_flag(threading.Event())
    assert "'until' has a term flag" in resume_plan(graph(mp.Source(NUMBERS), flagged)).why_not
    a = mp.Stream()
    system = mp.PipeSystem(
        [mp.Source(NUMBERS, downstreams=[a]), mp.Sink(print, "save", upstreams=[a])]
    ).build()
    assert system._graph is not None
    assert "'save'" in resume_plan(system._graph).why_not


def state(seed: int | None = 7, **about: Any) -> tuple[Any, dict[str, Any]]:
    made = graph(mp.Source(NUMBERS, "load"), mp.Transform(same, "work", n_processes=2, batch=2))
    at = Beginning(0, 3, {"load": ((0, 2), (4, 5))}, True, 9)
    return made, {**to_dict(made, Progress(at), seed, inline=False), **about}


def test_a_state_comes_back_as_it_was() -> None:
    made, there = state()
    at = Beginning(0, 3, {"load": ((0, 2), (4, 5))}, True, 9)
    assert from_dict(there, made, inline=False) == (at, 7)


def test_a_state_without_a_seed_is_refused_where_it_is_needed() -> None:
    with pytest.raises(StateError, match=r"without a seed.*pline\.run\(seed=7\)"):
        state(seed=None)
    made, there = state()
    with pytest.raises(StateError, match="without a seed"):
        from_dict({**there, "seed": None}, made, inline=False)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "x"}, "the state is of 'x', version 1, and this pipeline reads 'minipipe pip"),
        ({"version": 2}, "version 2, .*version 1"),
        ({"pass": -1}, "not whole .*-1"),
        ({"delivered": "3"}, "not whole .*'3'"),
        ({"numbers": {"load": [[4, 5], [0, 2]]}}, "not whole"),
        ({"numbers": {"load": [[2, 2]]}}, "not whole"),
        ({"numbers": {"load": [[1]]}}, "not whole"),
        ({"numbers": None}, "not whole"),
        ({"pipeline": [{}]}, "not whole"),
        ({"pipeline": None}, "not whole"),
        ({"inline": True}, "ran inline, and this one runs in worker processes"),
    ],
)
def test_what_is_no_such_state_is_refused(change: dict[str, Any], message: str) -> None:
    made, there = state(**change)
    with pytest.raises(StateError, match=message):
        from_dict(there, made, inline=False)


@pytest.mark.parametrize("name", ["pipeline", "inline", "seed", "pass", "delivered", "numbers"])
def test_a_state_that_was_cut_is_refused(name: str) -> None:
    made, there = state()
    del there[name]
    with pytest.raises(StateError, match=f"not whole .KeyError: '{name}'"):
        from_dict(there, made, inline=False)
    for nonsense in (None, 3, [], {}, "text"):
        with pytest.raises(StateError, match="load_state_dict takes what state_dict"):
            from_dict(nonsense, made, inline=False)


def test_a_state_of_another_pipeline_is_refused_with_both_sides() -> None:
    _, there = state()
    work = mp.Transform(same, "work", n_processes=2, batch=2)
    for segments, message in [
        ([mp.Source(NUMBERS, "load")], "of Source 'load', Transform 'work', and this one has Sou"),
        ([mp.Source(range(11), "load"), work], "Source 'load' has length=10, and .* length=11"),
        ([mp.Source(NUMBERS, "load", epochs=2), work], "'load' has epochs=1, and .*epochs=2"),
        (
            [mp.Source(NUMBERS, "load"), mp.Transform(same, "work", batch=4)],
            "'work' has batch=2, and that of this one has batch=4",
        ),
        (
            [mp.Source(NUMBERS, "load"), mp.Transform(Keeps(), "work")],
            "'work' has batch=2, and that of this one has batch=None",
        ),
    ]:
        with pytest.raises(StateError, match=message):
            from_dict(there, graph(*segments), inline=False)
    more = mp.Transform(same, "work", n_processes=5, batch=2)  # which changes no number
    from_dict(there, graph(mp.Source(NUMBERS, "load"), more), inline=False)


def test_parameters_of_regulators_are_part_of_the_pipeline() -> None:
    assert facts_of(graph(mp.Source(NUMBERS), mp.Shuffle(8, seed=3)))[1] == {
        "segment": "Shuffle 'Shuffle'",
        "n_processes": 1,
        "fed by": "'Source'",
        "buffer": 8,
        "seed": 3,
    }


def test_another_seed_is_refused() -> None:
    assert seed_of(None, 7) == seed_of(7, 7) == 7
    with pytest.raises(StateError, match=r"with seed=7, and this one is to have seed=8"):
        seed_of(8, 7)
