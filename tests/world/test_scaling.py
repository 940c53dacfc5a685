"""Every segment with state sees every item exactly once, whoever joins, leaves or dies whenever."""

from __future__ import annotations

from typing import Any

import pytest

from tests.world.test_recovery import SEEDS, SHAPES
from tests.world.world import World


def course(shape: Any, seed: int, **options: Any) -> World:
    """A course of events, at whose end all is where it should be."""
    graph, expected = shape()
    world = World(graph, seed, hosts=1 + seed % 2, **options)
    world.run()
    got = {n: sorted(x for items in found for x in items) for n, found in world.results.items()}
    assert got == {name: sorted(items) for name, items in expected.items()}
    return world


@pytest.mark.parametrize("seed", range(SEEDS))
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.__name__)
def test_every_item_is_seen_exactly_once_whoever_joins_and_leaves(shape: Any, seed: int) -> None:
    course(shape, seed, scales=20)


@pytest.mark.parametrize("seed", range(SEEDS))
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.__name__)
def test_and_whoever_dies_meanwhile(shape: Any, seed: int) -> None:
    rate = (0.001, 0.005, 0.02)[seed % 3]
    course(shape, seed, scales=20, kills=1 + seed % 7, kill_rate=rate, falsely=seed % 2)


def test_workers_do_join_and_do_leave() -> None:
    worlds = [course(shape, 0, scales=20) for shape in SHAPES]
    assert sum(world.joined for world in worlds) > 10
    assert sum(world.left for world in worlds) > 5
