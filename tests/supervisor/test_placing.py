"""Where the workers of a run ask to be, by what their segments and functors are."""

from __future__ import annotations

import logging
import threading
from dataclasses import replace

import pytest

import minipipe as mp
from minipipe.graph import Graph, Part, line_graph
from minipipe.protocol.run.placement import Place
from minipipe.protocol.run.room import Wanted
from minipipe.supervisor.capture import capture
from minipipe.supervisor.hosting import Hosting
from minipipe.supervisor.hosting_notes import note_next_pass
from minipipe.supervisor.placing import check_places, note_without_hosts, place_in, placement_of
from minipipe.supervisor.run_options import run_options


class Keeps:
    def run(self, item: int) -> int:
        return item


def graph_of(*segments: mp.Segment) -> Graph:
    return line_graph([Part(mp.Source([1])), *map(Part, segments)])


def test_each_worker_asks_for_what_its_segment_declares() -> None:
    graph = graph_of(
        mp.Transform(abs, "a", n_processes=2),
        mp.Transform(Keeps(), "b"),
        mp.Transform(abs, "c", on={"gpu": 1, "local": 1}),
        mp.Transform(abs, "d", on="node-7"),
    )
    asked = {s.name: [place_in(s, i) for i in range(s.n_processes)] for s in graph.segments}
    assert graph.caller is not None
    assert asked == {
        "Source": ["local"],
        "a": ["any", "any"],
        "b": ["local"],
        "c": ["gpu", "local"],
        "d": ["node-7"],
        graph.caller.name: ["local"],
    }


def test_what_has_to_be_inherited_is_no_error_where_it_may_stay() -> None:
    lock = threading.Lock()
    for on in (None, "any", "gpu", {"gpu": 1}):
        graph = graph_of(mp.Transform(lambda item: (item, lock), "a", on=on))
        captured = {s.index: capture(s, s.declared, (), seed=0) for s in graph.segments[:2]}  # type: ignore[arg-type]
        if on in (None, "any"):
            check_places(graph, captured)
            continue
        said = r"is to run on 'gpu', and .*'a' cannot be pickled.*on another machine it cannot"
        with pytest.raises(mp.StartError, match=said):
            check_places(graph, captured)


def test_cores_are_kept_for_those_that_have_to_run_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("minipipe.supervisor.placing.usable_cpus", lambda: 4)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    graph = graph_of(mp.Transform(abs, "a", n_processes=3, gpus=1))  # and Source, and this loop
    placement = placement_of(graph, Hosting("tcp://127.0.0.1:0"))
    for worker in range(3):
        placement.wants(Wanted(worker, "a", "any", 1))
    assert placement.passed(0.0) == [Place(0, "local", "0"), Place(1, "local", "1")]


def test_without_hosts_it_is_said_that_all_run_here(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "minipipe")
    note_without_hosts(graph_of(mp.Transform(abs, "a", on="any"), mp.Sink(print, on="local")))
    assert not caplog.messages
    note_without_hosts(graph_of(mp.Transform(abs, "a", on="gpu")))
    assert caplog.messages == [
        "all workers run here, as run() has no bind=: on='gpu' of Transform 'a'"
    ]


def test_a_second_loop_says_that_other_machines_are_not_in_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    plain = run_options(10.0, None, None, True)
    note_next_pass(None)
    note_next_pass(plain)
    assert not caplog.messages
    note_next_pass(replace(plain, hosting=Hosting("tcp://127.0.0.1:0")))
    (said,) = caplog.messages
    assert said.startswith("this pass runs on this machine only") and "persistent=True" in said
