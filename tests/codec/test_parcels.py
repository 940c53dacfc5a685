"""Parcels of many items, and what may happen to the items afterwards."""

from __future__ import annotations

import numpy as np
import pytest

from minipipe.codec import ATOMS, FORMAT_VERSION, Decoder, Encoder
from minipipe.codec.wire import OUT_OF_BAND_BYTES
from tests.codec.sameness import parcel_trip, same, trip


@pytest.mark.parametrize(
    "parcel",
    [
        [],
        [5],
        list(range(1000)),
        [1.5, -0.0, float("nan")],
        ["a", "", "ü\0", "x" * 10_000, "\ud800", "y" * 5000 + "\udfff"],
        [b"", b"x" * 10_000],
        [2**64, -(2**63), -(2**63) - 1, 2**64 - 1, 10**5000, True, False, None],
        [1, "a", b"b", None, 2.5, 1 + 2j],
        [np.float32(1), np.arange(3), 7, {"a": 1}, np.arange(3)],
    ],
    ids=lambda parcel: f"{len(parcel)} of {sorted({type(x).__name__ for x in parcel})}",
)
def test_a_parcel_of_these_arrives_as_it_left(parcel: list[object]) -> None:
    assert same(parcel, parcel_trip(parcel))


def test_runs_of_arrays_of_several_dtypes_and_shapes_arrive_in_order() -> None:
    parcel = [np.full(25, n, "f4") for n in range(100)]
    parcel += [np.full((2, 3), n, "i2") for n in range(10)]
    parcel += [np.array(n) for n in range(5)]
    parcel += [np.full(25, n, "f4") for n in range(3)]
    parcel += [np.ones((0, 3)), np.asfortranarray(np.ones((3, 4))), np.ones(2, ">f4")]
    parcel += [np.ones(2, "q"), np.ones(2, "l")]

    arrived = parcel_trip(parcel)

    assert same(parcel, arrived)
    assert all(array.flags.owndata and array.flags.writeable for array in arrived)
    assert arrived[115].base is None


def test_small_arrays_of_one_kind_share_one_buffer() -> None:
    encoder = Encoder()
    parcel = encoder.encode([encoder.snapshot(np.zeros(25, "f4"))[0] for _ in range(1000)])

    assert len(parcel.frames) == 1 and len(parcel.body) < 50


@pytest.mark.parametrize("item", [bytes, bytearray, lambda n: np.zeros(n, "u1"), lambda n: "x" * n])
def test_a_large_buffer_gets_a_frame_and_a_small_one_does_not(item: type) -> None:
    encoder = Encoder()
    for size, frames in ((OUT_OF_BAND_BYTES, 1), (OUT_OF_BAND_BYTES - 1, 0)):
        value = {"x": item(size)}  # type: ignore[call-arg]
        parcel = encoder.encode([encoder.snapshot(value)[0]])
        assert len(parcel.frames) == frames
        assert len(parcel.body) < OUT_OF_BAND_BYTES + 100


def test_a_large_bytes_object_is_not_copied_on_its_way_out() -> None:
    data = b"x" * 1_000_000
    assert Encoder().encode([data]).frames[0] is data


def test_atoms_may_come_in_any_sequence() -> None:
    parcel = Encoder().encode(range(5))
    assert Decoder().decode(parcel.body, parcel.frames) == list(range(5))


def test_what_is_done_to_an_item_after_its_snapshot_does_not_show() -> None:
    small, large, tree = np.zeros(5), np.zeros(5000), {"a": [1, bytearray(9000)]}
    encoder = Encoder()
    tokens = [encoder.snapshot(item)[0] for item in (small, large, tree)]

    small[:] = 1
    large[:] = 1
    tree["a"][1][:] = b"x" * 9000  # type: ignore[index]
    tree["a"].append(2)  # type: ignore[attr-defined]

    parcel = encoder.encode(tokens)
    arrived = Decoder().decode(parcel.body, parcel.frames)
    assert same(arrived, [np.zeros(5), np.zeros(5000), {"a": [1, bytearray(9000)]}])


def test_pickled_buffers_are_snapshots_too() -> None:
    item = {1: np.zeros(5000), 2: Encoder}
    encoder = Encoder()
    token, size = encoder.snapshot(item)
    item[1][:] = 1  # type: ignore[index]

    parcel = encoder.encode([token])
    (arrived,) = Decoder().decode(parcel.body, parcel.frames)

    assert not arrived[1].any() and arrived[1].flags.writeable and size > 40_000


def test_a_snapshot_says_about_how_large_it_is() -> None:
    encoder = Encoder()
    assert encoder.snapshot(np.zeros(25, "f4"))[1] == 100
    assert 38_000_000 <= encoder.snapshot([np.zeros(38_000_000, "u1")])[1] < 38_000_100


def test_keeping_one_array_of_a_run_does_not_keep_the_others() -> None:
    arrived = parcel_trip([np.zeros(25, "f4") for _ in range(10)])
    assert all(array.base is None for array in arrived)


def test_an_object_that_occurs_twice_in_an_item_occurs_twice_in_what_arrives() -> None:
    row, array = [1, 2], np.arange(3)
    arrived = trip({"a": row, "b": [row, array], "c": array, "d": (), "e": ()})

    assert arrived["a"] is arrived["b"][0] and arrived["c"] is arrived["b"][1]


def test_an_item_that_doubles_at_each_level_arrives() -> None:
    tree: object = []
    for _ in range(60):
        tree = [tree, tree]
    arrived = trip(tree)
    for _ in range(60):
        assert arrived[0] is arrived[1]
        arrived = arrived[0]


def test_the_version_comes_first_and_a_mismatch_names_both() -> None:
    body = bytearray(Encoder().encode([1]).body)
    assert body[1] == FORMAT_VERSION
    body[1] = 99
    with pytest.raises(ValueError, match=rf"version 99 .* version {FORMAT_VERSION}"):
        Decoder().decode(bytes(body), [])


def test_atoms_are_immutable_and_hold_nothing() -> None:
    assert {type(None), bool, int, float, complex, str, bytes} == ATOMS
