"""Arrays of a slot that somebody keeps: what they cost, and that they stay as they are."""

from __future__ import annotations

import gc
import threading
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from minipipe.errors import WireFormatError
from minipipe.shm import Borrowed, SlotPool, SlotReader, find_slot, kept
from minipipe.shm import borrowed as borrowed_module
from minipipe.shm.mapping import PAGE_BYTES
from minipipe.shm.view import Array
from tests.shm.harness import KIB, MIB, Neighbour, Scene, filled

BYTES = np.dtype(np.uint8)
PART = 64 * KIB
PARTS = 16


def parcel(pool: SlotPool, reader: SlotReader, value: int, parts: int = PARTS) -> Borrowed:
    """A parcel's slot of arrays full of value, value + 1, ... as a consumer has it."""
    slot = pool.take(parts * PART)
    assert slot is not None
    whole = np.frombuffer(slot.memory, np.uint8).reshape(parts, PART)
    for part in range(parts):
        whole[part] = (value + part) % 256
    lease = reader.borrow(slot.reference())
    assert lease is not None
    slot.release()
    return Borrowed(reader, lease)


def slices(borrowed: Borrowed) -> list[Array]:
    count = borrowed.size_bytes // PART
    return borrowed.slices(BYTES, PART, [part * PART for part in range(count)])


def shielded(borrowed: Borrowed) -> list[Array]:
    count = borrowed.size_bytes // PART
    return borrowed.shielded(BYTES, PART, [part * PART for part in range(count)])


def held_bytes(pool: SlotPool) -> int:
    """What the pool finds that somebody counts on."""
    pool.tend(1e9)
    pool.tend(2e9)
    return pool.warm_bytes


def test_a_parcel_is_one_count_and_its_arrays_hold_the_slot(
    pool: SlotPool, reader: SlotReader
) -> None:
    borrowed = parcel(pool, reader, 1)
    arrays = slices(borrowed)
    assert [set(array) for array in arrays] == [{1 + part} for part in range(PARTS)]
    assert not arrays[0].flags.writeable
    assert borrowed.lease.count == 2  # the parcel, and one view for all
    borrowed.release()
    assert held_bytes(pool) == MIB
    del arrays
    reader.drain()
    assert held_bytes(pool) == 0


def test_a_slice_is_found_in_its_slot_and_so_is_what_is_made_of_it(
    pool: SlotPool, reader: SlotReader
) -> None:
    borrowed = parcel(pool, reader, 1)
    array = slices(borrowed)[3]
    place = find_slot(array)
    assert place is not None and (place.held, place.offset) == (borrowed.lease, 3 * PART)
    part = find_slot(array.reshape(64, -1)[2:, ::2].T)
    assert part is not None and part.offset == 3 * PART + 2 * 1024
    assert part.strides == (2, 1024) and part.shape == (512, 62)
    # A slice that is gone tells nothing of another one in its place.
    again = borrowed.slices(BYTES, 10, [5])[0]
    place = find_slot(again)
    assert place is not None and place.offset == 5
    borrowed.release()


@pytest.mark.parametrize(
    ("length", "offset"),
    [
        (PART, PARTS * PART - 1),
        (1, -1),
        (-2, 0),
        (2**62, 0),
        (1, 2**63),
        (MIB + 1, 0),
        (0, 2 * MIB),
    ],
)
def test_a_slice_that_is_not_in_the_slot_is_refused(scene: Scene, length: int, offset: int) -> None:
    borrowed = parcel(scene.pool, scene.reader, 1)
    with pytest.raises(WireFormatError):
        borrowed.slices(BYTES, length, [offset])
    borrowed.release()


LAYOUTS: list[tuple[str, list[int], list[int], int]] = [
    ("<u4", [3, 5], [20, 4], 64),
    ("<u4", [3, 5], [-20, 4], 640),
    ("<i2", [4, 3], [2, 100], 7),
    ("u1", [2, 0], [5, 1], 9),
    ("<f8", [], [], 16),
    ("u1", [3, 4], [0, 1], 3),
]


@pytest.mark.parametrize(("dtype", "shape", "strides", "offset"), LAYOUTS)
def test_an_array_of_any_strides_is_as_numpy_makes_it(
    scene: Scene, dtype: str, shape: list[int], strides: list[int], offset: int
) -> None:
    borrowed = parcel(scene.pool, scene.reader, 1)
    every_byte = slices(borrowed)
    array = borrowed.slice(np.dtype(dtype), shape, strides, offset)
    expected: Any = np.ndarray(shape, dtype, np.concatenate(every_byte), offset, strides)
    assert (array == expected).all() and array.strides == expected.strides
    place = find_slot(array)
    assert (place is None) == (not array.size)
    assert place is None or place.offset == offset
    borrowed.release()


