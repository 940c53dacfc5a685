"""What hangs around each call of a functor: in every kind of loop, and free if nothing does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

import minipipe as mp
from minipipe.graph import Graph, Part, line_graph
from minipipe.protocol.delivery.paths import Outputs
from minipipe.worker import work
from minipipe.worker.busy_meter import BusyMeter
from minipipe.worker.calls import Calls
from minipipe.worker.hooks import Hook
from minipipe.worker.spec import WorkerSpec
from tests.process.functors import Collect, same
from tests.world.world import World

Seen = list[tuple[str, str, int, int, Outputs]]
COUNT = 8


def recorders(seen: Seen, name: str) -> Sequence[Hook]:
    class Before(Hook):
        def before(self, origin: int, number: int, path: Outputs) -> None:
            seen.append((name, "before", origin, number, path))

    class After(Hook):
        def after(self, origin: int, number: int, path: Outputs) -> None:
            seen.append((name, "after", origin, number, path))

    return Before(), After()


def hooked(monkeypatch: pytest.MonkeyPatch, graph: Graph) -> Seen:
    """What the hooks of all its workers see when a graph runs."""
    seen: Seen = []

    def hooks_of(spec: WorkerSpec) -> Sequence[Hook]:
        return recorders(seen, spec.segment)

    monkeypatch.setattr(work, "hooks_of", hooks_of)
    World(graph, seed=1, attended=0.3).run()
    return seen


def calls_of(seen: Seen, segment: str) -> list[tuple[int, int, Outputs]]:
    """The identities of the items of the calls; each call has a before and then an after."""
    some = [(when, *identity) for name, when, *identity in seen if name == segment]
    befores, afters = some[0::2], some[1::2]
    assert {when for when, *_ in befores} == {"before"}
    assert {when for when, *_ in afters} == {"after"}
    assert [identity for _, *identity in befores] == [identity for _, *identity in afters]
    return [(origin, number, path) for _, origin, number, path in befores]  # type: ignore[misc]


def keep(name: str = "keep") -> mp.Sink:
    return mp.Sink(Collect(), name)


def test_hooks_stand_around_each_call_in_the_hot_loops(monkeypatch: pytest.MonkeyPatch) -> None:
    def not_thirds(x: int) -> int | None:
        return None if x % 3 == 0 else x

    parts = [mp.Source(range(COUNT), "s"), mp.Transform(not_thirds, "a"), keep()]
    seen = hooked(monkeypatch, line_graph([Part(s) for s in parts]))
    numbers = list(range(COUNT))
    source = calls_of(seen, "s")
    (ident,) = {origin for origin, _, _ in source}
    assert source == [(ident, number, ()) for number in [*numbers, COUNT]]  # and the end
    assert calls_of(seen, "a") == [(ident, number, ()) for number in numbers]
    assert calls_of(seen, "keep") == [(ident, number, ()) for number in numbers if number % 3]


def test_hooks_stand_around_each_call_in_the_general_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    batched = [mp.Transform(same, "a"), mp.Batch(4, name="b"), keep("k0")]
    branches = mp.Broadcast([batched, keep("k1")])
    parts = [mp.Source(range(COUNT), "s"), mp.Transform(same, "fork"), branches]
    seen = hooked(monkeypatch, line_graph([Part(s) for s in parts]))
    (ident,) = {origin for origin, _, _ in calls_of(seen, "s")}
    numbers = list(range(COUNT))
    of_a, of_k1 = calls_of(seen, "a"), calls_of(seen, "k1")
    assert [(origin, number) for origin, number, _ in of_a] == [(ident, n) for n in numbers]
    assert {path for *_, path in of_a} != {path for *_, path in of_k1}  # other outputs of the fork
    of_b = calls_of(seen, "b")
    assert {number for _, number, _ in of_b} == set(numbers)


def test_what_a_hook_raises_is_the_failure_of_the_item(monkeypatch: pytest.MonkeyPatch) -> None:
    class Refuses(Hook):
        def before(self, origin: int, number: int, path: Outputs) -> None:
            if number == 3:
                raise KeyError("three")

    monkeypatch.setattr(work, "hooks_of", lambda spec: [Refuses()] if spec.segment == "a" else [])
    parts = [
        mp.Source(range(COUNT), "s"),
        mp.Transform(same, "a", ignore_exceptions=(KeyError,)),
        keep(),
    ]
    world = World(line_graph([Part(s) for s in parts]), seed=1)
    world.run()
    assert world.results["keep"] == [[n for n in range(COUNT) if n != 3]]


def test_a_worker_without_hooks_calls_the_functor_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    functions: list[Any] = []

    def hooked(self: Any, function: Any) -> Any:
        functions.append((function, real(self, function)))
        return functions[-1][1]

    real = Calls.hooked
    monkeypatch.setattr(Calls, "hooked", hooked)
    World(line_graph([Part(s) for s in [mp.Source(range(COUNT), "s"), keep()]]), seed=1).run()
    assert functions
    # Or what times it, for a stride in sixteen where it is quick; nothing else is between.
    timed = [got for given, got in functions if got != given]
    assert all(got.__func__ is BusyMeter._timed for got in timed)
    assert len(timed) < len(functions)
