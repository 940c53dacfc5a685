"""The holder's side: borrowing, and what arrays over a lease may do."""

from __future__ import annotations

import os
import resource
from typing import Any

import numpy as np
import pytest

from minipipe.errors import WireFormatError
from minipipe.shm import SlotError, SlotPool, SlotReader, SlotRef, find_slot
from tests.conftest import descriptors
from tests.shm.harness import MIB, SIZE, Scene, array_of, borrowed, filled


def test_a_slot_that_was_written_anew_cannot_be_borrowed(
    pool: SlotPool, reader: SlotReader
) -> None:
    slot = filled(pool, 1)
    late = slot.reference()
    slot.release()
    assert filled(pool, 2).reference()[:4] == late[:4]
    assert reader.borrow(late) is None


def test_a_slot_whose_memory_was_given_back_cannot_be_borrowed(
    pool: SlotPool, reader: SlotReader
) -> None:
    first, second = filled(pool, 1), filled(pool, 2)
    lease = reader.borrow(second.reference())
    assert lease is not None
    late = first.reference()
    first.release()
    pool.tend(1e9)
    assert reader.borrow(late) is None
    lease.release()


def test_a_reference_to_something_else_cannot_be_borrowed(
    pool: SlotPool, reader: SlotReader
) -> None:
    ref = filled(pool, 1).reference()
    assert reader.borrow(ref._replace(arena=5)) is None
    assert reader.borrow(ref._replace(arena=5, fd=0)) is None
    assert reader.borrow(ref._replace(arena=5, fd=9999)) is None
    assert reader.borrow(ref._replace(arena=5, pid=2**22 + 1)) is None
    assert reader.borrow(ref._replace(slot=9999)) is None


def test_a_reader_that_tried_too_late_holds_nothing(pool: SlotPool, reader: SlotReader) -> None:
    slot = filled(pool, 1)
    assert reader.borrow(slot.reference()._replace(generation=99)) is None
    slot.release()
    assert filled(pool, 2).address == slot.address


def test_borrowing_twice_is_one_lease_that_ends_with_the_last_use(
    pool: SlotPool, reader: SlotReader
) -> None:
    slot = filled(pool, 1)
    first, second = reader.borrow(slot.reference()), reader.borrow(slot.reference())
    assert first is not None and first is second
    slot.release()
    first.release()
    assert filled(pool, 2).address != slot.address
    second.release()
    assert filled(pool, 3).address == slot.address


def test_ordinary_arrays_are_read_only(scene: Scene) -> None:
    array = array_of(borrowed(scene))
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 1
    with pytest.raises(ValueError, match="WRITEABLE"):
        array.flags.writeable = True


def test_the_sole_holder_may_write_in_place(scene: Scene) -> None:
    lease = borrowed(scene)
    array = array_of(lease, access="write")
    array[:] = 3
    place = find_slot(array)
    assert place is not None and place.held is lease
    assert set(lease.array("u1", (SIZE,)).tobytes()) == {3}


@pytest.mark.parametrize(
    "wanted",
    [
        {"offset": 10 * MIB},
        {"offset": -1},
        {"shape": (10 * MIB,)},
        {"shape": (-1,)},
        {"shape": (2**62, 2**62)},
        {"shape": (10,), "strides": (-1,)},
        {"shape": (10,), "strides": (MIB,)},
        {"shape": (10, 10), "strides": (1,)},
        {"dtype": object, "shape": (10,)},
        {"offset": 2**70},
        {"shape": (1,), "strides": (2**70,)},
        {"shape": (1,) * 65},
        {"shape": (0, 2**62, 2**62)},
    ],
    ids=str,
)
def test_an_array_that_does_not_fit_its_slot_is_refused(
    scene: Scene, wanted: dict[str, Any]
) -> None:
    lease = borrowed(scene)
    with pytest.raises(WireFormatError, match="no array of"):
        lease.array(**{"dtype": np.uint8, "shape": (SIZE,), **wanted})
    lease.release()


def test_a_place_is_found_only_for_what_lies_in_a_slot(scene: Scene) -> None:
    lease = borrowed(scene)
    array = array_of(lease)
    place = find_slot(np.frombuffer(array.data[8:], np.int16)[::-2])
    assert place is not None
    assert (place.held, place.offset) == (lease, SIZE - 2)
    assert find_slot(np.zeros(SIZE)) is None
    assert find_slot(array[:0]) is None
    assert find_slot(array.copy()) is None
    beyond = np.lib.stride_tricks.as_strided(array, (2,), (MIB,))
    assert find_slot(beyond) is None


def test_arrays_outlive_their_reader(scene: Scene) -> None:
    array = array_of(borrowed(scene))
    scene.reader.close()
    assert set(array.tobytes()) == {7}
    assert find_slot(array) is None


def test_arenas_that_their_owner_has_closed_are_closed_here(
    pool: SlotPool, reader: SlotReader
) -> None:
    before = descriptors()
    slot = filled(pool, 1)
    lease = reader.borrow(slot.reference())
    assert lease is not None
    lease.release()
    slot.release()
    reader.tend()
    assert len(descriptors() - before) == 2
    pool.tend(1e9)
    reader.tend()
    assert descriptors() == before


def test_a_reader_keeps_few_arenas_open_that_it_has_nothing_of(pool: SlotPool) -> None:
    reader = SlotReader(max_arenas=2)
    slots = [filled(pool, 1, size) for size in (SIZE, 2 * SIZE, 4 * SIZE, 8 * SIZE)]
    before = descriptors()
    for slot in slots:
        lease = reader.borrow(slot.reference())
        assert lease is not None
        lease.release()
    assert len(descriptors() - before) == 2
    kept = [reader.borrow(slot.reference()) for slot in slots]
    assert all(kept)  # what is borrowed stays open, however many
    reader.close()
    kept.clear()
    del lease


def test_no_more_descriptors_is_an_error_that_says_so(pool: SlotPool, reader: SlotReader) -> None:
    ref = filled(pool, 1).reference()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.dup(0)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
    try:
        with pytest.raises(SlotError, match="ulimit -n"):
            reader.borrow(ref)
        assert pool.take(8 * MIB) is None
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_reference_survives_its_way_as_a_list() -> None:
    ref = SlotRef(1, 2, 2**63, 4, 5)
    assert SlotRef.read(list(ref)) == ref


@pytest.mark.parametrize(
    "words",
    [None, 5, [], [1] * 4, [1] * 6, [1, 2, 3, 4, -5], [1, 2, 3, 4, 2**64], ["a"] * 5, "abcde"],
)
def test_what_is_no_reference_is_refused(words: object) -> None:
    with pytest.raises(WireFormatError, match="no reference"):
        SlotRef.read(words)
