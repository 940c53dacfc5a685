"""The arrays of a parcel side by side in one slot: what is lent of it, and what arrives."""

from __future__ import annotations

from typing import Any

import msgpack
import numpy as np
import pytest

from minipipe.codec import Decoder, Parcel, wire
from minipipe.codec.borrower import SlotGoneError
from minipipe.codec.parcel_slot import Filling, Picks
from minipipe.errors import WireFormatError
from minipipe.shm import Borrowed, SlotBarredError, find_slot
from minipipe.shm.handle import SlotHandle
from tests.codec.ends import End
from tests.shm.harness import KIB, MIB

PART = 40_000


def part(value: int, size: int = PART) -> Any:
    return np.full(size, value % 256, np.uint8)


def parts(count: int) -> list[Any]:
    return [part(value) for value in range(count)]


def settled(end: End, count: int = 10) -> None:
    """Some parcels have gone by, so that it is known what one comes to."""
    for _ in range(3):
        end.received(end.parcel(*parts(count)))
    end.reader.drain()


def leases(end: End, parcel: Parcel) -> dict[tuple[int, ...], Borrowed]:
    """What a consumer has borrowed for a parcel."""
    found = {}
    for held in parcel.held:
        lease = end.reader.borrow(held.reference())
        assert lease is not None
        found[tuple(held.reference())] = Borrowed(end.reader, lease)
    return found


def slots_of(parcel: Parcel) -> list[SlotHandle]:
    return list(parcel.held)


# ------------------------------------------------------------------ one slot
def test_a_parcel_of_arrays_is_one_slot_one_reference_and_one_run(end: End) -> None:
    settled(end)
    parcel = end.parcel(*parts(10))
    assert len(parcel.held) == 1 and not parcel.frames
    version, kind, runs = msgpack.unpackb(parcel.body)
    assert (version, kind, len(runs)) == (wire.FORMAT_VERSION, wire.SLOTS, 1)
    assert [set(array) for array in end.received(parcel)] == [{value} for value in range(10)]
    assert end.is_idle


def test_arrays_of_all_kinds_lie_in_it_in_items_of_all_kinds(end: End) -> None:
    settled(end, 30)
    strided = np.arange(40_000.0).reshape(100, 400)[:, ::2]
    items = [
        part(1),
        {"x": part(2), "y": [strided]},
        np.asfortranarray(strided),
        3,
        (part(4).reshape(4, -1), "text"),
        strided,
        part(5),
        np.zeros(5),
    ]
    parcel = end.parcel(*items)
    assert len(parcel.held) == 1
    one, two, three, four, five, six, seven, eight = end.received(parcel)
    assert set(one) == {1} and set(two["x"]) == {2} and set(seven) == {5} and four == 3
    for arrived in (two["y"][0], three, six):
        assert (arrived == strided).all()
    assert three.flags.f_contiguous and (eight == 0).all()
    assert five[0].shape == (4, 10_000) and (five[0] == 4).all()


def test_small_arrays_go_in_the_message_while_parcels_have_little_of_them(
    end: End,
) -> None:
    for _ in range(4):
        assert not end.parcel(part(1)).held
    for count, has_slots in ((5, True), (5, True), (1, True), (1, True), (1, False)):
        parcel = end.parcel(*parts(count))
        assert bool(parcel.held) == has_slots, count
        parcel.release()


