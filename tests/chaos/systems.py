"""Pipelines that are no lines: branches that meet again, and loops."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import minipipe as mp
from tests.chaos.functors import Item, Load, Pairs, Rounds

if TYPE_CHECKING:
    from tests.chaos.plan import Flow, Plan


def both(item: Item) -> tuple[Item, Item]:
    """For a fork: the item for each branch."""
    return item, item


def joined(plan: Plan, load: Load, flow: Flow, lives: dict[str, Any]) -> mp.PipeSystem:
    """A fork, a function in each branch, and a join of the parts of each item."""
    start, left, right, of_left, of_right, out = (mp.Stream(name) for name in "abcdef")
    workers = plan.rng.randint(1, 3)
    plan.words.append(f"-> fork x{workers}")
    plan.mortal.add("fork")
    options: dict[str, Any] = {"n_processes": workers, "on": plan.places(True), **lives}
    fork = mp.Transform(both, "fork", start, [left, right], **options)
    first, by_left = plan.function(flow, upstreams=left, downstreams=of_left)
    second, by_right = plan.function(flow, upstreams=right, downstreams=of_right)
    join = mp.Transform(Pairs(), "join", [of_left, of_right], out, on=plan.places(False))
    plan.words.append("-> join")
    met = flow.unordered(sorted(set(by_left.keys) & set(by_right.keys)))
    source = mp.Source(load, "load", start, on=plan.places(False))
    return mp.PipeSystem([source, fork, first, second, join, plan.sink(met, upstreams=out)])


def looped(plan: Plan, load: Load, flow: Flow) -> mp.PipeSystem:
    """A loop that each item leaves when one of its workers has seen it twice, and a function."""
    enter, out, passed = (mp.Stream(name) for name in "abc")
    workers = plan.rng.randint(1, 3)
    plan.words.append(f"-> loop x{workers}")
    rounds = mp.Transform(
        Rounds(), "rounds", enter, [enter, out], n_processes=workers, on=plan.places(False)
    )
    function, behind = plan.function(flow.unordered(flow.keys), upstreams=out, downstreams=passed)
    sink = plan.sink(behind.unordered(behind.keys), upstreams=passed)
    return mp.PipeSystem(
        [mp.Source(load, "load", enter, on=plan.places(False)), rounds, function, sink]
    )
