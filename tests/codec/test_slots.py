"""Large arrays by reference: what is lent, what arrives, and who sees what is written to it."""

from __future__ import annotations

import os
import resource
from collections.abc import Callable, Iterator
from typing import Any

import msgpack
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from minipipe.codec import Decoder, Encoder, LocalEncoder, registry, wire
from minipipe.codec.borrower import Borrower, SlotGoneError
from minipipe.codec.lender import Lender
from minipipe.errors import ItemTypeError, WireFormatError
from minipipe.protocol.wiring import Access
from minipipe.shm import SlotBarredError, SlotError, find_slot, supported
from tests.codec import strategies
from tests.codec.ends import End
from tests.codec.sameness import same
from tests.shm.harness import KIB, MIB, Neighbour, Scene, content, write

SIZE = 100_000


@pytest.fixture(autouse=True)
def only_where_supported() -> None:
    if not supported():
        pytest.skip("shared memory slots do not work here")


@pytest.fixture
def neighbour_of() -> Iterator[Callable[[], Neighbour]]:
    made: list[Neighbour] = []

    def make() -> Neighbour:
        made.append(Neighbour())
        return made[-1]

    yield make
    for neighbour in made:
        neighbour.close()


@pytest.fixture
def neighbour(neighbour_of: Callable[[], Neighbour]) -> Neighbour:
    return neighbour_of()


# ------------------------------------------------------------------ what a neighbour can be told
def receive(scene: Scene, body: bytes, name: str, access: Access = "read") -> None:
    decoder = Decoder(allow_pickle=False, borrower=Borrower(scene.reader), access=access)
    (scene.kept[name],) = decoder.decode(body, [])


def send(scene: Scene, name: str) -> bytes:
    """Sends what it has, as an encoder that nobody releases parcels of."""
    lender = scene.kept.setdefault("lender", Lender(scene.pool))
    encoder = Encoder(allow_pickle=False, lender=lender)
    parcel = encoder.encode([encoder.snapshot(scene.kept[name])[0]])
    assert not parcel.frames
    return parcel.body


def settle(scene: Scene) -> None:
    scene.kept["lender"].isolate_sent()


def make(scene: Scene, name: str, value: int) -> None:
    array = scene.kept[name] = scene.pool.empty(SIZE, np.uint8)
    assert array is not None
    array[:] = value


def seen(neighbour: Neighbour, name: str = "it") -> set[int]:
    return set(neighbour.do(content, name))


# ------------------------------------------------------------------ what arrives
BASE = np.arange(60_000, dtype=np.int64).reshape(20, 30, 100)
LAYOUTS: dict[str, Callable[[Any], Any]] = {
    "as it is": lambda a: a,
    "a slice": lambda a: a[1:19, :, 10:90],
    "transposed": lambda a: a.T,
    "axes swapped": lambda a: a.transpose(1, 0, 2),
    "reversed": lambda a: a[::-1, ::-2, ::-1],
    "Fortran order": np.asfortranarray,
    "broadcast": lambda a: np.broadcast_to(a[0], (4, 30, 100)),
    "big-endian": lambda a: a.astype(">i8"),
    "as dates": lambda a: a.view("M8[25us]"),
    "records with gaps": lambda a: a.view(
        np.dtype({"names": ["x", "y"], "formats": ["<i2", "S3"], "offsets": [0, 4], "itemsize": 8})
    ),
    "one field": lambda a: a.view([("x", "<i4"), ("y", "<f4")])["y"],
    "text": lambda a: a.view("<U2")[:, :, ::2] if a.ndim < 3 else a.astype("<U5")[::-1],
    "read-only": lambda a: _read_only(a),
    "0-d": lambda a: np.array(5),
    "empty": lambda a: a[:, :0],
    "many axes": lambda a: a.reshape((1,) * 60 + (20, 30, 100)),
}


def _read_only(array: Any) -> Any:
    view = array[:]
    view.flags.writeable = False
    return view


