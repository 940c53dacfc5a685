"""Parcels whose slots are of another host: what of them travels, and what is made of that."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from minipipe.codec import Decoder, Encoder, LocalEncoder, Moved, Parcel, arrays, parts_of
from minipipe.codec.borrower import Borrower
from minipipe.codec.moved import ALIGNED_TO
from minipipe.errors import WireFormatError
from minipipe.protocol.wiring import Access
from minipipe.shm import Borrowed, supported
from tests.codec import strategies
from tests.codec.ends import End
from tests.codec.sameness import same
from tests.shm.harness import KIB, MIB

SIZE = 100_000


@pytest.fixture(autouse=True)
def only_where_supported() -> None:
    if not supported():
        pytest.skip("shared memory slots do not work here")


@pytest.fixture
def tiny() -> Iterator[End]:
    made = End(min_bytes=1)
    yield made
    made.close()


@pytest.fixture
def end() -> Iterator[End]:
    made = End()
    yield made
    made.close()


def parts(parcel: Parcel) -> list[list[int]]:
    sizes = {tuple(held.reference()): held.size_bytes for held in parcel.held}
    return [list(one) for one in parts_of(parcel.body, sizes)]


def carried(end: End, parcel: Parcel) -> list[bytes]:
    """What of each slot is wanted, part behind part."""
    frames = []
    for held, wanted in zip(parcel.held, parts(parcel), strict=True):
        lease = end.reader.borrow(held.reference())
        assert lease is not None
        memory, frame = bytes(lease.array(np.uint8, [lease.size_bytes])), b""
        for begin, stop in zip(wanted[::2], wanted[1::2], strict=True):
            frame += bytes(-len(frame) % ALIGNED_TO) + memory[begin:stop]
        frames.append(frame)
        lease.release()
    return frames


def moved(
    end: End, parcel: Parcel, to: End | None, access: Access = "read", *, allow_pickle: bool = False
) -> list[Any]:
    """The items as another host makes them, of slots of its own, or of frames."""
    frames, leases = carried(end, parcel), dict[tuple[int, ...], Moved]()
    for held, wanted, frame in zip(parcel.held, parts(parcel), frames, strict=True):
        slot = None if to is None else to.pool.take(len(frame))
        if to is None or slot is None:
            leases[held.reference()] = Moved(wanted, frame=frame)
            continue
        slot.memory[:] = frame
        lease = to.reader.borrow(slot.reference())
        assert lease is not None
        leases[held.reference()] = Moved(wanted, Borrowed(to.reader, lease))
        slot.release()
    parcel.release()
    reader = end.reader if to is None else to.reader
    decoder = Decoder(allow_pickle=allow_pickle, borrower=Borrower(reader), access=access)
    items = decoder.decode(parcel.body, parcel.frames, leases)
    for one in leases.values():
        one.release()
    return items


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    one=st.lists(strategies.arrays(), min_size=1), other=strategies.items, in_slots=st.booleans()
)
def test_any_item_arrives_from_another_host(
    tiny: End, one: list[Any], other: Any, in_slots: bool
) -> None:
    item = [other, *one]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(arrays, "OUT_OF_BAND_BYTES", 1)  # all but empty ones lie in slots
        parcel = tiny.parcel({"it": item})
    arrived = moved(tiny, parcel, tiny if in_slots else None)[0]["it"]
    assert same(item, arrived)
    del arrived
    tiny.lender.isolate_sent()


VIEWS: list[Callable[[Any], Any]] = [
    lambda a: a[3:50],
    lambda a: a[::-2, 5:],
    lambda a: a.T[::-1],
    lambda a: a[:, ::7],
    lambda a: np.broadcast_to(a[4], (3, 500)),
]


@pytest.mark.parametrize("access", ["read", "write", "own", "private"])
@pytest.mark.parametrize("in_slots", [True, False])
def test_views_of_one_slot_arrive_as_they_were(end: End, in_slots: bool, access: Access) -> None:
    whole = end.pool.empty((500, 500), np.float64)
    assert whole is not None
    whole[:] = np.arange(250_000.0).reshape(500, 500)
    items = [view(whole) for view in VIEWS]
    expected = [item.copy() for item in items]
    arrived = moved(end, end.parcel(*items), end if in_slots else None, access)
    assert all(map(same, expected, arrived))
    writable = all(item.flags.writeable for item in arrived)
    assert writable == (access in ("own", "private") or not in_slots)
    if in_slots and access == "read":
        assert not any(item.flags.owndata for item in arrived)


def test_of_a_slot_only_that_goes_which_a_parcel_refers_to(end: End) -> None:
    whole = end.empty(0, 8 * MIB)
    assert parts(end.parcel(whole[MIB : 2 * MIB])) == [[MIB, 2 * MIB]]
    near = end.parcel(whole[MIB : 2 * MIB], whole[2 * MIB + 300_000 : 3 * MIB])
    assert parts(near) == [[MIB, 3 * MIB]]
    far = end.parcel([whole[100 : 100 * KIB], whole[7 * MIB + 100 :]])
    assert parts(far) == [[64, 100 * KIB, 7 * MIB + 64, 8 * MIB]]
    assert [len(frame) for frame in carried(end, far)] == [100 * KIB + MIB - 128]
    for parcel in near, far:
        parcel.release()


def test_what_lies_side_by_side_goes_as_one_part(end: End) -> None:
    items = [np.full(10_000, n, np.uint8) for n in range(20)]
    for _ in range(2):  # how large its slot is to be, the parcels before say
        end.parcel(*items).release()
    parcel = end.parcel(*items)
    ((begin, stop),) = parts(parcel)
    assert begin == 0 and 200_000 <= stop <= 202_000
    assert [set(one.tobytes()) for one in moved(end, parcel, end)] == [{n} for n in range(20)]


def test_tensors_arrive_from_another_host(end: End) -> None:
    torch = pytest.importorskip("torch")
    tensor = torch.arange(100_000, dtype=torch.float32).reshape(100, 1000)
    item = {"a": tensor, "b": [tensor[:, :500].t()]}
    for to in end, None:
        (arrived,) = moved(end, end.parcel(item), to)
        assert torch.equal(arrived["a"], item["a"]) and torch.equal(arrived["b"][0], item["b"][0])


def test_tensors_alone_arrive_where_pickles_are_accepted(end: End) -> None:
    torch = pytest.importorskip("torch")
    tensors = [torch.arange(100_000) + n for n in range(3)]
    encoder = LocalEncoder(lender=end.lender)
    for items in tensors, [{"x": tensors[0]}]:
        for to in end, None:
            parcel = encoder.encode([encoder.snapshot(item)[0] for item in items])
            arrived = moved(end, parcel, to, allow_pickle=True)
            if items is tensors:
                assert all(map(torch.equal, arrived, tensors))
            else:
                assert torch.equal(arrived[0]["x"], tensors[0])


def test_an_item_that_looks_like_an_array_in_a_slot_is_none(end: End) -> None:
    item = [[32, "<f8", [1, 2, 3, 4, 5], 0, None, 0, 9], (33, "u1", [9], [0], False, [1], 2)]
    parcel = end.parcel([*item, np.zeros(SIZE)])
    assert parts(parcel) == [[0, 8 * SIZE]]
    (arrived,) = moved(end, parcel, end)
    assert arrived[:2] == item


def test_a_parcel_refers_to_no_other_slots_than_came_with_it(end: End) -> None:
    parcel, other = end.parcel(np.zeros(SIZE)), end.parcel(np.ones(SIZE))
    leases = {tuple(other.held[0].reference()): Moved([0, 8 * SIZE], frame=bytes(8 * SIZE))}
    with pytest.raises(WireFormatError, match="none of the slots that came with it"):
        end.decoder.decode(parcel.body, parcel.frames, leases)
    parcel.release()
    other.release()


@pytest.mark.parametrize("wanted", [[], [5], [5, 5], [6, 5], [-1, 5], [0, 5, 4, 9]], ids=repr)
def test_what_are_no_parts_is_refused(wanted: list[int]) -> None:
    with pytest.raises(WireFormatError, match="no parts of a slot"):
        Moved(wanted, frame=bytes(10))


@pytest.mark.parametrize("wanted", [[800, 8 * SIZE], [0, 64, 128, 256], [900, 1000, 2000, 3000]])
def test_what_did_not_come_is_not_looked_for(end: End, wanted: list[int]) -> None:
    parcel = Encoder(lender=end.lender)
    sent = parcel.encode([parcel.snapshot(np.ones(SIZE))[0]])
    ref = tuple(sent.held[0].reference())
    with pytest.raises(WireFormatError, match="at byte"):
        end.decoder.decode(sent.body, [], {ref: Moved(wanted, frame=bytes(100))})
    sent.release()
