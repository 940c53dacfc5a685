"""Every segment with state sees every item exactly once, whoever dies whenever."""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

import minipipe as mp
from minipipe.graph import Graph, Part, line_graph, system_graph
from minipipe.protocol.delivery.recovery import Recovery
from minipipe.stream import Inlet, Role
from minipipe.worker import emit
from tests.process.functors import Collect, both, same, streams
from tests.world.world import World

COUNT = 30
# `make test` takes a few courses of events of each shape, and MINIPIPE_SEEDS as many as wanted.
SEEDS = int(os.environ.get("MINIPIPE_SEEDS", "6"))
LIVES: dict[str, Any] = {"max_restarts": 10**6}


def line(*segments: mp.Segment | mp.Broadcast) -> Graph:
    return line_graph([Part(s) for s in segments])


def function(f: Callable[..., Any], name: str, workers: int = 2, **options: Any) -> mp.Transform:
    return mp.Transform(f, name, n_processes=workers, **LIVES, **options)


def keep(name: str = "keep", workers: int = 1, **options: Any) -> mp.Sink:
    return mp.Sink(Collect(), name, n_processes=workers, **options)


def source(count: int = COUNT, **options: Any) -> mp.Source:
    return mp.Source(range(count), "s", **options)


class Add:
    """An object that gives each item with the number of items that it has seen before."""

    def __init__(self) -> None:
        self.seen = 0

    def run(self, x: int) -> tuple[int, int]:
        self.seen += 1
        return x, self.seen


def odd_or_even(x: int) -> tuple[int | None, int | None]:
    return (x, None) if x % 2 else (None, x)


def not_thirds(x: int) -> int | None:
    return x if x % 3 else None


# ------------------------------------------------------------------ shapes, and what comes of them
ALL = list(range(COUNT))


def shared() -> tuple[Graph, dict[str, list[Any]]]:
    return line(source(), function(same, "a"), function(same, "b", 3), keep(workers=3)), {
        "keep": ALL
    }


def one_of_each() -> tuple[Graph, dict[str, list[Any]]]:
    return line(source(), function(same, "a", 1), keep()), {"keep": ALL}


def dropping() -> tuple[Graph, dict[str, list[Any]]]:
    graph = line(source(), function(not_thirds, "a", 3), function(same, "b"), keep(workers=2))
    return graph, {"keep": [x for x in ALL if x % 3]}


def behind_an_object() -> tuple[Graph, dict[str, list[Any]]]:
    adds = mp.Transform(lambda x: (x[0], x[1] > 0), "b", n_processes=2, **LIVES)
    parts = (source(), function(same, "a"), mp.Transform(Add(), "o"), adds, keep())
    return line(*parts), {"keep": [(x, True) for x in ALL]}


def batched() -> tuple[Graph, dict[str, list[Any]]]:
    parts = (source(), function(same, "a"), mp.Batch(4), mp.Unbatch(), function(int, "b"), keep())
    return line(*parts), {"keep": ALL}