@pytest.mark.parametrize("layout", LAYOUTS)
def test_an_array_of_any_layout_arrives_as_it_was(end: End, layout: str) -> None:
    array = LAYOUTS[layout](BASE)
    parcel = end.parcel(array)
    assert bool(parcel.held) == (array.nbytes >= 64 * KIB)
    (arrived,) = end.received(parcel)
    assert same(array, arrived)
    assert arrived.flags.f_contiguous == array.flags.f_contiguous
    del arrived
    assert end.is_idle


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_view_of_what_lies_in_a_slot_is_not_copied(end: End, layout: str) -> None:
    whole = end.pool.empty(BASE.shape, BASE.dtype)
    assert whole is not None
    whole[...] = BASE
    array = LAYOUTS[layout](whole)
    place = find_slot(array)
    parcel = end.parcel(array)
    if place is not None and array.nbytes >= 64 * KIB:
        assert parcel.held == (place.held,)
    (arrived,) = end.received(parcel)
    assert same(LAYOUTS[layout](BASE), arrived)
    del arrived, array, whole, place
    assert end.is_idle


@pytest.mark.parametrize("layout", ["as it is", "a slice", "reversed", "Fortran order"])
def test_what_was_borrowed_is_passed_on_without_a_copy(end: End, layout: str) -> None:
    first = end.trip(BASE)
    again = end.trip(LAYOUTS[layout](first))
    assert same(LAYOUTS[layout](BASE), again)
    if layout != "Fortran order":
        assert np.shares_memory(first, end.trip(again))


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(item=strategies.items)
def test_any_item_arrives_with_all_its_arrays_in_slots(tiny: End, item: Any) -> None:
    parcel = tiny.parcel({"it": item})
    arrived = tiny.received(parcel)[0]["it"]
    assert same(item, arrived)
    del arrived
    tiny.lender.isolate_sent()
    assert not tiny.pool._taken


@pytest.fixture(scope="module")
def tiny() -> Iterator[End]:
    made = End(min_bytes=1)
    yield made
    assert made.is_idle
    made.close()


def test_an_array_that_occurs_twice_is_one_slot_and_arrives_as_one_array(end: End) -> None:
    array = np.zeros(SIZE)
    parcel = end.parcel({"a": array, "b": [array]})
    assert len(parcel.held) == 1
    (arrived,) = end.received(parcel)
    assert arrived["a"] is arrived["b"][0]


def test_two_views_of_one_slot_arrive_as_views_of_one_slot(end: End) -> None:
    array = end.empty(1)
    (arrived,) = end.received(end.parcel([array[:70_000], array[20_000:]]))
    assert np.shares_memory(*arrived)


def test_without_a_slot_an_array_travels_in_a_frame(end: End) -> None:
    array = np.zeros(65 * MIB, np.uint8)
    parcel = end.parcel(array)
    assert len(parcel.frames) == 1 and not parcel.held
    assert end.received(parcel)[0].flags.writeable


def test_the_size_of_a_parcel_counts_its_slots_once_each_and_as_a_whole(end: End) -> None:
    array = end.empty(0, MIB)
    parcel = end.parcel([array[1:], array[:500_000], np.zeros(SIZE)])
    assert MIB + 8 * SIZE <= parcel.size_bytes < MIB + 8 * SIZE + 1000
    parcel.release()


def test_whoever_accepts_no_shared_memory_refuses_it(end: End) -> None:
    parcel = end.parcel(np.zeros(SIZE))
    with pytest.raises(WireFormatError, match="not accepted here"):
        Decoder().decode(parcel.body, parcel.frames)
    parcel.release()


# ------------------------------------------------------------------ how long slots are held
def test_a_parcel_keeps_its_slots_until_it_is_released(end: End) -> None:
    parcel = end.parcel(np.ones(SIZE), np.ones(SIZE))
    assert not end.is_idle
    parcel.release()
    assert end.is_idle


def test_a_view_that_arrived_keeps_its_slot(end: End) -> None:
    array = end.trip({"x": np.ones(SIZE)})["x"][::-7]
    assert not end.is_idle
    del array
    assert end.is_idle


def test_an_item_that_is_never_encoded_can_be_discarded(end: End) -> None:
    token, _ = end.encoder.snapshot([np.ones(SIZE)])
    end.encoder.discard(token)
    end.encoder.discard(token)
    end.encoder.discard(5)
    assert end.is_idle


def test_an_item_that_cannot_be_sent_holds_nothing(end: End) -> None:
    with pytest.raises(ItemTypeError, match=r"item\[1\]"):
        end.encoder.snapshot([np.ones(SIZE), object()])
    assert end.is_idle


