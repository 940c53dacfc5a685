"""What needs pickle, and the words for what cannot travel."""

from __future__ import annotations

import pickle
import threading
from typing import Any

import numpy as np
import pytest

from minipipe.codec import Decoder, Encoder
from minipipe.errors import ItemTypeError, WireFormatError
from tests.codec import examples
from tests.codec.sameness import parcel_trip, trip


def test_an_object_of_any_class_arrives() -> None:
    arrived = trip({"x": examples.Plain(np.arange(3))}, allow_pickle=True)
    assert type(arrived["x"]) is examples.Plain and arrived["x"].data.tolist() == [0, 1, 2]


def test_a_function_arrives() -> None:
    y = 3
    assert trip(lambda x: x + y, allow_pickle=True)(1) == 4


def test_an_item_that_contains_itself_arrives() -> None:
    loop: list[Any] = [1]
    loop.append(loop)
    arrived = trip(loop, allow_pickle=True)
    assert arrived[1] is arrived
    with pytest.raises(ItemTypeError, match="contains itself"):
        trip(loop)


@pytest.mark.parametrize("depth", [99, 100, 101, 150])
def test_deep_nesting_arrives(depth: int) -> None:
    item: list[Any] = []
    for _ in range(depth - 1):
        item = [item]
    arrived = trip(item, allow_pickle=depth > 100)
    for _ in range(depth - 1):
        (arrived,) = arrived
    assert arrived == []


def test_very_deep_nesting_is_an_error_and_no_crash() -> None:
    item: list[Any] = []
    for _ in range(100_000):
        item = [item]
    with pytest.raises(ItemTypeError, match="cannot be pickled"):
        trip(item, allow_pickle=True)
    with pytest.raises(ItemTypeError, match="levels deep"):
        trip(item)


def test_what_is_shared_only_through_tuples_in_keys_does_not_hang() -> None:
    tree: Any = ()
    for _ in range(12):
        tree = (tree, tree)
    assert trip({tree: 1}) == {tree: 1}


@pytest.mark.parametrize("allow_pickle", [True, False])
@pytest.mark.parametrize(
    ("item", "where"),
    [
        (threading.Lock(), "item"),
        ({"x": [1, 2, threading.Lock()]}, r"item\['x'\]\[2\]"),
        ([examples.Sample({"a": threading.Lock()})], r"item\[0\]\.data\['a'\]"),
        (examples.Point(1.0, threading.Lock()), r"item\.y"),
        ([(i for i in ())], r"item\[0\]"),
        (examples.Slotted((threading.Lock(),)), r"item\.data\[0\]"),
    ],
)
def test_what_cannot_travel_is_named_with_its_path(
    item: object, where: str, allow_pickle: bool
) -> None:
    with pytest.raises(ItemTypeError, match=f"{where} of type .*(lock|generator)") as caught:
        Encoder(allow_pickle=allow_pickle).snapshot(item)
    copy = pickle.loads(pickle.dumps(caught.value))
    assert str(copy) == str(caught.value)
    assert ("allow_pickle=True" in str(copy)) is not allow_pickle


def test_inside_an_object_the_attribute_is_named() -> None:
    with pytest.raises(ItemTypeError, match=r"item\[0\]\.lock .*lock"):
        Encoder().snapshot([examples.Locked()])


def test_whatever_a_class_raises_while_it_is_pickled_is_an_item_type_error() -> None:
    with pytest.raises(ItemTypeError, match="while pickling") as caught:
        Encoder().snapshot([1, examples.Explosive()])
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_whatever_a_class_raises_while_it_is_unpickled_is_a_wire_format_error() -> None:
    with pytest.raises(WireFormatError, match="while unpickling"):
        trip(examples.BadArrival(), allow_pickle=True)


def test_a_pickle_is_refused_by_a_decoder_that_allows_none() -> None:
    with pytest.raises(WireFormatError, match="allow_pickle=True"):
        encoder = Encoder()
        parcel = encoder.encode([encoder.snapshot(examples.Plain(1))[0]])
        Decoder(allow_pickle=False).decode(parcel.body, parcel.frames)


def test_pickled_and_native_items_mix_in_a_parcel() -> None:
    items = [1, examples.Plain(np.zeros(5000)), np.ones(5000), "x" * 5000]
    arrived = parcel_trip(items, allow_pickle=True)
    assert arrived[0] == 1 and arrived[1].data.sum() == 0 and arrived[2].sum() == 5000
