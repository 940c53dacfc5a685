"""Dataclasses, namedtuples, enums: taken apart and put together by state."""

from __future__ import annotations

import enum
from typing import Any

import numpy as np
import pytest

from minipipe.errors import ItemTypeError
from tests.codec import examples
from tests.codec.sameness import same, trip


@pytest.mark.parametrize(
    "item",
    [
        examples.Sample(np.arange(3), {"a": 1}),
        examples.Child([1], more=examples.Frozen((1, 2))),
        examples.Frozen(bytearray(b"x")),
        examples.FrozenSlotted({1, 2}),
        {examples.Frozen((1, "a")): 1, examples.Point(1.0): 2},
    ],
    ids=lambda item: type(item).__name__,
)
def test_a_dataclass_arrives_as_it_left(item: Any) -> None:
    assert same(item, trip(item))


def test_neither_init_nor_post_init_runs_on_arrival() -> None:
    item = examples.Sample(1)
    before = len(examples.INITS)
    trip(item)
    assert len(examples.INITS) == before


def test_an_attribute_that_is_no_field_arrives_too() -> None:
    item = examples.Sample(1)
    item.extra = [1]  # type: ignore[attr-defined]
    assert trip(item).extra == [1]


def test_a_slot_that_is_not_set_stays_so() -> None:
    arrived = trip(examples.Slotted(1))
    assert arrived.data == 1 and not hasattr(arrived, "late")


def test_a_class_that_says_how_it_is_pickled_is_pickled() -> None:
    with pytest.raises(ItemTypeError, match="defines how it is pickled"):
        trip(examples.OwnPickling(1))
    assert trip(examples.OwnPickling(1), allow_pickle=True).data == "from getstate"


def test_a_dataclass_that_is_a_dict_is_pickled() -> None:
    item = examples.DictLike(data=3)
    item["x"] = 1
    with pytest.raises(ItemTypeError):
        trip(item)
    assert trip(item, allow_pickle=True)["x"] == 1


def test_enum_members_arrive_as_the_members() -> None:
    arrived = trip([examples.Color.RED, examples.Rights.READ | examples.Rights.WRITE])
    assert arrived[0] is examples.Color.RED
    assert arrived[1] is examples.Rights.READ | examples.Rights.WRITE


def test_an_enum_of_a_function_arrives_as_the_member() -> None:
    class Local(enum.Enum):
        ONE = 1

    assert trip([Local.ONE], allow_pickle=True)[0] is Local.ONE
