"""Arrays of middle size, side by side in one slot: whole, and nobody's but who got them."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import minipipe as mp
from minipipe.shm import supported
from tests.conftest import wait_until
from tests.process import arrays
from tests.process.arrays import PART, Keep, Look, is_whole, numbered, resident_mb
from tests.process.functors import same

pytestmark = pytest.mark.skipif(not supported(), reason="shared memory slots do not work here")


def parts(count: int) -> Iterator[np.ndarray]:
    return numbered(count, PART)


class KeepSome:
    """A sink that keeps every n-th array, and returns whether those are whole, and their memory."""

    def __init__(self, every: int) -> None:
        self.every = every

    def local_init(self) -> None:
        self.kept: list[tuple[int, np.ndarray]] = []
        self.count = 0

    def run(self, x: np.ndarray) -> None:
        if self.count % self.every == 0:
            self.kept.append((self.count, x.reshape(10, -1)[2:]))  # a view of a view
        self.count += 1

    def local_term(self) -> tuple[int, bool, float]:
        whole = all(is_whole(x, i) for i, x in self.kept)
        return len(self.kept), whole, resident_mb(os.getppid())


class Spoil:
    """Overwrites what it gets, what it has sent, and what it keeps."""

    def local_init(self) -> None:
        self.kept: list[np.ndarray] = []

    def run(self, x: np.ndarray) -> np.ndarray:
        for old in self.kept[-5:]:
            old[:] = 255
        self.kept.append(x)
        return x


class Slots:
    """A sink that returns how many slots its arrays lay in, and how many arrays there were."""

    def local_init(self) -> None:
        self.slots: set[tuple[int, int, int]] = set()
        self.count = 0

    def run(self, x: np.ndarray) -> None:
        from minipipe.shm import find_slot

        self.count += 1
        place = find_slot(x)
        if place is not None:
            held = place.held
            self.slots.add((held.arena.id, held.index, held.generation))

    def local_term(self) -> tuple[int, int]:
        return len(self.slots), self.count


def test_the_arrays_of_a_parcel_share_a_slot_also_when_they_are_passed_on() -> None:
    pline = mp.PipeLine(
        [mp.Source(lambda: parts(3000)), mp.Transform(same), mp.Sink(Slots(), "slots")]
    )
    slots, count = pline.run().close(60)["slots"]
    assert count == 3000 and 0 < slots < 1500


@pytest.mark.parametrize("shared_bytes", [0, 400_000, None])
def test_what_is_kept_stays_whole(shared_bytes: int | None) -> None:
    pline = mp.PipeLine(
        [mp.Source(lambda: parts(2000)), mp.Transform(same), mp.Sink(Keep(), "keep")]
    )
    assert pline.run(shared_bytes=shared_bytes).close(60)["keep"] == (2000, True)
    assert all(is_whole(x, i) for i, x in enumerate(list(mp.PipeLine([mp.Source(parts(500))]))))


@pytest.mark.parametrize("writable", [False, True])
def test_who_keeps_one_array_of_many_keeps_not_the_slots_of_all(writable: bool) -> None:
    """600 MB go by, of which 6 MB are kept; a slot for each would be up to 4 MiB of them."""
    keep = mp.Sink(KeepSome(100), "keep", writable=writable)
    pline = mp.PipeLine([mp.Source(lambda: parts(15_000)), mp.Transform(same), keep])
    count, whole, mb = pline.run(shared_bytes=10**9).close(120)["keep"]
    assert (count, whole) == (150, True)
    base = mp.PipeLine(
        [mp.Source(lambda: parts(15_000)), mp.Transform(same), mp.Sink(KeepSome(10**9), "keep")]
    )
    _, _, without = base.run(shared_bytes=10**9).close(120)["keep"]
    assert mb < without + 120, (mb, without)


def test_an_object_that_writes_to_what_it_sent_changes_nothing_that_others_get() -> None:
    pline = mp.PipeLine(
        [mp.Source(lambda: parts(1000)), mp.Transform(Spoil()), mp.Sink(Keep(), "keep")]
    )
    assert pline.run().close(60)["keep"] == (1000, True)


def test_an_object_behind_a_source_may_write_and_so_may_the_caller() -> None:
    line = [mp.Source(lambda: parts(500)), mp.Sink(Look(write=True), "look")]
    seen = mp.PipeLine(line).run().close(60)["look"]
    assert [(first, writable) for first, _, writable in seen] == [
        (i % 251, True) for i in range(500)
    ]
    kept = []
    for i, x in enumerate(mp.PipeLine([mp.Source(lambda: parts(500)), mp.Transform(same)])):
        assert is_whole(x, i) and x.flags.writeable
        x[:] = 7
        kept.append(x)
    assert all(is_whole(x, 7) for x in kept)


def test_a_function_that_writes_gets_copies_of_its_own() -> None:
    pline = mp.PipeLine([mp.Source(lambda: parts(500)), mp.Transform(arrays.doubled_in_place)])
    assert all((x == i % 251 * 2 % 256).all() for i, x in enumerate(pline))


def test_who_passes_on_little_of_each_slot_passes_on_what_it_got() -> None:
    def one_in_fifty(x: np.ndarray) -> np.ndarray | None:
        return x[5:] if x[0] % 50 == 0 else None

    line = [mp.Source(lambda: parts(20_000)), mp.Transform(one_in_fifty)]
    firsts = mp.PipeLine([*line, mp.Sink(arrays.Firsts(), "firsts")]).run().close(60)["firsts"]
    assert firsts == [i % 251 for i in range(20_000) if i % 251 % 50 == 0]


def test_mixed_items_arrive_as_they_left() -> None:
    def mixed() -> Iterator[Any]:
        for i, x in enumerate(parts(600)):
            yield [x, {"x": x, "y": [x[::2]]}, i, (x.reshape(100, -1).T, "text"), x[:50]][i % 5]

    for i, item in enumerate(mp.PipeLine([mp.Source(mixed), mp.Transform(same)])):
        whole = np.full(PART, i % 251, np.uint8)
        if i % 5 == 1:
            assert (item["x"] == whole).all() and (item["y"][0] == whole[::2]).all()
        elif i % 5 == 2:
            assert item == i
        elif i % 5 == 3:
            assert item[1] == "text" and item[0].shape == (400, 100) and (item[0] == i % 251).all()
        else:
            assert (item == whole[: len(item)]).all()


@pytest.mark.parametrize("segment", ["once", "again"])
def test_each_array_comes_once_and_whole_through_killed_relays(segment: str) -> None:
    count = 8000
    pline = mp.PipeLine(
        [
            mp.Source(lambda: parts(count)),
            mp.Transform(same, "once", n_processes=2, max_restarts=20),
            mp.Transform(lambda x: x[::-1], "again", n_processes=2, max_restarts=20),
            mp.Sink(arrays.Firsts(), "firsts"),
        ]
    )
    pline.run()
    killed = 0
    for part in (1, 2, 3):
        wait_until(
            lambda n=part: pline.stats()["firsts"].items_in > n * count // 5, "some to arrive"
        )
        for worker in pline.stats().workers:
            if worker.segment == segment and worker.state == "running" and worker.pid:
                os.kill(worker.pid, signal.SIGKILL)
                killed += 1
                break
    firsts = pline.close(90)["firsts"]
    assert killed and sorted(firsts) == sorted(i % 251 for i in range(count))


def test_all_of_a_broadcast_see_the_same_copy() -> None:
    branches = [
        mp.Sink(Keep(), "a"),
        mp.Sink(Slots(), "b"),
        mp.Sink(Look(True), "w", writable=True),
    ]
    found = mp.PipeLine([mp.Source(lambda: parts(1000)), mp.Broadcast(branches)]).run().close(60)
    assert found["a"] == (1000, True)
    assert found["b"][0] < 500
    assert [first for first, *_ in found["w"]] == [i % 251 for i in range(1000)]
    assert all(writable for *_, writable in found["w"])  # its own: "a" has seen nothing of it