def test_an_item_that_is_written_twice_is_lent_once(end: End) -> None:
    parcel = end.parcel([np.ones(SIZE), 2**70])  # msgpack fails, and then it is written carefully
    assert len(parcel.held) == 1
    parcel.release()
    assert end.is_idle


def test_what_was_released_before_it_was_mapped_is_gone(end: End) -> None:
    late, other = end.parcel(np.ones(SIZE)), end.parcel(np.ones(SIZE))
    late.release()
    again = end.parcel(np.zeros(SIZE))
    with pytest.raises(SlotGoneError, match=f"process {os.getpid()} is gone"):
        end.decoder.decode(late.body, late.frames)
    assert not end.received(again)[0].any()
    other.release()
    assert end.is_idle


def test_what_a_process_sent_that_was_killed_since_is_gone(end: End, neighbour: Neighbour) -> None:
    neighbour.do(make, "it", 1)
    body = neighbour.do(send, "it")
    neighbour.kill()
    with pytest.raises(SlotGoneError, match=f"process {neighbour.pid} is gone"):
        end.decoder.decode(body, [])


def test_no_more_descriptors_is_no_fault_of_the_message(end: End) -> None:
    parcel = end.parcel(np.ones(SIZE))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.dup(0)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
    try:
        with pytest.raises(SlotError, match="ulimit -n"):
            end.decoder.decode(parcel.body, parcel.frames)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert end.received(parcel)[0].all()


# ------------------------------------------------------------------ who may write
def test_what_was_borrowed_to_read_cannot_be_written(end: End) -> None:
    end.encoder.exclusive = True
    array = end.trip(np.ones(SIZE), "read")
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 5
    with pytest.raises(ValueError, match="WRITEABLE"):
        array.flags.writeable = True


@pytest.mark.parametrize("exclusive", [False, True])
@pytest.mark.parametrize("origin", ["an array", "mp.empty", "borrowed"])
@pytest.mark.parametrize("access", ["read", "write", "private"])
def test_no_writer_changes_what_another_one_sees(
    end: End, exclusive: bool, origin: str, access: Access
) -> None:
    array = {
        "an array": lambda: np.ones(SIZE, np.uint8),
        "mp.empty": lambda: end.empty(1),
        "borrowed": lambda: end.trip(np.ones(SIZE, np.uint8)),
    }[origin]()
    end.encoder.exclusive = exclusive
    parcel = end.parcel(array)
    end.lender.isolate_sent()
    end.decoder.access = access
    (arrived,) = end.decoder.decode(parcel.body, parcel.frames)
    may_write = access == "private" or (access == "write" and exclusive and origin != "borrowed")
    assert arrived.flags.writeable == may_write

    if may_write:
        arrived[:] = 7
    assert array.all() and set(array.tobytes()) == {1}
    in_place = access == "write" and exclusive and origin == "an array"
    (again,) = end.received(parcel, "read")
    assert set(again.tobytes()) == ({7} if in_place else {1})


def test_what_was_written_privately_is_sent_as_it_was_written(
    end: End, neighbour: Neighbour
) -> None:
    array = end.trip(np.ones(SIZE, np.uint8), "private")
    array[:] = 2
    parcel = end.parcel(array)
    array[:] = 3
    neighbour.do(receive, parcel.body, "it")
    parcel.release()
    assert seen(neighbour) == {2}


# ------------------------------------------------------------------ isolation
def test_what_the_owner_writes_later_reaches_nobody(
    end: End, neighbour_of: Callable[[], Neighbour]
) -> None:
    early, late = neighbour_of(), neighbour_of()
    array = end.empty(1)
    parcel = end.parcel([array])
    early.do(receive, parcel.body, "list")
    end.lender.isolate_sent()
    array[:] = 2
    late.do(receive, parcel.body, "list")
    parcel.release()
    for neighbour in (early, late):
        assert neighbour.do(sums, "list") == [SIZE]
    assert set(array.tobytes()) == {2}


def sums(scene: Scene, name: str) -> list[int]:
    return [int(array.sum()) for array in scene.kept[name]]


def test_an_array_that_is_sent_again_arrives_as_it_was_each_time(
    end: End, neighbour: Neighbour
) -> None:
    array = end.empty()
    for value in range(4):
        array[::2] = value
        parcel = end.parcel(array)
        neighbour.do(receive, parcel.body, str(value))
        parcel.release()
        end.lender.isolate_sent()
    array[:] = 9
    for value in range(4):
        assert seen(neighbour, str(value)) == {0, value}


