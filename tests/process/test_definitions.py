"""Classes of the user's script, where the other end is new, or the classes are."""

from __future__ import annotations

import collections
import dataclasses
import enum
import gc
import os
import signal
import time
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import minipipe as mp
from minipipe.protocol.delivery.recent import LIMIT
from tests.conftest import wait_until
from tests.process.functors import Collect


def classes_of_a_script() -> tuple[Any, Any, Any]:
    """A dataclass, an Enum and a namedtuple that no worker can import."""

    class Kind(enum.Enum):
        EVEN = 0
        ODD = 1

    @dataclasses.dataclass
    class Row:
        number: int
        kind: Kind

    Pair = collections.namedtuple("Pair", ["row", "kind"])
    Pair.__module__ = "__main__"
    return Kind, Row, Pair


def made(count: int, until: str | None = None) -> Callable[[], Iterator[Any]]:
    """A source of items of these classes; waits before the last half for a file to be there."""
    kinds, row, pair = classes_of_a_script()

    def rows() -> Iterator[Any]:
        for number in range(count):
            if number == count // 2 and until is not None:
                while not os.path.exists(until):
                    time.sleep(0.005)
            kind = kinds(number % 2)
            yield pair(row(number, kind), kind)

    return rows


def number_of(pair: Any) -> int:
    """Its number, if it has arrived as what it was."""
    assert pair.row.kind is pair.kind and type(pair.kind)(pair.row.number % 2) is pair.kind
    number: int = pair.row.number
    return number


def confirmed(pline: Any, segment: str) -> int:
    return sum(worker.confirmed for worker in pline.stats().segment(segment))


def items_in(pline: mp.PipeLine, name: str) -> int:
    """What this worker has taken up; nothing if there is no such worker yet."""
    return sum(stats.items_in for stats in pline.stats().workers if stats.worker == name)


class Numbers(Collect):
    """A sink of such items."""

    def run(self, *parts: Any) -> None:
        super().run(number_of(parts[0]))


def test_a_subscriber_that_takes_the_place_of_another_learns_the_classes_of_the_script(
    tmp_path: Any,
) -> None:
    gate = str(tmp_path / "gate")
    branches = [
        [mp.Transform(number_of, "passes"), mp.Sink(Collect(), "a")],
        mp.Sink(Numbers(), "b"),
    ]
    pline = mp.PipeLine([mp.Source(made(40, gate)), mp.Broadcast(branches)]).run()
    wait_until(lambda: items_in(pline, "a") == items_in(pline, "b") == 20, "the first half")
    # What was sent again to the new one alone would bring the definitions.
    # (The Source is in its functor, and will hear of it when it has to.)
    wait_until(lambda: confirmed(pline, "a") == confirmed(pline, "b") == 20, "all confirmed")
    first = pline.stats()["passes"].pid

    os.kill(first, signal.SIGKILL)
    wait_until(lambda: pline.stats()["passes"].pid not in (first, 0), "another worker")
    open(gate, "w").close()

    assert pline.close(60) == {"a": list(range(40)), "b": list(range(40))}


@pytest.mark.parametrize("workers", [1, 2])
def test_a_worker_that_takes_the_place_of_another_learns_the_classes_of_the_script(
    workers: int, tmp_path: Any
) -> None:
    gate = str(tmp_path / "gate")
    passes = mp.Transform(lambda pair: pair, "passes", n_processes=workers)
    pline = mp.PipeLine([mp.Source(made(40, gate)), passes, mp.Sink(Numbers(), "sink")]).run()
    wait_until(lambda: items_in(pline, "sink") == 20, "the first half")

    os.kill(pline.stats().workers[1].pid, signal.SIGKILL)
    open(gate, "w").close()

    assert sorted(pline.close(60)["sink"]) == list(range(40))


class Living:
    """Passes items on, and counts which of their classes are still there."""

    def local_init(self) -> None:
        self.classes: list[weakref.ref[type]] = []

    def run(self, item: Any) -> Any:
        self.classes.append(weakref.ref(type(item)))
        return item

    def local_term(self) -> tuple[int, int]:
        gc.collect()
        return len(self.classes), sum(cls() is not None for cls in self.classes)


def test_classes_that_are_made_over_and_over_are_not_kept() -> None:
    def fresh(number: int) -> Any:
        pair = collections.namedtuple("Pair", ["a", f"b{number}"])
        pair.__module__ = "__main__"
        return pair(number, number)

    class Makes(Living):
        def run(self, item: Any) -> Any:
            return super().run(fresh(item))

    class Ends(Living):
        def run(self, item: Any) -> Any:
            assert item == (item[0], item[0])
            super().run(item)

    count = 12 * LIMIT
    segments = [mp.Source(range(count)), mp.Transform(Makes(), "makes")]
    segments += [mp.Transform(Living(), "passes"), mp.Sink(Ends(), "ends")]
    results = mp.PipeLine(segments).run().close(120)

    for name in ("makes", "passes", "ends"):
        seen, living = results[name]
        assert seen == count
        # The most recent ones of one connection, and what was under way.
        assert living <= 3 * LIMIT, name