def batches_of(items: list[int], size: int = 4) -> list[list[int]]:
    """What a batch has of these items, whoever dies: those of its numbers that are left."""
    dealt = [[x for x in items if x // size == n] for n in range(-(-COUNT // size))]
    return [batch for batch in dealt if batch]


def batched_where_made() -> tuple[Graph, dict[str, list[Any]]]:
    batches = function(same, "b", 3, batch=4, collate=list)
    return line(source(), batches, function(list, "c"), keep(workers=2)), {"keep": batches_of(ALL)}


def bundled() -> tuple[Graph, dict[str, list[Any]]]:
    batches = function(same, "b", 3, batch=4, collate=list)
    graph = line(source(), function(not_thirds, "a"), function(same, "a2"), batches, keep())
    return graph, {"keep": batches_of([x for x in ALL if x % 3])}


class Same:
    """An object that passes items on."""

    def run(self, x: int) -> int:
        return x


def bundled_for_an_object() -> tuple[Graph, dict[str, list[Any]]]:
    batches = mp.Transform(Same(), "o", batch=4, collate=list)
    parts = (source(), function(not_thirds, "a"), batches, function(list, "c"), keep())
    return line(*parts), {"keep": batches_of([x for x in ALL if x % 3])}


def bundled_broadcast() -> tuple[Graph, dict[str, list[Any]]]:
    branches = [
        [function(not_thirds, "a"), function(same, "b", batch=4, collate=list), keep("k0")],
        [function(same, "c", 3, batch=4, collate=list, ordered=True), keep("k1")],
    ]
    graph = line(source(), mp.Broadcast(branches))
    return graph, {"k0": batches_of([x for x in ALL if x % 3]), "k1": batches_of(ALL)}


def broadcast_behind() -> tuple[Graph, dict[str, list[Any]]]:
    branches = [keep("k0"), [function(same, "b"), keep("k1", 2)], keep("k2", 2)]
    graph = line(source(), function(same, "a", 3), mp.Broadcast(branches))
    return graph, {"k0": ALL, "k1": ALL, "k2": ALL}


def broadcast_before() -> tuple[Graph, dict[str, list[Any]]]:
    branches = [[function(same, "a"), keep("k0")], [function(not_thirds, "b"), keep("k1", 2)]]
    return line(source(), mp.Broadcast(branches)), {"k0": ALL, "k1": [x for x in ALL if x % 3]}


def broadcast_behind_broadcast() -> tuple[Graph, dict[str, list[Any]]]:
    inner = mp.Broadcast([keep("k1"), keep("k2")])
    branches = [keep("k0"), [function(same, "b"), inner]]
    return line(source(), function(same, "a"), mp.Broadcast(branches)), {
        "k0": ALL,
        "k1": ALL,
        "k2": ALL,
    }


def merged() -> tuple[Graph, dict[str, list[Any]]]:
    branches = [function(same, "a"), function(same, "b", 1)]
    return line(source(), mp.Broadcast(branches), function(same, "c"), keep()), {
        "keep": sorted(ALL + ALL)
    }


def switched() -> tuple[Graph, dict[str, list[Any]]]:
    a, b, c, d = streams(4)
    graph = system_graph(
        [
            source(downstreams=a),
            function(odd_or_even, "switch", 2, upstreams=a, downstreams=[b, c]),
            function(same, "f", 2, upstreams=c, downstreams=d),
            keep("odd", upstreams=b),
            keep("even", 2, upstreams=d),
        ]
    )
    return graph, {"odd": ALL[1::2], "even": ALL[::2]}


def to_both() -> tuple[Graph, dict[str, list[Any]]]:
    a, b, c, d = streams(4)
    graph = system_graph(
        [
            source(downstreams=a),
            function(both, "fork", 2, upstreams=a, downstreams=[b, c]),
            function(not_thirds, "f", 2, upstreams=c, downstreams=d),
            keep("k0", 2, upstreams=b),
            keep("k1", upstreams=d),
        ]
    )
    return graph, {"k0": ALL, "k1": [x for x in ALL if x % 3]}


def nested() -> tuple[Graph, dict[str, list[Any]]]:
    """A switch in a switch, whose outputs cross."""
    a, b, c, d, e = streams(5)
    graph = system_graph(
        [
            source(downstreams=a),
            function(both, "one", 2, upstreams=a, downstreams=[b, c]),
            function(odd_or_even, "two", 2, upstreams=b, downstreams=[d, e]),
            function(odd_or_even, "three", 1, upstreams=c, downstreams=[e, d]),
            keep("k0", 2, upstreams=d),
            keep("k1", upstreams=e),
        ]
    )
    return graph, {"k0": ALL, "k1": ALL}


def joined(f: Callable[[int], Any] = same) -> tuple[Graph, dict[str, list[Any]]]:
    a, b, c, d, e, out = streams(6)
    graph = system_graph(
        [
            source(downstreams=a),
            function(both, "fork", 2, upstreams=a, downstreams=[b, c]),
            function(f, "f", 2, upstreams=b, downstreams=d),
            function(same, "g", 2, upstreams=c, downstreams=e),
            mp.Transform(lambda x, y: (x, y), "join", [d, e], out),
            keep(upstreams=out),
        ]
    )
    return graph, {"keep": [(x, x) for x in ALL if f(x) is not None]}


def joined_with_tombstones() -> tuple[Graph, dict[str, list[Any]]]:
    return joined(not_thirds)


def several_sources() -> tuple[Graph, dict[str, list[Any]]]:
    a, b, c = streams(3)
    graph = system_graph(
        [
            source(downstreams=a),
            mp.Source([100 + x for x in ALL], "t", b),
            function(same, "f", 2, upstreams=a, downstreams=b),
            function(same, "g", 2, upstreams=b, downstreams=c),
            keep(workers=2, upstreams=c),
        ]
    )
    return graph, {"keep": ALL + [100 + x for x in ALL]}


def two_regions() -> tuple[Graph, dict[str, list[Any]]]:
    parts = (source(), function(same, "a"), mp.Shuffle(5, seed=1), function(same, "b"), keep())
    return line(*parts), {"keep": ALL}


_attempts: Counter[int] = Counter()


def first_left_then_right(x: int) -> tuple[int | None, int | None]:
    """A switch that chooses otherwise at each attempt."""
    _attempts[x] += 1
    return [(x, None), (None, x), (x, x)][_attempts[x] % 3]


def masks_that_arrive(seed: int, patch: pytest.MonkeyPatch) -> dict[int, set[Any]]:
    """Of each item, which choices of a switch that changes its mind receivers have seen."""
    a, b, c, d = streams(4)
    _attempts.clear()
    graph = system_graph(
        [
            source(downstreams=a),
            function(first_left_then_right, "switch", 2, upstreams=a, downstreams=[b, c]),
            function(same, "f", 2, upstreams=c, downstreams=d),
            keep("k0", 2, upstreams=b),
            keep("k1", upstreams=d),
        ]
    )
    seen: dict[int, set[Any]] = {}
    arrived = Inlet.arrived

    def note(inlet: Inlet, parcel: Any) -> None:
        if inlet.spec.role is Role.STATEFUL and parcel.epoch >= inlet.epoch:
            for run in parcel.runs:
                for number in range(*run):
                    seen.setdefault(number, set()).add(parcel.path[0][1])
        arrived(inlet, parcel)

    with patch.context() as patched:
        patched.setattr(Inlet, "arrived", note)
        World(graph, seed, kills=9, kill_rate=(0.005, 0.02, 0.05)[seed % 3]).run()
    return seen


@pytest.mark.parametrize("seed", range(SEEDS))
def test_what_arrives_of_an_item_is_of_one_choice(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = masks_that_arrive(seed, monkeypatch)
    assert all(len(masks) == 1 for masks in seen.values())


SHAPES = [
    one_of_each,
    shared,
    dropping,
    behind_an_object,
    batched,
    batched_where_made,
    bundled,
    bundled_for_an_object,
    bundled_broadcast,
    broadcast_behind,
    broadcast_before,
    broadcast_behind_broadcast,
    merged,
    switched,
    to_both,
    nested,
    joined,
    joined_with_tombstones,
    several_sources,
    two_regions,
]


@pytest.mark.parametrize("shape", [broadcast_before, broadcast_behind_broadcast])
def test_what_is_broadcast_to_workers_of_another_host_crosses_once(shape: Any) -> None:
    graph, _ = shape()
    world = World(graph, 2, hosts=2)
    world.run()
    assert any(gateway.received_by > gateway.crossed for gateway in world.gateways)


def outcome(shape: Callable[[], tuple[Graph, Any]], seed: int, **options: Any) -> tuple[Any, Any]:
    """What every segment with state has got, and what it should have."""
    graph, expected = shape()
    limit = options.pop("limit", 60_000)
    world = World(graph, seed, **options)
    world.run(limit)
    got = {n: sorted(x for items in found for x in items) for n, found in world.results.items()}
    return got, {name: sorted(items) for name, items in expected.items()}


@pytest.mark.parametrize("seed", range(SEEDS))
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.__name__)
def test_every_item_is_seen_exactly_once_whoever_dies(shape: Any, seed: int) -> None:
    rate = (0.001, 0.005, 0.02)[seed % 3]
    options = {"kills": 1 + seed % 7, "falsely": seed % 2, "hosts": 1 + seed % 3}
    got, expected = outcome(shape, seed, kill_rate=rate, **options)
    assert got == expected


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.__name__)
def test_every_item_is_seen_exactly_once_when_nobody_dies(shape: Any) -> None:
    got, expected = outcome(shape, 0)
    assert got == expected


# ------------------------------------------------------------------ function Sinks
def recorded(seed: int, *before: Any, kinds: int = 1) -> None:
    """Function Sinks that live see an item at most once, and somebody sees each of them."""
    seen: list[tuple[threading.Thread, int]] = []

    def record(x: int) -> None:
        seen.append((threading.current_thread(), x))

    sinks = [mp.Sink(record, f"k{i}", n_processes=2, **LIVES) for i in range(kinds)]
    end = sinks[0] if kinds == 1 else mp.Broadcast([*sinks, keep("k")])
    world = World(line(source(), *before, end), seed, kills=1 + seed % 7, kill_rate=0.01)
    world.run()
    living = {worker.thread for worker in world.workers.values() if not worker.died}
    by_living = Counter(x for thread, x in seen if thread in living)
    by_anybody = Counter(x for _, x in seen)
    assert set(by_anybody) == set(ALL)
    assert max(by_living.values(), default=0) <= kinds
    if kinds > 1:
        assert min(by_anybody.values()) >= kinds
        assert sorted(x for items in world.results["k"] for x in items) == ALL


@pytest.mark.parametrize("seed", range(SEEDS))
def test_function_sinks_behind_workers(seed: int) -> None:
    recorded(seed, function(same, "a", 2))


@pytest.mark.parametrize("seed", range(SEEDS))
def test_function_sinks_behind_a_source(seed: int) -> None:
    recorded(seed)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_function_sinks_beside_an_object(seed: int) -> None:
    recorded(seed, function(same, "a", 2), kinds=2)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_objects_that_may_be_restarted(seed: int) -> None:
    """Their state goes with them; what they have passed on is there exactly once."""
    again = mp.Transform(Add(), "o", n_processes=2, restart=True, **LIVES)
    graph = line(source(), again, mp.Transform(lambda x: x[0], "b"), keep())
    world = World(graph, seed, kills=5, kill_rate=0.01)
    world.run()
    assert sorted(world.results["keep"][0]) == ALL


# ------------------------------------------------------------------ what each rule is for
def fails(shapes: list[Any], seeds: range) -> bool:
    """Whether a course of events ends with a loss, a duplicate, a deadlock or a wrong state."""
    for seed in seeds:
        for shape in shapes:
            rate = (0.005, 0.02, 0.05)[seed % 3]
            try:
                got, expected = outcome(shape, seed, kills=9, kill_rate=rate, limit=20_000)
            except (AssertionError, ValueError, KeyError):
                return True
            if got != expected:
                return True
    return False


def test_without_epochs_items_arrive_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Inlet, "fence", lambda inlet, epoch: None)
    monkeypatch.setattr(Inlet, "ready", property(lambda inlet: bool(inlet.queue)))
    assert fails([shared, one_of_each], range(60))