# ------------------------------------------------------------------ copied aside
def test_a_slot_that_little_is_kept_of_is_let_go_and_what_is_kept_stays(
    pool: SlotPool, reader: SlotReader
) -> None:
    borrowed = parcel(pool, reader, 1)
    array = slices(borrowed)[5]
    view = array.reshape(64, 1024)[1:3]
    borrowed.release()
    del borrowed, array
    address = view.__array_interface__["data"]
    assert held_bytes(pool) == MIB
    reader.tend()
    assert held_bytes(pool) == 0  # the memory is given back: who looks there, finds zeros
    assert set(view.flat) == {6} and view.__array_interface__["data"] == address
    assert find_slot(view) is None


def test_a_slot_that_most_is_kept_of_stays(pool: SlotPool, reader: SlotReader) -> None:
    borrowed = parcel(pool, reader, 1)
    arrays = slices(borrowed)
    borrowed.release()
    del arrays[PARTS // 2 :]
    reader.tend()
    assert held_bytes(pool) == MIB
    assert find_slot(arrays[0]) is not None


def test_nothing_is_copied_aside_that_a_parcel_or_a_message_still_needs(
    pool: SlotPool, reader: SlotReader
) -> None:
    borrowed = parcel(pool, reader, 1)
    lease = borrowed.lease
    array = slices(borrowed)[0]
    reader.tend()
    assert not lease.is_aside  # the parcel is in work
    lease.retain()
    borrowed.release()
    reader.tend()
    assert not lease.is_aside and lease.reference() is not None  # lent on
    lease.release()
    reader.tend()
    assert lease.is_aside and set(array) == {1}


def test_what_can_be_written_to_is_not_copied_aside(pool: SlotPool, reader: SlotReader) -> None:
    borrowed = parcel(pool, reader, 1)
    writable = borrowed.lease.array(np.uint8, (10,), access="write")
    array = slices(borrowed)[0]
    borrowed.release()
    reader.tend()
    writable[:] = 9
    assert array[:10].tolist() == [9] * 10
    private = parcel(pool, reader, 1)
    own = private.lease.array(np.uint8, (10,), access="private")
    private.release()
    reader.tend()
    own[:] = 8
    assert not private.lease.is_aside


def test_a_slot_can_be_borrowed_again_while_something_of_it_lies_aside(
    pool: SlotPool, reader: SlotReader
) -> None:
    kept_arrays = []
    for value in range(1, 6):
        borrowed = parcel(pool, reader, value)  # the same slot, each time
        kept_arrays.append(slices(borrowed)[0])
        place = find_slot(kept_arrays[-1])
        assert place is not None and place.held.index == 0
        borrowed.release()
        del borrowed, place
        reader.tend()
        assert [set(array) for array in kept_arrays] == [{n} for n in range(1, value + 1)]
    kept_arrays.clear()
    reader.drain()
    last = parcel(pool, reader, 9)
    assert last.lease.own is None  # nothing is left behind, and mappings of its own are over
    assert set(slices(last)[1]) == {10}
    last.release()


def test_an_arena_stays_open_for_what_lies_aside_of_it(pool: SlotPool, scene: Scene) -> None:
    reader = SlotReader(max_arenas=1)
    borrowed = parcel(pool, reader, 1)
    array = slices(borrowed)[0]
    borrowed.release()
    reader.tend()
    other = parcel(pool, reader, 1, parts=4)  # of another arena
    reader.tend()
    del array
    reader.drain()
    other.release()
    again = parcel(pool, reader, 3)
    assert set(slices(again)[0]) == {3}
    again.release()
    reader.close()


def test_what_lies_aside_outlives_its_owner_and_the_reader(
    neighbour: Neighbour, reader: SlotReader
) -> None:
    ref = neighbour.do(_produce_parcel, 7)
    lease = reader.borrow(ref)
    assert lease is not None
    borrowed = Borrowed(reader, lease)
    array = slices(borrowed)[2]
    borrowed.release()
    reader.tend()
    assert lease.is_aside
    neighbour.kill()
    reader.close()
    assert set(array) == {9}


def _produce_parcel(scene: Scene, value: int) -> Any:
    slot = filled(scene.pool, 0, PARTS * PART)
    whole = np.frombuffer(slot.memory, np.uint8).reshape(PARTS, PART)
    for part in range(PARTS):
        whole[part] = value + part
    scene.kept["produced"] = slot
    return slot.reference()


def test_who_looks_meanwhile_sees_no_change(pool: SlotPool, reader: SlotReader) -> None:
    found: set[int] = set()
    array: list[Array] = []
    stop = threading.Event()

    def look() -> None:
        while not stop.is_set():
            for one in array:
                found.update({int(one.min()), int(one.max())})

    thread = threading.Thread(target=look)
    thread.start()
    try:
        for _ in range(200):
            borrowed = parcel(pool, reader, 3)
            array[:] = [slices(borrowed)[1]]
            borrowed.release()
            reader.tend()
            assert held_bytes(pool) == 0
    finally:
        stop.set()
        thread.join()
    assert found == {4}


def test_who_writes_meanwhile_loses_nothing(pool: SlotPool, reader: SlotReader) -> None:
    for _ in range(50):
        borrowed = parcel(pool, reader, 3)
        array = shielded(borrowed)[1].view(np.uint32)
        began, stop, written = threading.Event(), threading.Event(), [0]

        def write(
            array: Any = array, began: Any = began, stop: Any = stop, written: list[int] = written
        ) -> None:
            while not stop.is_set():
                written[0] += 1
                array[:: 1024 // 4] = written[0]
                began.set()

        thread = threading.Thread(target=write)
        thread.start()
        began.wait()
        borrowed.release()
        del borrowed
        reader.tend()
        assert held_bytes(pool) == 0
        stop.set()
        thread.join()
        assert set(array[:: 1024 // 4]) == {written[0]}
        assert set(array[1 :: 1024 // 4]) == {0x04040404}


def test_what_is_looked_at_and_what_is_written_to_is_kept_apart(
    pool: SlotPool, reader: SlotReader
) -> None:
    borrowed = parcel(pool, reader, 1)
    one, other = slices(borrowed)[2], shielded(borrowed)[2]
    other[:PAGE_BYTES] = 9  # the rest is still the slot's
    borrowed.release()
    del borrowed
    reader.tend()
    assert held_bytes(pool) == 0
    assert set(one) == {3} and set(other[:PAGE_BYTES]) == {9} and set(other[PAGE_BYTES:]) == {3}
    assert find_slot(one) is None and find_slot(other) is None
    again = parcel(pool, reader, 7)
    assert set(slices(again)[2]) == set(shielded(again)[2]) == {9}
    again.release()


def test_without_a_kernel_that_cuts_pages_off_who_writes_gets_copies(
    pool: SlotPool, reader: SlotReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(borrowed_module, "can_cut_off", lambda: False)
    borrowed = parcel(pool, reader, 1)
    array = shielded(borrowed)[2]
    array += 1
    borrowed.release()
    del borrowed
    reader.drain()
    assert held_bytes(pool) == 0 and set(array) == {4}


def test_where_many_slots_are_aside_arrays_are_copied_one_by_one(
    pool: SlotPool, reader: SlotReader
) -> None:
    reader._most_aside = 3
    found: list[Array] = []
    for value in range(10):
        borrowed = parcel(pool, reader, value)
        found.append(slices(borrowed)[5])
        borrowed.release()
        del borrowed
        reader.tend()
    assert reader._aside == 3
    assert held_bytes(pool) == 0
    assert [set(array) for array in found] == [{value + 5} for value in range(10)]
    assert not any(array.flags.writeable for array in found)
    del found[:2]
    reader.drain()
    assert reader._aside == 1 and not reader.is_crowded
    found.clear()
    reader.drain()
    assert reader._aside == 0


# ------------------------------------------------------------------ the bound
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
def test_what_is_kept_holds_twice_its_memory_at_most_and_a_quarter_and_some(data: Any) -> None:
    """Whatever is kept for however long, by looks that come by themselves."""
    before, kept.SLACK_BYTES = kept.SLACK_BYTES, 2 * MIB
    scene = Scene()
    try:
        pool, reader = scene.pool, scene.reader
        buffer: dict[int, Array] = {}
        most = data.draw(st.integers(1, 100))
        for number in range(data.draw(st.integers(1, 40))):
            borrowed = parcel(pool, reader, number, data.draw(st.sampled_from([1, 2, 7, 16])))
            made = data.draw(st.sampled_from([slices, shielded]))(borrowed)
            for array in (*made[1:], *slices(borrowed)[:1]):
                place = data.draw(st.integers(0, 2 * most))
                if place < most:
                    buffer[place] = array
            del array, made
            borrowed.release()
            del borrowed
            reader.drain()
            alive = len(buffer) * PART
            held = sum(lease.size_bytes for lease in reader._kept._leases)
            # (The last is the parcel that has come since, which may be there beside the slack.)
            assert held <= 2.5 * alive + 2 * MIB + 2 * MIB
        expected = {place: int(array[0]) for place, array in buffer.items()}
        assert all((array == expected[place]).all() for place, array in buffer.items())
        buffer.clear()
        gc.collect()
        reader.drain()
        assert not reader._kept._leases and reader._kept.size_bytes == 0
    finally:
        kept.SLACK_BYTES = before
        scene.close()
