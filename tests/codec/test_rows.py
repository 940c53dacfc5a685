"""Samples of large arrays: how they travel in columns, and what does not."""

from __future__ import annotations

from typing import Any

import msgpack
import numpy as np
import pytest

from minipipe.codec import LocalEncoder, wire
from minipipe.codec.borrower import Borrower
from minipipe.codec.decoder import Decoder
from minipipe.codec.parcel import Parcel
from minipipe.codec.rows import Rows
from minipipe.codec.shared_arrays import SharedArray
from minipipe.errors import WireFormatError
from minipipe.shm import find_slot
from tests.codec.ends import End
from tests.codec.sameness import same

PART = 40_000


def image(value: int, size: int = PART) -> Any:
    return np.full((4, size // 4), value % 256, np.uint8)


@pytest.fixture
def local(end: End) -> End:
    """It pickles, and knows already that parcels have large arrays."""
    end.encoder = LocalEncoder(lender=end.lender)
    end.decoder = Decoder(borrower=Borrower(end.reader))
    for _ in range(3):
        end.received(end.parcel(*[image(value) for value in range(10)]))
    return end


def kind_of(parcel: Parcel) -> int:
    found: int = msgpack.unpackb(parcel.body, strict_map_key=False)[1]
    return found


def arrived_in_columns(local: End, items: list[Any]) -> list[Any]:
    parcel = local.parcel(*items)
    assert kind_of(parcel) == wire.ROWS and not parcel.frames
    found = local.received(parcel)
    assert same(items, found)
    return found


def test_tuples_of_arrays_numbers_and_texts_go_in_columns(local: End) -> None:
    found = arrived_in_columns(
        local, [(image(i), i, i / 2, bool(i % 2), None, f"{i}.jpg", b"x") for i in range(10)]
    )
    assert all(find_slot(sample[0]) for sample in found)
    del found
    assert local.is_idle


def test_dicts_of_several_arrays_go_in_columns_and_share_a_slot(local: End) -> None:
    items = [
        {"image": image(i), "mask": image(i + 1, 2 * PART).T, "label": i, "more": image(7)}
        for i in range(10)
    ]
    parcel = local.parcel(*items)
    assert len(parcel.held) <= 3  # more than was expected by the parcels before
    parcel.release()
    arrived_in_columns(local, items)
    assert local.is_idle


def test_alike_arrays_of_a_column_are_one_run(local: End) -> None:
    parcel = local.parcel(*[(image(i), image(i, 2 * PART)) for i in range(5)])
    _, _, (keys, makers, columns) = msgpack.unpackb(parcel.body)
    slots = len(parcel.held)
    assert keys is None and makers == ["", ""]
    assert [len(column) <= slots for column in columns] == [True, True]
    parcel.release()


def test_tensors_in_samples_go_in_columns_too(local: End) -> None:
    torch = pytest.importorskip("torch")
    local.received(local.parcel(torch.zeros(20_000)))  # its class is met
    items = [(torch.full((20_000,), float(i)), i) for i in range(5)]
    parcel = local.parcel(*items)
    assert kind_of(parcel) == wire.ROWS
    for (tensor, number), (arrived, other) in zip(items, local.received(parcel), strict=True):
        assert type(arrived) is torch.Tensor and torch.equal(tensor, arrived)
        assert number == other
        arrived += 1  # nobody else sees that
    del arrived


@pytest.mark.parametrize(
    "sample",
    [
        (np.zeros(10), 1),  # small
        (image(1), [1]),
        (image(1), 2**63),
        (image(1), "\udc80"),
        (image(1), "ä"),
        (image(1), np.int64(1)),
        (image(1), np.zeros(3)),
        (image(1), np.array([None] * 10_000)),
        (1, 2),
        {1: image(1)},
        {"ä": image(1)},
        {"a": image(1), "b": {"c": 1}},
        tuple([image(1)] + [0] * 100),
        (),
        {},
    ],
    ids=lambda sample: f"{sample!r:.40}",
)
def test_other_samples_arrive_as_ever(local: End, sample: Any) -> None:
    parcel = local.parcel(sample, sample)
    assert kind_of(parcel) != wire.ROWS
    assert same([sample, sample], local.received(parcel))
    assert local.is_idle


def test_an_object_that_occurs_twice_in_a_sample_still_does(local: End) -> None:
    twice = image(1)
    ((one, other, _),) = local.received(local.parcel((twice, twice, 3)))
    assert one is other


def test_samples_that_are_not_alike_share_a_parcel(local: End) -> None:
    items: list[Any] = [
        (image(1), 1),
        {"x": image(2), "y": 2},
        {"y": 3, "x": image(3)},
        5,
        (image(4), image(5)),
        image(6),
        [image(7)],
    ]
    parcel = local.parcel(*items)
    assert kind_of(parcel) == wire.NODES
    assert same(items, local.received(parcel))
    assert local.is_idle


def test_what_was_lent_of_a_sample_is_taken_back_if_the_rest_finds_no_slot(local: End) -> None:
    lent: list[Any] = []
    back: list[Any] = []

    def lend(array: Any, dtype: str) -> SharedArray | None:
        lent.append(local.lender.lend_alone(array, dtype, exclusive=True))
        if len(lent) == 1:
            return lent[0]  # type: ignore[no-any-return]
        local.lender.discard(lent[1])
        return None

    def discard(shared: SharedArray) -> None:
        back.append(shared)
        local.lender.discard(shared)

    assert Rows({}).row_of((image(1), image(2), 3), lend, discard) is None
    assert len(lent) == 2 and back == [lent[0]]
    local.received(local.parcel(1))
    assert local.is_idle


def test_what_is_not_sent_keeps_no_slot(local: End) -> None:
    for _ in range(3):
        token, size = local.encoder.snapshot((image(1), image(2), 3))
        assert size == 2 * PART
        local.encoder.discard(token)
    local.received(local.parcel(1))
    assert local.is_idle


def test_what_is_written_after_it_was_sent_reaches_nobody(local: End) -> None:
    own = local.empty(1)
    parcel = local.parcel((own, 1))
    local.lender.isolate_sent()
    own[:] = 2
    ((arrived, _),) = local.received(parcel)
    assert set(arrived) == {1}
    del arrived, own
    assert local.is_idle


@pytest.mark.parametrize(
    "payload",
    [
        None,
        [],
        [None, [], []],
        [None, [None], []],
        [None, [None], [3]],
        [None, [None], [[[]]]],
        [None, [None, None], [[1], [1, 2]]],
        [None, [""], [[1]]],
        [None, [""], [["<f4", [1], None, [1, 2, 3, 4, 5], 1, [0]]]],
        [None, [3], [[1]]],
        [["a", "a"], [None, None], [[1], [2]]],
        [["a"], [None, None], [[1], [2]]],
        [[1], [None], [[1]]],
        [3, [None], [[1]]],
    ],
    ids=repr,
)
def test_a_payload_that_no_sender_wrote_is_refused(end: End, payload: Any) -> None:
    body = msgpack.packb([wire.FORMAT_VERSION, wire.ROWS, payload])
    with pytest.raises((WireFormatError, LookupError)):
        end.decoder.decode(body, [])