def test_repeats_dropped_by_the_receivers_instead_of_epochs_are_not_enough(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With shared work the repeat of an item goes to another receiver, which has not seen it."""
    seen: dict[int, set[Any]] = {}
    arrived = Inlet.arrived

    def once(inlet: Inlet, parcel: Any) -> None:
        known = seen.setdefault(id(inlet), set())
        identities = {(parcel.origin, n, parcel.path) for run in parcel.runs for n in range(*run)}
        if inlet.spec.role is Role.STATEFUL and identities & known:
            inlet.missed(parcel)
            return
        known |= identities
        arrived(inlet, parcel)

    monkeypatch.setattr(Inlet, "arrived", once)
    monkeypatch.setattr(Inlet, "fence", lambda inlet, epoch: None)
    monkeypatch.setattr(Inlet, "ready", property(lambda inlet: bool(inlet.queue)))
    assert fails([shared], range(100))


def test_a_sender_that_does_not_wait_for_the_receivers_sends_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fence = Recovery.fence
    monkeypatch.setattr(Recovery, "fence", lambda r, epoch, receivers: fence(r, epoch, ()))
    assert fails([shared, switched], range(200))


def test_the_choice_that_a_switch_has_made_must_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(emit, "promised_mask", lambda path, done: None)
    with pytest.raises(AssertionError, match=r"of two choices|does not end"):
        for seed in range(300):
            seen = masks_that_arrive(seed, monkeypatch)
            assert all(len(masks) == 1 for masks in seen.values()), "of two choices"


def test_a_receiver_that_holds_items_must_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Inlet, "held", [])
    with pytest.raises(AssertionError):
        for seed in range(300):
            recorded(seed, function(same, "a", 2))


# ------------------------------------------------------------------ order
def in_order(seed: int, *parts: Any, workers: int = 1, buffer_size: int | None = None) -> None:
    """Each worker of the last segment gets its items ascending, all of them together all items."""
    end = keep(workers=workers, buffer_size=buffer_size)
    world = World(line(source(), *parts, end), seed, kills=seed % 5, kill_rate=0.01)
    world.run()
    for items in world.results["keep"]:
        assert items == sorted(items)
    expected = [x for x in ALL if all(part.functor_obj(x) is not None for part in parts)]
    assert sorted(x for items in world.results["keep"] for x in items) == expected


@pytest.mark.parametrize("seed", range(SEEDS))
@pytest.mark.parametrize("buffer_size", [None, 1, 2])
def test_an_ordered_segment_keeps_order(seed: int, buffer_size: int | None) -> None:
    options = {"ordered": True, "buffer_size": buffer_size}
    in_order(seed, function(same, "a", 3, **options), buffer_size=buffer_size)
    in_order(seed, function(same, "a", 3, **options), workers=2, buffer_size=buffer_size)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_order_survives_what_is_dropped_and_further_segments(seed: int) -> None:
    parts = (function(not_thirds, "a", 3, ordered=True), function(same, "b", 2))
    in_order(seed, *parts)
    in_order(seed, *parts, workers=3)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_order_behind_a_switch_and_a_broadcast(seed: int) -> None:
    a, b, c, d = streams(4)
    graph = system_graph(
        [
            source(downstreams=a),
            function(both, "fork", 3, upstreams=a, downstreams=[b, c], ordered=True),
            function(not_thirds, "f", 2, upstreams=c, downstreams=d),
            keep("k0", 2, upstreams=b),
            keep("k1", upstreams=d),
        ]
    )
    world = World(graph, seed, kills=seed % 5, kill_rate=0.01)
    world.run()
    assert sorted(x for items in world.results["k0"] for x in items) == ALL
    assert world.results["k1"] == [[x for x in ALL if x % 3]]
    assert all(items == sorted(items) for items in world.results["k0"])
    branches = [keep("k0"), [function(same, "b"), keep("k1")]]
    behind = line(source(), function(same, "a", 3, ordered=True), mp.Broadcast(branches))
    world = World(behind, seed, kills=seed % 5, kill_rate=0.01)
    world.run()
    assert world.results == {"k0": [ALL], "k1": [ALL]}


@pytest.mark.parametrize("seed", range(SEEDS))
def test_two_sources_are_each_in_order(seed: int) -> None:
    a, b = streams(2)
    graph = system_graph(
        [
            source(downstreams=a),
            mp.Source([100 + x for x in ALL], "t", a),
            function(same, "f", 3, upstreams=a, downstreams=b, ordered=True),
            keep(upstreams=b),
        ]
    )
    world = World(graph, seed, kills=seed % 5, kill_rate=0.01)
    world.run()
    (items,) = world.results["keep"]
    assert [x for x in items if x < 100] == ALL
    assert [x for x in items if x >= 100] == [100 + x for x in ALL]


def test_without_it_workers_overtake_each_other() -> None:
    for seed in range(100):
        world = World(line(source(), function(same, "a", 3), keep()), seed)
        world.run()
        if world.results["keep"] != [ALL]:
            return
    pytest.fail("the order of the source was kept in every course of events")