def test_a_view_that_is_kept_is_cut_off_as_well(end: End, neighbour: Neighbour) -> None:
    array = end.empty(1)
    kept = array[5_000:].reshape(-1, 5)[::-1]
    parcel = end.parcel(array)
    del array
    end.lender.isolate_sent()
    kept[...] = 2
    neighbour.do(receive, parcel.body, "it")
    parcel.release()
    assert seen(neighbour) == {1}
    assert find_slot(kept) is None


def test_what_the_consumer_writes_does_not_change_what_the_owner_keeps(
    end: End, neighbour: Neighbour
) -> None:
    end.encoder.exclusive = True
    array = end.empty(1)
    parcel = end.parcel(array)
    neighbour.do(receive, parcel.body, "it", "write")
    parcel.release()
    neighbour.do(write, "it", 7)
    end.lender.isolate_sent()
    assert set(array.tobytes()) == {1}
    assert seen(neighbour) == {7}


def test_a_slot_of_which_nothing_was_kept_is_not_cut_off(end: End) -> None:
    array = end.empty(1)
    parcel = end.parcel(array)
    del array
    end.lender.isolate_sent()
    assert not parcel.held[0].is_isolated and not end.lender.writable_after_send
    parcel.release()
    assert end.is_idle


def test_what_nobody_here_can_write_to_is_not_cut_off(end: End) -> None:
    array = end.trip(np.ones(SIZE))
    parcel = end.parcel(array)
    end.lender.isolate_sent()
    assert find_slot(array) is not None
    parcel.release()


def test_a_slot_that_was_cut_off_is_shared_again_when_it_is_used_anew(
    end: End, neighbour: Neighbour
) -> None:
    array = end.empty(1)
    address = array.ctypes.data
    parcel = end.parcel(array)
    end.lender.isolate_sent()
    parcel.release()
    array[:] = 2
    del array
    again = end.empty(3)
    assert again.ctypes.data == address
    parcel = end.parcel(again)
    neighbour.do(receive, parcel.body, "it")
    parcel.release()
    assert seen(neighbour) == {3}


def test_a_borrowed_array_that_is_written_passed_on_and_kept_is_cut_off(
    end: End, neighbour: Neighbour
) -> None:
    end.encoder.exclusive = True
    parcel = end.parcel(np.ones(SIZE, np.uint8))
    neighbour.do(receive, parcel.body, "it", "write")
    parcel.release()
    neighbour.do(write, "it", 2)
    body = neighbour.do(send, "it")
    (passed_on,) = end.decoder.decode(body, [])
    neighbour.do(settle)
    neighbour.do(write, "it", 3)
    assert set(passed_on.tobytes()) == {2}

    # And when it comes back, in a loop, it is what was passed on.
    parcel = end.parcel(passed_on)
    neighbour.do(receive, parcel.body, "back")
    assert (seen(neighbour, "it"), seen(neighbour, "back")) == ({3}, {2})
    neighbour.do(send, "it")


def test_slots_that_were_cut_off_and_borrowed_again_are_let_go_of(end: End) -> None:
    reader = end.reader
    array = end.empty(1)
    parcel = end.parcel(array)
    del array
    first = reader.borrow(parcel.held[0].reference())
    assert first is not None
    kept = first.array(np.uint8, (SIZE,), access="write")
    first.isolate()
    kept[:] = 2
    second = reader.borrow(parcel.held[0].reference())
    assert second is not None and second is not first
    shown = second.array(np.uint8, (SIZE,), access="write")
    second.isolate()
    third = reader.borrow(parcel.held[0].reference())
    assert third is not None and third is not second
    parcel.release()
    assert (set(kept.tobytes()), set(shown.tobytes())) == ({2}, {1})

    first.release()
    del kept
    assert not end.is_idle
    third.release()
    assert not end.is_idle and set(shown.tobytes()) == {1}
    second.release()
    del shown
    assert end.is_idle


def test_an_isolated_array_outlives_its_pool_and_its_reader(end: End) -> None:
    array = end.empty(1)
    parcel = end.parcel(array)
    end.lender.isolate_sent()
    array[:5] = 2
    end.close()
    parcel.release()
    end.lender.isolate_sent()
    assert set(array.tobytes()) == {1, 2}