def test_a_slot_is_as_large_as_the_parcels_before_come_to(end: End) -> None:
    sizes = []
    for count in (20, 20, 20, 2, 2, 2, 20):
        parcel = end.parcel(*parts(count))
        sizes.append([held.size_bytes // KIB for held in parcel.held])
        parcel.release()
    assert sizes[2] == [1024]
    assert sizes[3] == [1024]  # it is not known before
    assert sizes[5] == [96]
    # More than there was before: one more slot, as large as what there is, each time.
    assert len(sizes[6]) > 2 and sum(sizes[6]) < 2 * 1024


def test_large_arrays_and_those_of_mp_empty_have_slots_of_their_own(
    end: End,
) -> None:
    settled(end)
    parcel = end.parcel(part(1), part(2, MIB), end.empty(3), part(4))
    assert sorted(held.size_bytes for held in parcel.held)[1:] == [512 * KIB, MIB]
    assert [set(array) for array in end.received(parcel)] == [{1}, {2}, {3}, {4}]


def test_each_stream_has_a_slot_of_its_own(end: End) -> None:
    encoder = end.encoder
    tokens: dict[int, list[object]] = {1: [], 2: []}
    for value in range(20):
        for stream, under_way in tokens.items():
            encoder.begin(stream, exclusive=True)
            under_way.append(encoder.snapshot(part(value + stream, 70_000))[0])
    parcels = []
    for stream, under_way in tokens.items():
        encoder.begin(stream, exclusive=True)
        parcels.append(encoder.encode(under_way))
    assert not set(parcels[0].held) & set(parcels[1].held)
    for stream, parcel in enumerate(parcels, 1):
        arrived = end.received(parcel)
        assert [set(array) for array in arrived] == [{value + stream} for value in range(20)]


def test_what_is_not_sent_yet_stays_when_a_part_of_it_is(end: End) -> None:
    settled(end)
    tokens = [end.encoder.snapshot(array)[0] for array in parts(10)]
    first = end.encoder.encode(tokens[:3])
    later = end.encoder.snapshot(part(77))[0]
    second = end.encoder.encode([*tokens[3:9], later])
    end.encoder.discard(tokens[9])
    assert [int(array[0]) for array in end.received(second)] == [*range(3, 9), 77]
    assert [int(array[0]) for array in end.received(first)] == [0, 1, 2]
    assert end.is_idle


def test_after_an_isolation_the_next_array_goes_to_another_slot(end: End) -> None:
    settled(end)
    first = end.encoder.snapshot(part(1))[0]
    slot = first.kind.held  # type: ignore[attr-defined]
    slot.isolate()  # what is written here from now on would reach nobody
    second = end.encoder.snapshot(part(2))[0]
    arrived = end.received(end.encoder.encode([first, second]))
    assert [set(array) for array in arrived] == [{1}, {2}]


# ------------------------------------------------------------------ who may write
@pytest.mark.parametrize("access", ["write", "own"])
def test_who_may_write_gets_copies_that_keep_no_slot(
    end: End,
    access: Any,
) -> None:
    settled(end)
    end.encoder.exclusive = True
    for item in (part(1), [part(1)]):
        parcel = end.parcel(item, *parts(9))
        arrived = end.received(parcel, access)
        one = arrived[0] if isinstance(item, np.ndarray) else arrived[0][0]
        del arrived
        assert one.flags.writeable and set(one) == {1} and find_slot(one) is None
        one[:] = 9
        assert end.is_idle


@pytest.mark.parametrize("pack", [lambda array: array, lambda array: [array]])
def test_who_writes_privately_keeps_the_slot_only_while_much_of_it_is_kept(
    end: End, pack: Any
) -> None:
    settled(end)
    parcel = end.parcel(*map(pack, parts(10)))
    before = end.decoder.decode(parcel.body, [])
    arrived = end.received(parcel, "private")
    one = arrived[3] if isinstance(arrived[3], np.ndarray) else arrived[3][0]
    assert one.flags.writeable and find_slot(one) is not None
    one[:100] = 9
    assert all(set(np.ravel(array)) == {value} for value, array in enumerate(before))
    del arrived, before
    assert not end.is_idle
    end.reader.tend()  # as it is each second, and after some MiB
    assert end.is_idle  # the memory is given back: who looks there, finds zeros
    assert set(one[:100]) == {9} and set(one[100:]) == {3} and find_slot(one) is None
    one[:] = 4
    del one
    again = end.received(end.parcel(*parts(10)), "private")
    assert [set(array) for array in again] == [{value} for value in range(10)]


def test_each_byte_of_a_parcel_is_lent_once_to_who_writes_privately(end: End) -> None:
    relay = End()
    settled(end)
    whole = np.arange(50_000, dtype=np.uint16)
    (arrived,) = relay.received(end.parcel(whole, *parts(9)))[:1]
    windows = [arrived[:40_000], arrived[5_000:45_000], arrived[:40_000], arrived[45_000:]]
    parcel = relay.parcel(*windows, *windows[:2])
    borrowed = leases(end, parcel)
    end.decoder.access = "private"
    for _ in range(2):  # the second time as an original is made anew
        found = end.decoder.decode(parcel.body, [], leases=borrowed)
        for sent, array in zip([*windows, *windows[:2]], found, strict=True):
            assert (array == sent).all()
            array[:] = 0
    assert (arrived == whole).all()
    del found, array
    for each in borrowed.values():
        each.release()
    parcel.release()
    relay.close()


def test_who_may_look_only_sees_the_slot(end: End) -> None:
    settled(end)
    parcel = end.parcel(*parts(10))
    borrowed = leases(end, parcel)
    one, *_ = end.decoder.decode(parcel.body, [], leases=borrowed)
    place = find_slot(one)
    assert place is not None and place.held is next(iter(borrowed.values())).lease
    with pytest.raises(ValueError, match="read-only"):
        one[0] = 1
    assert isinstance(one.base, np.ndarray) and one.base.nbytes == one.nbytes  # nothing beside it
    for each in borrowed.values():
        each.release()
    parcel.release()


# ------------------------------------------------------------------ passing on
def _passed_on(end: End, relay: End, picked: slice) -> Parcel:
    """What a stateless worker sends of a parcel of which it passes on some arrays."""
    parcel = end.parcel(*parts(20))
    borrowed = leases(relay, parcel)
    items = relay.decoder.decode(parcel.body, [], leases=borrowed)
    parcel.release()
    sent = relay.parcel(*items[picked])
    del items
    for each in borrowed.values():
        each.release()
    return sent


def test_who_passes_on_much_does_so_by_reference_and_who_passes_on_little_copies(
    end: End,
) -> None:
    settled(end, 20)
    relay = End()
    for picked, is_copied in ((slice(8), False), (slice(3), True), (slice(8), False)):
        for _ in range(8):  # it takes some to know
            sent = _passed_on(end, relay, picked)
            own = [held for held in sent.held if held.ref_counts is relay.pool]
            arrived = end.received(sent)
            assert [int(array[0]) for array in arrived] == list(range(picked.stop))
        assert bool(own or sent.frames) == is_copied, picked
    del arrived, sent, own
    relay.close()


def test_of_a_very_large_slot_no_parcel_has_much(end: End) -> None:
    slot = end.pool.take(40 * MIB)
    assert slot is not None
    lease = end.reader.borrow(slot.reference())
    assert lease is not None
    borrowed = Borrowed(end.reader, lease)
    arrays = borrowed.slices(np.dtype(np.uint8), 200_000, [n * 200_000 for n in range(200)])
    parcel = end.parcel(*arrays[:20])
    assert all(held.ref_counts is end.pool for held in parcel.held)
    parcel.release()
    large = end.parcel(borrowed.slices(np.dtype(np.uint8), 20 * MIB, [0])[0])
    assert large.held == (lease,)
    large.release()
    borrowed.release()
    slot.release()


def test_who_passes_on_all_in_parcels_of_little_passes_on_much(end: End) -> None:
    """A quick worker sends what it has every 2 ms, so it sends the arrays of a slot in parts."""
    picks = Picks()
    settled(end, 20)
    for _ in range(10):
        parcel = end.parcel(*parts(20))
        for _ in range(10):
            picks.passed(parcel.held[0], 2 * PART)
            assert not picks.are_few
        parcel.release()


def test_a_filling_that_gets_no_slot_says_so(end: End) -> None:
    end.pool.close()
    filling = Filling(end.pool)
    assert filling.put(part(1, 100_000)) is None


# ------------------------------------------------------------------ what nobody has sent
@pytest.mark.parametrize(
    "change",
    [
        {0: "O"},
        {0: "V0"},
        {0: ["sub", "<f4", 2]},
        {0: 5},
        {1: [MIB]},
        {1: [-1]},
        {1: [2**63]},
        {1: 5},
        {1: None},
        {2: [2**40]},
        {2: [None]},
        {2: 5},
        {2: [1, 1]},
        {3: None},
        {3: [1, 2, 3, 4]},
        {3: [1, 2, 3, 4, 5]},
        {4: 3},
        {4: None},
        {5: [-1]},
        {5: [10 * MIB]},
        {5: [2**63]},
        {5: [None]},
        {5: 7},
        {5: None},
    ],
    ids=str,
)
def test_a_crafted_run_is_refused(end: End, change: dict[int, Any]) -> None:
    settled(end)
    parcel = end.parcel(*parts(10))
    borrowed = leases(end, parcel)
    (run,) = msgpack.unpackb(parcel.body)[2]
    for place, value in change.items():
        run[place] = value
    body = msgpack.packb([wire.FORMAT_VERSION, wire.SLOTS, [run]])
    for access in ("read", "write", "private"):
        end.decoder.access = access  # type: ignore[assignment]
        for known in ({}, borrowed):
            with pytest.raises((WireFormatError, SlotGoneError, SlotBarredError)):
                end.decoder.decode(body, [], leases=known)
    for each in borrowed.values():
        each.release()
    assert len(end.received(parcel)) == 10
    assert end.is_idle


@pytest.mark.parametrize("length", range(6))
def test_a_truncated_run_is_refused(end: End, length: int) -> None:
    parcel = end.parcel(part(1, 100_000))
    run = msgpack.unpackb(parcel.body)[2][0][:length]
    with pytest.raises(WireFormatError):
        end.decoder.decode(msgpack.packb([wire.FORMAT_VERSION, wire.SLOTS, [run]]), [])
    with pytest.raises(WireFormatError):
        Decoder().decode(parcel.body, [])  # whoever accepts no shared memory
    parcel.release()
