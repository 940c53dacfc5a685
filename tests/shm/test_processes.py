"""Slots between processes, some of which are killed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from minipipe.shm import SlotPool, SlotReader, SlotRef, find_slot
from tests.shm.harness import (
    SIZE,
    Neighbour,
    Scene,
    array_of,
    content,
    drop,
    filled,
    keep,
    keep_part,
    pass_on,
    produce,
    write,
)

BASE = np.arange(60_000, dtype=np.int64).reshape(20, 30, 100)
LAYOUTS: dict[str, Callable[[np.ndarray[Any, Any]], np.ndarray[Any, Any]]] = {
    "as it is": lambda a: a,
    "a slice": lambda a: a[3:17, :, 10:90:7],
    "transposed": lambda a: a.T,
    "reversed": lambda a: a[::-1, ::-2, ::-1],
    "a column": lambda a: a[:, 5, 5],
    "one element": lambda a: a[19, 29, 99:],
    "0-d": lambda a: a[7, 7, 7, ...],
    "broadcast": lambda a: np.broadcast_to(a[0, 0], (4, 100)),
    "as bytes": lambda a: a.view(np.uint8)[..., 1:],
    "as records": lambda a: a.view([("x", "<i4"), ("y", "<f4")]),
    "one field": lambda a: a.view([("x", "<i4"), ("y", "<f4")])["y"],
    "as dates": lambda a: a.view("M8[us]"),
}


def is_free(pool: SlotPool, ref: SlotRef) -> bool:
    """Whether the pool would use that slot next."""
    pool.tend()
    slot = pool.take(SIZE)
    assert slot is not None
    slot.release()
    return slot.reference()[2:4] == ref[2:4]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_an_array_of_any_layout_is_seen_elsewhere_as_it_is_here(
    pool: SlotPool, neighbour: Neighbour, layout: str
) -> None:
    whole = pool.empty(BASE.shape, BASE.dtype)
    assert whole is not None
    whole[...] = BASE
    array = LAYOUTS[layout](whole)
    place = find_slot(array)
    assert place is not None

    neighbour.do(
        keep,
        place.held.reference(),
        "it",
        dtype=place.dtype,
        shape=place.shape,
        strides=place.strides,
        offset=place.offset,
    )

    assert neighbour.do(content, "it") == LAYOUTS[layout](BASE).tobytes()


def test_a_slot_is_written_anew_only_after_the_last_view_elsewhere_has_died(
    pool: SlotPool, neighbour: Neighbour
) -> None:
    slot = filled(pool, 7)
    ref = slot.reference()
    assert neighbour.do(keep, ref, "whole") == 7
    slot.release()
    assert not is_free(pool, ref)
    neighbour.do(keep_part, "part", of="whole")
    assert not is_free(pool, ref)
    assert set(neighbour.do(content, "part")) == {7}

    neighbour.do(drop, "part")

    assert is_free(pool, ref)


def test_a_slot_that_two_processes_have_is_free_when_both_have_dropped_it(
    pool: SlotPool, neighbour_of: Callable[[], Neighbour]
) -> None:
    slot = filled(pool, 7)
    ref = slot.reference()
    first, second = neighbour_of(), neighbour_of()
    assert first.do(keep, ref, "it") == second.do(keep, ref, "it") == 7
    slot.release()
    first.do(drop, "it")
    assert not is_free(pool, ref)
    second.do(drop, "it")
    assert is_free(pool, ref)


def test_a_process_that_is_killed_holds_nothing_any_more(
    pool: SlotPool, neighbour: Neighbour
) -> None:
    slot = filled(pool, 7)
    ref = slot.reference()
    neighbour.do(keep, ref, "it")
    neighbour.do(keep, ref, "mine", access="private")
    slot.release()
    assert not is_free(pool, ref)
    neighbour.kill()
    assert is_free(pool, ref)


def test_what_was_borrowed_from_a_process_that_is_killed_stays_readable(
    reader: SlotReader, neighbour: Neighbour
) -> None:
    ref = neighbour.do(produce, 9)
    lease = reader.borrow(ref)
    assert lease is not None
    array = array_of(lease)
    neighbour.kill()
    reader.tend()
    assert set(array.tobytes()) == {9}
    again = reader.borrow(ref)  # what this process has is as good as ever
    assert again is lease
    again.release()


def test_nothing_is_left_of_a_killed_owner_when_its_last_view_has_died(
    scene: Scene, neighbour: Neighbour
) -> None:
    lease = scene.reader.borrow(neighbour.do(produce, 9))
    assert lease is not None
    array = array_of(lease)
    neighbour.kill()
    del array
    scene.reader.tend()
    del lease
    with open("/proc/self/maps") as maps:
        assert "memfd:minipipe" not in maps.read()


def test_a_slot_of_an_owner_that_was_killed_before_cannot_be_borrowed(
    reader: SlotReader, neighbour: Neighbour
) -> None:
    ref = neighbour.do(produce, 9)
    neighbour.kill()
    assert reader.borrow(ref) is None


def test_a_slot_that_was_passed_on_survives_its_owner(
    reader: SlotReader, neighbour_of: Callable[[], Neighbour]
) -> None:
    owner, between = neighbour_of(), neighbour_of()
    ref = between.do(pass_on, owner.do(produce, 9))
    owner.kill()
    lease = reader.borrow(ref)
    assert lease is not None
    assert set(array_of(lease).tobytes()) == {9}


def test_what_one_process_writes_privately_no_other_sees(
    pool: SlotPool, neighbour_of: Callable[[], Neighbour]
) -> None:
    slot = filled(pool, 7)
    first, second = neighbour_of(), neighbour_of()
    first.do(keep, slot.reference(), "mine", access="private")
    second.do(keep, slot.reference(), "ours")
    first.do(write, "mine", 1)
    assert set(first.do(content, "mine")) == {1}
    assert set(second.do(content, "ours")) == set(slot.memory) == {7}


def test_what_was_written_privately_stays_with_that_array(
    pool: SlotPool, neighbour: Neighbour
) -> None:
    slot = filled(pool, 7)
    neighbour.do(keep, slot.reference(), "mine", access="private")
    neighbour.do(write, "mine", 1)
    neighbour.do(keep, slot.reference(), "new", access="private")
    assert set(neighbour.do(content, "new")) == {7}
