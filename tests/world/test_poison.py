"""An item is poison after two deaths of its own, whatever else stems from the same item."""

from __future__ import annotations

from typing import Any

import pytest

import minipipe as mp
from minipipe.graph import Graph, system_graph
from tests.process.functors import same, streams
from tests.world.test_recovery import COUNT, SEEDS, batches_of, function, keep, line, source
from tests.world.world import World


def two_of_each(x: int) -> tuple[int, int]:
    return 2 * x, 2 * x + 1


def forked() -> Graph:
    a, b, c, d, e = streams(5)
    return system_graph(
        [
            source(downstreams=a),
            mp.Transform(two_of_each, "fork", a, [b, c], n_processes=2),
            function(same, "left", 1, upstreams=b, downstreams=d),
            function(same, "right", 2, upstreams=c, downstreams=d),
            function(same, "work", upstreams=d, downstreams=e, poison="skip"),
            keep(upstreams=e),
        ]
    )


@pytest.mark.parametrize("seed", range(2 * SEEDS))
def test_each_leaf_of_a_fork_answers_for_its_own_deaths(seed: int) -> None:
    deadly = {14, 15, 20}
    graph = forked()
    world = World(graph, seed, deadly=deadly.__contains__)
    world.run()
    got = sorted(x for items in world.results["keep"] for x in items)
    assert got == [x for x in range(2 * COUNT) if x not in deadly]
    work = next(s.index for s in graph.segments if s.name == "work")
    assert sorted(world.set_aside) == [(work, 7, (0,)), (work, 7, (1,)), (work, 10, (0,))]
    assert world.deaths >= 2 * len(deadly)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_each_subscriber_of_a_broadcast_answers_for_its_own_deaths(seed: int) -> None:
    ways: list[Any] = [function(same, name, poison="skip") for name in ("a", "b")]
    graph = line(source(), mp.Broadcast(ways), function(same, "work", poison="skip"), keep())
    world = World(graph, seed, deadly=lambda x: x == 7)
    world.run()
    got = sorted(x for items in world.results["keep"] for x in items)
    assert got == sorted(2 * [x for x in range(COUNT) if x != 7])
    assert len(world.set_aside) == len(set(world.set_aside)) == 2


@pytest.mark.parametrize("seed", range(SEEDS))
def test_items_of_a_bundle_answer_for_themselves(seed: int) -> None:
    graph = line(
        source(),
        function(same, "a", poison="skip"),
        function(same, "b", 3, poison="skip", batch=4, collate=list),
        keep(),
    )
    world = World(graph, seed, deadly=lambda x: x in (5, 6, 14))
    world.run()
    got = sorted(x for items in world.results["keep"] for x in items)
    assert got == batches_of([x for x in range(COUNT) if x not in (5, 6, 14)])
    assert sorted(number for _, number, _ in world.set_aside) == [5, 6, 14]


@pytest.mark.parametrize("bundled", [{}, {"batch": 4, "collate": list}], ids=["single", "bundled"])
@pytest.mark.parametrize("seed", range(max(2, SEEDS // 2)))
def test_what_was_settled_is_charged_no_more(seed: int, bundled: Any) -> None:
    """Each message names the suspects that are still open, however many there have been."""
    graph = line(source(100), function(same, "work", 2, poison="skip", **bundled), keep())
    world = World(graph, seed, deadly=lambda x: x % 5 == 0)
    world.run(limit=400_000)
    assert len(world.set_aside) == 20
    assert world.crash_suspects < 12