def test_what_cannot_be_cut_off_is_an_error_that_says_so(end: End, neighbour: Neighbour) -> None:
    array = end.empty(1)
    parcel = end.parcel(array)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.dup(0)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
    try:
        with pytest.raises(SlotError, match="ulimit -n"):
            end.lender.isolate_sent()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    end.lender.isolate_sent()
    array[:] = 2
    neighbour.do(receive, parcel.body, "it")
    parcel.release()
    assert seen(neighbour) == {1}


def test_a_slot_that_cannot_be_shared_again_is_not_used_again(end: End) -> None:
    array = end.empty(1)
    address = array.ctypes.data
    parcel = end.parcel(array)
    end.lender.isolate_sent()
    parcel.release()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.dup(0)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
    try:
        del array
        end.pool.drain()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert end.empty(2).ctypes.data != address


# ------------------------------------------------------------------ hostile nodes
def _crafted(end: End, node: Any) -> None:
    body = msgpack.packb([wire.FORMAT_VERSION, wire.NODES, [node]])
    for access in ("read", "write", "private"):
        end.decoder.access = access  # type: ignore[assignment]
        with pytest.raises((WireFormatError, SlotGoneError, SlotBarredError)):
            end.decoder.decode(body, [])


@pytest.mark.parametrize(
    "change",
    [
        {1: "O"},
        {1: "V0"},
        {1: ["sub", "<f4", 2]},
        {1: 5},
        {2: None},
        {2: [1, 2, 3, 4]},
        {2: [-1, 2, 3, 4, 5]},
        {2: [1, 2, 3, 4, 5]},
        {2: [2**63, 2**63, 2**63, 2**63, 2**63]},
        {3: -1},
        {3: 10 * MIB},
        {3: 2**63},
        {3: True},
        {3: None},
        {4: [MIB]},
        {4: [-1]},
        {4: [2**63]},
        {4: [1, 1]},
        {4: []},
        {4: [None]},
        {5: 3},
        {5: -1},
        {5: None},
        {6: -1},
        {6: 10 * MIB},
        {6: 2**63},
        {6: None},
        {6: [1]},
    ],
    ids=str,
)
def test_a_crafted_reference_is_refused(end: End, change: dict[int, Any]) -> None:
    parcel = end.parcel([np.ones(SIZE, np.uint8)])
    node = msgpack.unpackb(parcel.body)[2][0][1][0]
    assert node[0] == wire.SLOT_ARRAY
    for place, value in change.items():
        node[place] = value
    _crafted(end, node)
    assert end.received(parcel)[0][0].all()
    assert end.is_idle


@pytest.mark.parametrize("length", range(6))
def test_a_truncated_reference_is_refused(end: End, length: int) -> None:
    parcel = end.parcel([np.ones((SIZE, 2), np.uint8)])
    _crafted(end, msgpack.unpackb(parcel.body)[2][0][1][0][:length])
    parcel.release()


@pytest.mark.parametrize("part", range(5))
def test_a_reference_to_another_slot_is_gone(end: End, part: int) -> None:
    parcel = end.parcel([np.ones(SIZE, np.uint8)])
    node = msgpack.unpackb(parcel.body)[2][0][1][0]
    node[2][part] += 10_000
    _crafted(end, node)
    parcel.release()


# ------------------------------------------------------------------ tensors
def test_a_tensor_lies_in_a_slot_and_can_be_written_to(end: End, neighbour: Neighbour) -> None:
    torch = pytest.importorskip("torch")
    for tensor in (
        torch.arange(SIZE),
        torch.rand(10, 3, 64, 64).to(memory_format=torch.channels_last),
        torch.rand(300, 300, requires_grad=True),
        torch.rand(SIZE).to(torch.bfloat16),
        torch.arange(3 * SIZE)[::3],
    ):
        parcel = end.parcel({"x": tensor})
        assert len(parcel.held) == 1 and not parcel.frames
        first, again = end.decoder.decode(parcel.body, []) + end.received(parcel)
        for arrived in (first["x"], again["x"]):
            assert (arrived.dtype, arrived.shape) == (tensor.dtype, tensor.shape)
            assert arrived.requires_grad == tensor.requires_grad and arrived.is_leaf
            assert torch.equal(arrived, tensor) and arrived._base is None
        if tensor.dim() == 4:
            assert arrived.stride() == tensor.stride()
        with torch.no_grad():
            first["x"].zero_()
        assert torch.equal(again["x"], tensor)
        del first, again, arrived, parcel
    assert end.is_idle


