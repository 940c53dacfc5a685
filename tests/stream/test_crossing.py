"""Arrays on their way to another host, and the deaths of those who send and receive them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgpack
import numpy as np
import pytest

from minipipe.codec import Decoder, Encoder, parts_of
from minipipe.shm import SlotError, supported
from minipipe.stream import records, wire
from minipipe.stream.freight import NOWHERE, landed, loaded, number_in
from minipipe.stream.lifting import Lifting
from minipipe.stream.memory import Memory, references, sizes
from minipipe.transport import NATIVE, Buffer
from tests.shm.harness import MIB, Neighbour, Scene
from tests.stream.crossing import Crossing

RUN, SENDER = 5, 1
_LATER_S = iter(range(10**9, 2 * 10**9, 1000))


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
    for one in made:
        one.close()


@pytest.fixture
def hosts() -> Iterator[tuple[Crossing, Crossing]]:
    """The gateways of two hosts."""
    made = Crossing(64 * MIB), Crossing(64 * MIB)
    yield made
    for one in made:
        one.close()


# -------------------------------------------------------------- what a process can be told
def send(scene: Scene, items: list[Any], number: int = 0) -> list[bytes]:
    """A message for another host, whose slots this process keeps."""
    memory = scene.kept.setdefault("memory", Memory(64 * MIB))
    encoder = Encoder(allow_pickle=False, lender=memory.lender)
    parcel = scene.kept["parcel"] = encoder.encode([encoder.snapshot(one)[0] for one in items])
    freight = records.Freight(parts_of(parcel.body, sizes(parcel.held)), number=number)
    about = (0, 0, SENDER, (0, len(items)), (), (), (), (), references(parcel.held), ())
    head = wire.Writer(RUN, SENDER).write([freight, records.Items(*about, parcel.body)])
    return [head, *map(bytes, parcel.frames)]


class Anywhere:
    """What a message came by."""

    bound_address, trust = "anywhere", NATIVE

    def receive(self) -> None:
        """Nothing comes here."""


def take(scene: Scene, message: list[Buffer]) -> list[Any] | None:
    """Takes a message in, as a worker does, and keeps its items; a number of each array."""
    memory = scene.kept.setdefault("memory", Memory(None))
    freight, items = wire.read(message, Anywhere()).records()
    assert isinstance(freight, records.Freight) and isinstance(items, records.Items)
    first = len(message) - len(freight.parts)
    place = items.slots, freight.here, freight.parts, message[first:]
    leases = memory.borrow_moved(*place)
    if leases is None:
        return None
    assert isinstance(items.body, bytes)
    decoder = Decoder(allow_pickle=False, borrower=memory.borrower)
    scene.kept["items"] = decoder.decode(items.body, message[1:first], leases)
    for one in leases.values():
        one.release()
    return [array.flat[-1].item() for array in scene.kept["items"]]


def sent_on(message: Any) -> list[bytes]:
    return [bytes(part) for part in message]


def is_empty(lifting: Lifting) -> bool:
    for _ in range(3):
        lifting.tend(next(_LATER_S))
    return lifting.size_bytes == 0


ARRAYS = [np.full(150_000, n, np.float64) for n in (3, 4, 5)]


# ---------------------------------------------------------------------------------- deaths
def test_what_the_gateway_has_borrowed_outlives_its_sender(
    hosts: tuple[Crossing, Crossing], neighbour_of: Callable[[], Neighbour]
) -> None:
    sender, receiver = neighbour_of(), neighbour_of()
    here, there = hosts
    lowered = here.lowering.lower(sender.do(send, ARRAYS))
    sender.kill()
    lifted = there.lifting.lift(there.arrived(lowered), [7])
    del lowered
    assert receiver.do(take, sent_on(lifted)) == [3, 4, 5]


def test_of_who_died_before_nothing_is_received(
    hosts: tuple[Crossing, Crossing], neighbour_of: Callable[[], Neighbour]
) -> None:
    sender, receiver = neighbour_of(), neighbour_of()
    here, there = hosts
    message = sender.do(send, ARRAYS)
    sender.kill()
    lifted = there.cross(here, message, [7])
    assert receiver.do(take, sent_on(lifted)) is None
    del lifted
    assert not there.lifting.held_bytes and is_empty(there.lifting)


def test_receivers_share_one_copy_and_it_is_gone_when_all_are_killed(
    hosts: tuple[Crossing, Crossing], neighbour_of: Callable[[], Neighbour]
) -> None:
    here, there = hosts
    scene = Scene()
    receivers = {ident: neighbour_of() for ident in (7, 8, 9)}
    lifted = there.cross(here, send(scene, ARRAYS), receivers)
    message = sent_on(lifted)
    del lifted
    for ident in 7, 8:
        assert receivers[ident].do(take, message) == [3, 4, 5]
        there.lifting.landed(wire.Writer(RUN, ident).write([records.Landed(1)]))
    total = sum(array.nbytes for array in ARRAYS)
    assert total <= there.lifting.held_bytes <= there.lifting.size_bytes < 1.3 * total
    receivers[9].kill()  # before it has them
    there.lifting.forget([9])
    assert not there.lifting.held_bytes and not is_empty(there.lifting)
    receivers[7].kill()
    assert not is_empty(there.lifting)
    receivers[8].kill()
    assert is_empty(there.lifting)
    scene.kept["parcel"].release()
    scene.kept["memory"].close()
    scene.close()


# --------------------------------------------------------------------- what gateways are told
@pytest.fixture
def scene() -> Iterator[Scene]:
    made = Scene()
    yield made
    made.kept["memory"].close()
    made.close()


def test_a_slot_that_cannot_be_mapped_is_an_empty_frame_and_said_once(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    here = Crossing()

    def refused(ref: object) -> None:
        raise SlotError(1, "no descriptors")

    message = send(scene, ARRAYS)
    with monkeypatch.context() as patch:
        patch.setattr(here.lowering._reader, "borrow", refused)
        assert [len(frame) for frame in here.lowering.lower(message)[1:]] == [0, 0, 0]
    assert [line.message for line in caplog.records] == [
        "items that go to another host are held up: an array in the shared memory of process 1 "
        "cannot be mapped: no descriptors; raise this process's limit on open files (ulimit -n) or "
        "on address space (ulimit -v)"
    ]
    here.close()


def test_what_has_no_parcel_with_slots_goes_as_it_is() -> None:
    here = Crossing()
    writer = wire.Writer(RUN, SENDER)
    for message in (
        [writer.write([records.Mark(0, 1)])],
        [writer.write([records.Mark(0, 1), records.Landed(3)]), b"frame"],
        [b"\xc1"],
        [b""],
        [msgpack.packb([1, 2])],
        [msgpack.packb([2, RUN, 1, [[18, [[[0, 8]], [], 0]], [3, [1, 2]]]])],
        [writer.write([records.Freight(((0, 8),)), records.Freight(((0, 8),))])],
    ):
        assert here.lowering.lower(message) is message
        assert here.lifting.lift(message, [1]) is message
        here.lifting.landed(message[0])
    here.close()


@pytest.mark.parametrize("parts", [((),), ((1,),), ((0, "8"),), ((0, 8), (0, 8)), ()], ids=repr)
def test_parts_that_do_not_fit_their_slots_are_not_looked_for(parts: Any) -> None:
    items = records.Items(0, 0, 1, (0, 1), (), (), (), (), (1, 2, 3, 4, 5), (), b"")
    head = wire.Writer(RUN, SENDER).write([records.Freight(parts), items])
    assert loaded(head) is None


def test_references_of_another_host_are_not_believed(hosts: tuple[Crossing, Crossing]) -> None:
    _, there = hosts
    items = records.Items(0, 0, 1, (0, 1), (), (), (), (), (1, 2, 3, 4, 5), (), b"")
    freight = records.Freight(((0, 8),), here=(9, 8, 7, 6, 5), number=77)
    message: list[Buffer] = [wire.Writer(RUN, SENDER).write([freight, items]), b""]
    found = loaded(there.lifting.lift(message, [1])[0])
    assert found is not None and found.freight == records.Freight(((0, 8),), NOWHERE, 0)


def test_a_worker_says_the_last_number_that_has_landed() -> None:
    writer = wire.Writer(RUN, 9)
    assert landed(writer.write([records.Landed(3), records.Landed(5)])) == (9, 5)
    for head in b"", writer.write([]), msgpack.packb([2, RUN, 9, [[19, ["5"]]]]):
        assert landed(head) is None


def test_of_a_message_that_is_dropped_the_number_is_read() -> None:
    head = wire.Writer(RUN, 9).write([records.Mark(0, 1), records.Freight((), (), 5)])
    assert number_in(wire.read([head], Anywhere()).packed) == 5
    assert number_in([None, (18, ()), (18, ((), (), "5")), (3, ())]) == 0


def test_a_slot_that_two_handles_stand_for_is_referred_to_once(scene: Scene) -> None:
    send(scene, ARRAYS[:1])
    (held,) = scene.kept["parcel"].held
    assert references([held, held]) == list(held.reference())
    first, second = (scene.reader.borrow(held.reference()) for _ in range(2))
    assert first is not None and second is not None
    first.isolate()
    third = scene.reader.borrow(held.reference())
    assert third is not None and third is not first
    assert references([first, third]) == list(first.reference()) and len(sizes([first, third])) == 1
