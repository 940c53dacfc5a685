"""The owner's side: what it hands out, what it refuses, and what it gives back."""

from __future__ import annotations

import errno
import os
import random
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from minipipe.shm import SlotPool, SlotReader, find_slot, memory_limit_bytes, obstacle
from minipipe.shm.allocator import IDLE_S
from tests.conftest import descriptors, wait_until
from tests.shm.harness import KIB, MIB, SIZE, Scene, array_of, filled


class Machine:
    """A machine whose memory can be full."""

    def __init__(self) -> None:
        self.left_bytes = 1 << 40
        self.is_full = False

    def available(self) -> int:
        return self.left_bytes

    def allocate(self, fd: int, offset: int, size_bytes: int) -> None:
        if self.is_full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.posix_fallocate(fd, offset, size_bytes)
        self.left_bytes -= size_bytes


@pytest.fixture
def machine() -> Machine:
    return Machine()


@pytest.fixture
def pool_there(machine: Machine) -> Iterator[SlotPool]:
    made = SlotPool(64 * MIB, available=machine.available, allocate=machine.allocate)
    yield made
    made.close()


def test_a_slot_that_was_released_is_the_next_one_taken(pool: SlotPool) -> None:
    first = filled(pool, 1)
    address = first.address
    first.release()
    second = filled(pool, 2)
    assert second.address == address
    assert second.generation > first.generation


def test_a_slot_that_is_retained_is_not_used_again(pool: SlotPool) -> None:
    first = filled(pool, 1)
    first.retain()
    first.release()
    second = filled(pool, 2)
    assert second.address != first.address
    first.release()
    assert filled(pool, 3).address == first.address


def test_an_array_keeps_its_slot_until_its_last_view_has_died(pool: SlotPool) -> None:
    array = pool.empty((100, 1000), np.uint8)
    assert array is not None
    address = array.ctypes.data
    view = array[5:].T.data
    del array
    assert filled(pool, 1).address != address
    del view
    assert filled(pool, 2).address == address


@pytest.mark.parametrize("order", ["C", "F"])
def test_an_empty_array_is_what_numpy_would_have_made(pool: SlotPool, order: str) -> None:
    array = pool.empty((30, 40, 50), "<f4", order)  # type: ignore[arg-type]
    assert array is not None
    like = np.empty((30, 40, 50), "<f4", order)  # type: ignore[call-overload]
    assert (array.shape, array.dtype, array.strides) == (like.shape, like.dtype, like.strides)
    assert array.flags.writeable and array.flags.aligned and array.ctypes.data % 64 == 0


def test_small_arrays_and_arrays_of_objects_get_no_slot(pool: SlotPool) -> None:
    assert pool.take(64 * KIB - 1) is None
    assert pool.empty(100, np.uint8) is None
    assert pool.empty(SIZE, object) is None


def test_over_its_limit_a_pool_says_no_until_something_is_released(pool: SlotPool) -> None:
    slots = [pool.take(8 * MIB) for _ in range(9)]
    assert [slot is None for slot in slots] == [False] * 8 + [True]
    assert slots[3] is not None
    slots[3].release()
    assert pool.take(8 * MIB) is not None
    assert pool.take(65 * MIB) is None


def test_at_the_limit_warm_slots_of_other_sizes_make_room(pool: SlotPool) -> None:
    for slot in [filled(pool, 1, MIB) for _ in range(64)]:
        slot.release()
    assert pool.warm_bytes == 64 * MIB
    assert filled(pool, 2, 60 * MIB).address
    assert pool.warm_bytes <= 64 * MIB


def test_slots_that_others_hold_never_make_it_wait(pool: SlotPool, reader: SlotReader) -> None:
    leases = []
    while (slot := pool.take(8 * MIB)) is not None:
        leases.append(reader.borrow(slot.reference()))
        slot.release()
    assert len(leases) == 8
    lease = leases.pop(0)
    assert lease is not None
    lease.release()
    assert pool.take(8 * MIB) is not None