@pytest.mark.parametrize("change", [{1: "load"}, {2: [10**12]}, {3: [5]}, {5: [1]}, {6: 2**40}])
def test_a_crafted_reference_to_a_tensor_is_refused(end: End, change: dict[int, Any]) -> None:
    torch = pytest.importorskip("torch")
    parcel = end.parcel(torch.zeros(SIZE))
    node = msgpack.unpackb(parcel.body)[2][0]
    assert node[0] == registry.MODULES["torch"].tags[1]
    for place, value in change.items():
        node[place] = value
    _crafted(end, node)
    parcel.release()


def test_a_pool_that_is_not_there_any_more_lends_nothing(end: End) -> None:
    end.pool.close()
    parcel = end.parcel(np.ones(SIZE))
    assert len(parcel.frames) == 1
    assert end.received(parcel)[0].all()


def test_items_of_several_processes_go_through_several_hands(
    end: End, neighbour_of: Callable[[], Neighbour]
) -> None:
    first, second = neighbour_of(), neighbour_of()
    first.do(make, "it", 5)
    second.do(receive, first.do(send, "it"), "it")
    body = second.do(send, "it")
    first.kill()
    (arrived,) = end.decoder.decode(body, [])
    assert set(arrived.tobytes()) == {5}


# ------------------------------------------------------------------ inside of pickles
class LocalEnd(End):
    """One that pickles what is no array alone."""

    def __init__(self, min_bytes: int = 64 * KIB) -> None:
        super().__init__(min_bytes)
        self.encoder = LocalEncoder(lender=self.lender)
        self.decoder = Decoder(borrower=Borrower(self.reader))


@pytest.fixture
def local_end() -> Iterator[LocalEnd]:
    made = LocalEnd()
    yield made
    made.close()


class Holder:
    def __init__(self, array: Any) -> None:
        self.array = array


def test_a_large_array_of_any_object_lies_in_a_slot(local_end: LocalEnd) -> None:
    array = np.arange(SIZE, dtype=np.uint8)
    item = {"a": Holder(array), "again": [array], "turned": array.reshape(100, -1).T[::2]}
    parcel = local_end.parcel(item)
    assert parcel.held and not parcel.frames
    (arrived,) = local_end.received(parcel)
    assert same(array, arrived["a"].array) and arrived["again"][0] is arrived["a"].array
    assert same(item["turned"], arrived["turned"])
    assert not arrived["a"].array.flags.writeable
    del arrived
    assert local_end.is_idle


def test_what_is_written_to_an_array_after_it_was_sent_reaches_nobody(
    local_end: LocalEnd,
) -> None:
    array = local_end.empty(fill=1)
    parcel = local_end.parcel([Holder(array), 3])
    assert local_end.lender.writable_after_send
    local_end.lender.isolate_sent()
    array[:] = 2
    ((holder, _),) = local_end.received(parcel)
    assert holder.array[0] == 1 and array[0] == 2


def test_nothing_of_an_item_counts_as_written_to_once_it_is_pickled(local_end: LocalEnd) -> None:
    array = local_end.empty(fill=1)
    parcel = local_end.parcel([Holder(array), 3])
    del array
    (held,) = set(parcel.held)
    local_end.lender.isolate_sent()
    assert not held.writers  # so there was nothing to isolate
    parcel.release()
    assert local_end.is_idle


class Fails:
    def __reduce__(self) -> Any:
        raise ZeroDivisionError


def test_what_was_lent_for_an_item_that_is_not_sent_is_let_go(local_end: LocalEnd) -> None:
    array = np.ones(SIZE)
    token, size = local_end.encoder.snapshot([Holder(array)])
    assert size >= array.nbytes
    local_end.encoder.discard(token)
    with pytest.raises(ItemTypeError, match="ZeroDivisionError"):
        local_end.encoder.snapshot([array, Fails()])
    assert local_end.is_idle


def test_one_who_may_write_gets_arrays_to_write_to(local_end: LocalEnd) -> None:
    local_end.encoder.exclusive = True
    for access, is_writable in (("read", False), ("write", True), ("own", True), ("private", True)):
        holder = local_end.trip(Holder(np.ones(SIZE)), access)  # type: ignore[arg-type]
        assert holder.array.flags.writeable is is_writable
