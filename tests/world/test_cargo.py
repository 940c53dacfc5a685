"""The same courses of events with items of the script's classes, whose definitions travel."""

from __future__ import annotations

from typing import Any

import pytest

import minipipe as mp
from minipipe.graph import Graph
from minipipe.protocol.delivery.recent import Recent
from tests.process.functors import same
from tests.world.cargo import Cargo
from tests.world.test_recovery import (
    ALL,
    SEEDS,
    SHAPES,
    batched,
    function,
    keep,
    line,
    outcome,
    source,
)

OF_ONE_CLASS = [batched]  # a batch is of samples that are alike


def lone_subscribers() -> tuple[Graph, dict[str, list[Any]]]:
    """Who is alone in its segment takes what goes to everybody; who takes its place, too."""
    branches = [[function(same, name, 1), keep(f"k{name}")] for name in "ab"]
    graph = line(source(), mp.Broadcast([*branches, keep("k")]))
    return graph, {"ka": ALL, "kb": ALL, "k": ALL}


@pytest.mark.parametrize("seed", range(SEEDS))
@pytest.mark.parametrize(
    "shape",
    [lone_subscribers, *(shape for shape in SHAPES if shape not in OF_ONE_CLASS)],
    ids=lambda shape: shape.__name__,
)
def test_items_of_a_script_arrive_exactly_once_whoever_dies(
    shape: Any, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # So few are kept that definitions are forgotten and sent again all the time.
    monkeypatch.setattr(Recent.__init__, "__defaults__", (3 + 4 * (seed % 2),))
    rate = (0.001, 0.005, 0.02)[seed % 3]
    options = {"kills": 1 + seed % 7, "kill_rate": rate, "falsely": seed % 2}
    got, expected = outcome(shape, seed, cargo=Cargo(), **options)
    assert got == expected