def test_a_full_memory_is_no_error(pool_there: SlotPool, machine: Machine) -> None:
    machine.is_full = True
    assert pool_there.take(SIZE) is None
    machine.is_full = False
    wait_until(lambda: pool_there.take(SIZE), "the pool to try again")
    machine.is_full = True
    assert pool_there.take(SIZE) is None


def test_the_last_of_the_memory_is_left_to_others(pool_there: SlotPool, machine: Machine) -> None:
    machine.left_bytes = memory_limit_bytes() // 32
    assert pool_there.take(SIZE) is None
    machine.left_bytes += SIZE * 2
    wait_until(lambda: pool_there.take(SIZE), "the pool to look again")
    assert pool_there.take(SIZE) is None


def test_what_is_idle_is_given_back(pool: SlotPool) -> None:
    before = descriptors()
    for slot in [filled(pool, 1, MIB) for _ in range(30)]:
        slot.release()
    assert pool.warm_bytes == 30 * MIB
    late_s = 1e9
    pool.tend(late_s)
    assert pool.warm_bytes == 0
    assert descriptors() == before
    pool.tend(late_s + IDLE_S)
    assert filled(pool, 2, MIB).memory[0] == 2


def test_what_others_held_is_given_back_when_they_have_dropped_it(
    pool: SlotPool, reader: SlotReader
) -> None:
    slot = filled(pool, 1)
    lease = reader.borrow(slot.reference())
    assert lease is not None
    slot.release()
    pool.tend(1e9)
    assert pool.warm_bytes > 0
    lease.release()
    pool.tend(2e9)  # finds it free
    pool.tend(3e9)
    assert pool.warm_bytes == 0


def test_thousands_of_slots_need_few_descriptors() -> None:
    before = len(descriptors())
    scene = Scene()
    scene.pool.close()
    scene.pool = SlotPool(512 * MIB)
    slots = [scene.pool.take(64 * KIB) for _ in range(3000)]
    leases = [scene.reader.borrow(slot.reference()) for slot in slots if slot is not None]
    assert len(leases) == 3000 and all(leases)
    assert len(descriptors()) - before < 40
    scene.close()


def resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def test_memory_stays_flat_over_arrays_of_changing_sizes(scene: Scene) -> None:
    rng = random.Random(1)
    sizes = [int(64 * KIB * 2 ** rng.uniform(0, 5)) for _ in range(20_000)]
    kept = []
    resident = []
    for i, size in enumerate(sizes):
        slot = scene.pool.take(size)
        assert slot is not None
        slot.memory[0] = 1
        lease = scene.reader.borrow(slot.reference())
        assert lease is not None
        kept.append(array_of(lease, shape=(size,)))
        slot.release()
        if len(kept) > 8:
            del kept[rng.randrange(8)]
        if i % 5000 == 4999:
            resident.append(resident_bytes())
            assert len(descriptors()) < 100
    assert max(resident[1:]) < resident[0] + 32 * MIB


def test_arrays_may_die_in_any_thread_while_slots_are_taken(pool: SlotPool) -> None:
    errors: list[BaseException] = []

    def work(value: int) -> None:
        try:
            for _ in range(300):
                array = pool.empty(SIZE, np.uint8)
                assert array is not None
                array[:] = value
                others.append(array)
                array = others.pop(0)
                assert array[0] == array[-1]
        except BaseException as error:
            errors.append(error)

    others: list[np.ndarray[tuple[int], np.dtype[np.uint8]]] = []
    threads = [threading.Thread(target=work, args=(value,)) for value in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    others.clear()
    assert pool.warm_bytes <= 12 * 128 * KIB


def test_arrays_outlive_their_pool(pool: SlotPool) -> None:
    array = pool.empty(SIZE, np.uint8)
    assert array is not None
    array[:] = 5
    pool.close()
    assert array.sum() == 5 * SIZE
    assert find_slot(array) is None
    assert pool.take(SIZE) is None


def test_a_pool_that_is_not_supported_says_no(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    obstacle.cache_clear()
    try:
        assert "darwin" in (obstacle() or "")
        pool = SlotPool(MIB)
        assert pool.take(SIZE) is None
        pool.tend()
        pool.close()
    finally:
        monkeypatch.undo()
        obstacle.cache_clear()
