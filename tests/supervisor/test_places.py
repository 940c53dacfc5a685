"""Where the workers of a run ask to be, by what their segments and functors are."""

from __future__ import annotations

import logging
import threading

import pytest

import minipipe as mp
from minipipe.graph import Graph, Part, line_graph
from minipipe.protocol.hosts.offer import Offer
from minipipe.protocol.run.placement import Place, Placement
from minipipe.protocol.run.room import Wanted
from minipipe.supervisor.capture import Captured, capture
from minipipe.supervisor.gpus import GpuShare, deal
from minipipe.supervisor.hosting import Hosting
from minipipe.supervisor.places import Places, note_without_hosts

HOSTING = Hosting("tcp://127.0.0.1:0")


class Keeps:
    def run(self, item: int) -> int:
        return item


def graph_of(*segments: mp.Segment) -> Graph:
    return line_graph([Part(mp.Source([1])), *map(Part, segments)])


def captured_of(graph: Graph) -> dict[int, Captured]:
    return {
        s.index: capture(s, s.declared, (), seed=0)
        for s in graph.segments
        if s.declared is not None
    }


def asked(graph: Graph) -> dict[str, list[str]]:
    places = Places(graph, captured_of(graph))
    return {
        s.name: [places.wanted(0, s, index).place for index in range(s.n_processes)]
        for s in graph.segments
    }


def placement_of(graph: Graph, *gpus: str) -> Placement:
    shares = deal(graph, lambda: gpus, hosted=True)
    return Places(graph, captured_of(graph)).placement(HOSTING, shares, lambda: gpus)


def test_each_worker_asks_for_what_its_segment_declares() -> None:
    graph = graph_of(
        mp.Transform(abs, "a", n_processes=2),
        mp.Transform(Keeps(), "b"),
        mp.Transform(abs, "c", on={"gpu": 1, "local": 1}),
        mp.Sink(Keeps(), "d", on="node-7"),
    )
    expected = {"a": ["any", "any"], "b": ["local"], "c": ["gpu", "local"], "d": ["node-7"]}
    assert asked(graph) == {"Source": ["local"], **expected}


def test_the_loop_of_the_caller_is_here() -> None:
    graph = graph_of(mp.Transform(abs, "a"))
    assert graph.caller is not None
    assert asked(graph)[graph.caller.name] == ["local"]


def test_what_has_to_be_inherited_stays_here() -> None:
    lock = threading.Lock()
    graph = graph_of(mp.Transform(lambda item: (item, lock), "a"))
    assert asked(graph)["a"] == ["local"]
    for on in ("any", {"gpu": 1}):
        graph = graph_of(mp.Transform(lambda item: (item, lock), "a", on=on))  # type: ignore[arg-type]
        with pytest.raises(
            mp.StartError, match=r"'a' cannot be pickled.*cannot be inherited there"
        ):
            Places(graph, captured_of(graph))


def test_gpus_of_what_stays_here_are_dealt_out_beforehand() -> None:
    train = mp.Sink(Keeps(), "train", gpus=1)
    graph = graph_of(mp.Transform(abs, "infer", gpus=1, n_processes=2), train)
    shares = deal(graph, lambda: ("0", "1"), hosted=True)
    assert shares == {2: GpuShare(("0", "1"), 1, 0)}
    placement = placement_of(graph, "0", "1")
    placement.joined(Offer("a", 8, ("0",)))
    for index, segment in enumerate(graph.segments[1:3]):
        placement.wants(Places(graph, captured_of(graph)).wanted(index, segment, 0))
    found = placement.passed(0.0)
    assert Place(1, "local", None) in found
    placed = next(one for one in found if one.worker == 0)
    assert placed in (Place(0, "local", "1"), Place(0, "a", "0"))  # (by the cores of this machine)


def test_gpus_that_only_others_can_have_are_no_error_here() -> None:
    assert deal(graph_of(mp.Sink(Keeps(), gpus=1, on="gpu")), tuple, hosted=True) == {}
    with pytest.raises(mp.StartError, match=r"with on='any', or a tag, it may run on a machine"):
        deal(graph_of(mp.Sink(Keeps(), gpus=1)), tuple, hosted=True)


def test_who_is_to_look_for_gpus_looks_only_if_somebody_wants_one() -> None:
    def look() -> tuple[str, ...]:
        raise AssertionError

    graph = graph_of(mp.Transform(abs, "a"))
    placement = Places(graph, captured_of(graph)).placement(HOSTING, {}, look)
    placement.wants(Wanted(1, "a", "any"))
    assert len(placement.passed(0.0)) == 1


def test_without_hosts_it_is_said_that_all_run_here(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "minipipe")
    note_without_hosts(graph_of(mp.Transform(abs, "a", on="any"), mp.Sink(print, on="local")))
    assert not caplog.messages
    note_without_hosts(graph_of(mp.Transform(abs, "a", on="gpu")))
    assert caplog.messages == [
        "all workers run here, as run() has no bind=: on='gpu' of Transform 'a'"
    ]
