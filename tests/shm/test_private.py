"""Private mappings are used again, show what the slot holds, and are passed on while unwritten."""

from __future__ import annotations

import ctypes
import os
import threading
from typing import Any

import numpy as np
import pytest

from minipipe.shm import Lease, find_slot
from minipipe.shm.borrowed import Borrowed
from minipipe.shm.mapping import PAGE_BYTES
from minipipe.shm.private import COPIED_PARCELS, SPARES, SPARES_OF_SLOT, WrittenPages, mapping_at
from tests.shm.harness import MIB, SIZE, Scene, array_of, borrowed, filled


def private(scene: Scene, value: int = 7) -> np.ndarray[Any, Any]:
    """A private array over a slot that is filled for it, the same one each time if it is free."""
    scene.reader.drain()
    slot = filled(scene.pool, value)
    lease = scene.reader.borrow(slot.reference())
    slot.release()
    assert lease is not None
    return array_of(lease, access="private")


def address(array: np.ndarray[Any, Any]) -> int:
    found: int = array.ctypes.data
    return found


def test_a_private_array_is_passed_on_by_reference_as_long_as_nothing_was_written(
    scene: Scene,
) -> None:
    array = private(scene)
    place = find_slot(array[5000:6000])
    assert place is not None and place.offset == 5000

    array[5500] = 1
    assert find_slot(array[5000:6000]) is None
    assert find_slot(array) is None
    assert find_slot(array[-100:]) is not None  # another page
    assert find_slot(array[::-1]) is None


def test_what_is_written_after_that_reaches_nobody(scene: Scene) -> None:
    lease = borrowed(scene)
    array = lease.array("u1", (SIZE,), access="private")
    place = find_slot(array)
    assert place is not None
    array[:] = 1

    assert set(lease.array("u1", (SIZE,)).tobytes()) == {7}
    lease.release()


def test_a_mapping_is_used_again_and_shows_what_the_slot_holds_then(scene: Scene) -> None:
    first = private(scene, 1)
    assert first.sum() == SIZE
    at = address(first)
    del first
    second = private(scene, 2)

    assert address(second) == at
    assert set(second.tobytes()) == {2}


def test_what_was_written_is_not_seen_by_the_next(scene: Scene) -> None:
    first = private(scene, 1)
    first[::4096] = 9
    at = address(first)
    del first
    second = private(scene, 2)

    assert address(second) == at
    assert set(second.tobytes()) == {2}


def test_memory_that_was_given_back_in_between_is_seen_as_it_is_then(scene: Scene) -> None:
    first = private(scene, 1)
    assert first.sum() == SIZE
    del first
    scene.reader.drain()
    slot = filled(scene.pool, 2)
    arena = slot.arena
    slot.release()
    assert arena.renew(slot.index) and arena.give_back(slot.index)
    os.posix_fallocate(arena.fd, arena.offset(slot.index), arena.slot_bytes)

    assert set(private(scene, 3).tobytes()) == {3}


def test_two_at_a_time_are_each_their_own(scene: Scene) -> None:
    lease = borrowed(scene)
    one, other = (lease.array("u1", (SIZE,), access="private") for _ in range(2))
    lease.release()
    one[:] = 1

    assert set(other.tobytes()) == {7}


def test_of_many_only_some_are_kept(scene: Scene) -> None:
    lease = borrowed(scene)
    arrays = [lease.array("u1", (SIZE,), access="private") for _ in range(5)]
    lease.release()
    del arrays
    scene.reader.drain()

    assert scene.reader._room.left == SPARES - SPARES_OF_SLOT
    scene.reader.close()
    assert scene.reader._room.left == SPARES


def test_where_nobody_can_tell_what_was_written_nothing_is_passed_on_nor_seen_by_the_next(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("minipipe.shm.private._PAGEMAP", "/proc/self/no_such_file")
    first = private(scene, 1)
    assert find_slot(first) is None
    first[:] = 9
    del first

    assert set(private(scene, 2).tobytes()) == {2}


def test_what_lies_in_one_is_found_by_its_address_alone(scene: Scene) -> None:
    array = private(scene)
    foreign = (ctypes.c_uint8 * 100).from_address(address(array) + 1000)
    unknown = np.frombuffer(foreign, np.uint8)  # whose base says nothing, as a tensor's
    place = find_slot(unknown)

    assert place is not None and place.offset == 1000
    at = address(array)
    del array, place
    scene.reader.drain()
    assert mapping_at(at) is None  # a spare one is nobody's
    assert find_slot(np.frombuffer(bytes(100), np.uint8)) is None


def test_shielded_arrays_of_a_parcel_share_a_mapping_and_write_for_themselves(
    scene: Scene,
) -> None:
    lease = borrowed(scene)
    parcel = Borrowed(scene.reader, lease)
    one, other = parcel.shielded(np.dtype("u2"), 1000, (0, 50_000))
    looked = parcel.slices(np.dtype("u2"), 1000, (0,))[0]
    one[:] = 0

    assert address(other) - address(one) == 50_000
    assert set(other.tobytes()) == set(looked.tobytes()) == {7}
    assert find_slot(one) is None and find_slot(other) is not None
    parcel.release()


@pytest.mark.parametrize("written", [0, 1, 4, 13, 25])
def test_who_writes_to_most_of_what_comes_gets_copies_and_now_and_then_another_try(
    scene: Scene, written: int
) -> None:
    def is_shielded() -> bool:
        parcel = Borrowed(scene.reader, borrowed(scene))
        (array,) = parcel.shielded(np.dtype("u1"), SIZE, (0,))
        found = find_slot(array) is not None
        array[: written * PAGE_BYTES] = 9
        (again,) = parcel.shielded(np.dtype("u1"), SIZE, (0,))
        assert set(again.tobytes()) == {7}
        del array, again
        parcel.release()
        scene.reader.drain()
        return found

    found = [is_shielded() for _ in range(2 * COPIED_PARCELS + 3)]
    if 4 * written > -(-SIZE // PAGE_BYTES):
        assert found == [True, *[False] * COPIED_PARCELS] * 2 + [True]
    else:
        assert all(found)


def test_a_forked_child_asks_for_its_own_pages(scene: Scene) -> None:
    array = private(scene)
    assert find_slot(array) is not None
    if not (pid := os.fork()):
        array[0] = 1  # which its parent has not written
        os._exit(find_slot(array) is not None)
    assert os.waitpid(pid, 0)[1] == 0
    assert find_slot(array) is not None


def test_pages_that_were_written_are_told_from_those_that_were_read() -> None:
    pages = WrittenPages()
    memory = np.empty(MIB, np.uint8)  # of this process alone
    memory[:] = 1

    assert pages.count_in(address(memory), MIB)
    pages.close()


def test_many_threads_may_map_and_let_go(scene: Scene) -> None:
    lease = borrowed(scene)
    wrong: list[int] = []

    def work(lease: Lease, mark: int) -> None:
        for _ in range(200):
            array = lease.array("u1", (SIZE,), access="private")
            if array[mark] != 7 or find_slot(array) is None:
                wrong.append(mark)
            array[mark] = 1

    threads = [threading.Thread(target=work, args=(lease, mark * 5000)) for mark in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lease.release()
    assert not wrong
