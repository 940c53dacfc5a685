"""Arrays in slots that others may not open: sent in messages, from where they lie."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from minipipe.codec import lender
from minipipe.codec.lender import Lender
from minipipe.shm import handle, supported
from minipipe.shm.mapping import Mapping
from tests.codec.test_slots import End

SIZE = lender.FRAME_BYTES + 5


@pytest.fixture
def end(monkeypatch: pytest.MonkeyPatch) -> Iterator[End]:
    """One whose slots others may not open, but who sees those of others."""
    if not supported():
        pytest.skip("shared memory slots do not work here")
    made = End()
    monkeypatch.setattr(lender, "is_open_to_others", lambda: False)
    yield made
    made.close()


def frame_of(end: End, array: Any) -> Any:
    (frame,) = end.parcel(array).frames
    return np.frombuffer(frame, np.uint8)


def test_an_array_in_a_slot_is_sent_from_the_slot(end: End) -> None:
    array = end.empty(1, SIZE)
    frame = frame_of(end, array)
    array[:] = 2  # before it is isolated: who does not copy sees it
    assert (frame == 2).all() and not frame.flags.writeable


def test_what_is_written_to_it_after_that_is_not_in_the_frame(end: End) -> None:
    array = end.empty(1, SIZE)
    frame = frame_of(end, array)
    end.lender.isolate_sent()
    array[:] = 2
    assert (frame == 1).all() and (array == 2).all()


def test_its_slot_is_not_used_again_while_the_frame_is_there(end: End) -> None:
    array = end.empty(1, SIZE)
    frame = frame_of(end, array)
    end.lender.isolate_sent()
    del array
    others = [end.empty(3, SIZE) for _ in range(20)]
    assert (frame == 1).all() and not end.is_idle
    del frame, others
    assert end.is_idle


def test_what_came_from_another_process_is_passed_on_from_its_slot(end: End) -> None:
    owner = End()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lender, "is_open_to_others", lambda: True)
        owner.encoder.exclusive = True
        parcel = owner.parcel(np.ones(SIZE, np.uint8))
    (arrived,) = end.received(parcel, "write")
    frame = frame_of(end, arrived[5:])
    arrived[:] = 2
    assert (frame == 2).all() and frame.size == SIZE - 5
    end.lender.isolate_sent()
    arrived[:] = 3
    assert (frame == 2).all()
    del arrived, frame
    assert end.is_idle and owner.is_idle
    owner.close()


@pytest.mark.parametrize("order", ["C", "F"])
def test_it_arrives_as_it_was(end: End, order: Any) -> None:
    array = end.pool.empty((300, 300), np.float32, order)
    assert array is not None
    array[:] = np.arange(90_000).reshape(300, 300)
    arrived = end.trip(array)
    assert (arrived == array).all() and arrived.strides == array.strides
    assert arrived.flags.writeable and not np.shares_memory(arrived, array)


def test_one_with_gaps_is_copied(end: End) -> None:
    array = end.empty(1, 2 * SIZE)
    frame = frame_of(end, array[::2])
    array[:] = 2
    assert (frame == 1).all() and frame.size == SIZE


def test_where_nothing_can_be_mapped_it_is_copied(
    end: End, monkeypatch: pytest.MonkeyPatch
) -> None:
    array = end.empty(1, SIZE)

    def refused(*args: Any, **kwargs: Any) -> Mapping:
        raise OSError(12, "no more mappings")

    monkeypatch.setattr(handle, "Mapping", refused)
    frame = frame_of(end, array)
    array[:] = 2
    assert (frame == 1).all()


def test_a_lender_sends_nothing_that_is_in_no_slot_from_there(end: End) -> None:
    assert Lender(end.pool).frame(np.ones(SIZE, np.uint8)) is None
