"""What is kept for long keeps nothing else: arrays that came side by side in one slot."""

from __future__ import annotations

from collections import OrderedDict, namedtuple
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from minipipe.regulators.apart import apart
from minipipe.regulators.shuffle import Shuffling
from minipipe.segments.markers import EndOfStream
from minipipe.shm import Borrowed, SlotPool, SlotReader, find_slot, supported

Point = namedtuple("Point", "x y")
PART = 40_000


@dataclass
class Digit:
    image: Any


class Slots:
    """A process that gets parcels of ten arrays each."""

    def __init__(self) -> None:
        self.pool, self.reader = SlotPool(1 << 28), SlotReader()
        self.under_way: list[Borrowed] = []

    def arrays(self, first: int = 0) -> list[Any]:
        slot = self.pool.take(10 * PART)
        assert slot is not None
        np.frombuffer(slot.memory, np.uint8).reshape(10, PART)[:] = np.arange(
            first, first + 10, dtype=np.uint8
        )[:, None]
        lease = self.reader.borrow(slot.reference())
        assert lease is not None
        slot.release()
        self.under_way.append(Borrowed(self.reader, lease))
        offsets = [part * PART for part in range(10)]
        return list(self.under_way[-1].slices(np.dtype(np.uint8), PART, offsets))

    def worked_off(self) -> None:
        while self.under_way:
            self.under_way.pop().release()

    def held_bytes(self) -> int:
        self.reader.drain()
        self.pool.tend(1e9)
        self.pool.tend(2e9)
        return self.pool.warm_bytes


@pytest.fixture
def slots() -> Iterator[Slots]:
    if not supported():
        pytest.skip("shared memory slots do not work here")
    made = Slots()
    yield made
    made.reader.close()
    made.pool.close()


def test_arrays_beside_others_are_copied_in_whatever_holds_them(slots: Slots) -> None:
    arrays = slots.arrays()
    item = {"a": arrays[1], "b": (Point(arrays[2].reshape(4, -1).T, 5), ["text", arrays[3]])}
    own = apart(item)
    assert set(own["a"]) == {1} and type(own["b"][0]) is Point and own["b"][0].y == 5
    assert (own["b"][0].x == 2).all() and own["b"][0].x.flags.f_contiguous
    assert own["b"][1][0] == "text" and set(own["b"][1][1]) == {3}
    for array in (own["a"], own["b"][0].x, own["b"][1][1]):
        assert find_slot(array) is None
    del arrays, item, array
    slots.worked_off()
    assert slots.held_bytes() == 0


def test_what_keeps_nothing_else_stays_the_very_same(slots: Slots) -> None:
    whole = slots.pool.empty(100_000, np.uint8)
    array = slots.arrays()[0]
    for item in (
        *(5, "text", None, [], (1, [np.zeros(5)]), whole, {"a": whole}),
        *(Digit(array), OrderedDict(a=array)),
    ):
        assert apart(item) is item
    slots.worked_off()


def test_a_shuffle_buffer_holds_its_items_and_not_their_messages(slots: Slots) -> None:
    shuffling = Shuffling(buffer=30, seed=1).run()
    next(shuffling)
    seen = []

    def took(item: Any) -> None:
        if item is not None:
            seen.append(int(item[0][0]))
            assert set(item[0]) == {seen[-1]}
            assert next(shuffling) is None

    for parcel in range(20):
        for number, array in enumerate(slots.arrays(10 * parcel)):
            took(shuffling.send((array, number)))
        del array
        slots.worked_off()
        assert slots.held_bytes() == 0
    item = shuffling.throw(EndOfStream())
    while item is not None:
        seen.append(int(item[0][0]))
        item = next(shuffling, None)
    assert sorted(seen) == list(range(200))
