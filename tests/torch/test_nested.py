"""Items are gone into at any depth, and keep their kinds."""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pytest

from minipipe.torch.nested import leaves, replaced


class Pair(NamedTuple):
    x: Any
    y: Any


@dataclass
class Sample:
    image: Any
    label: int = 3


@dataclass(frozen=True, slots=True)
class Frozen:
    image: Any


@dataclass
class Late:
    image: Any
    area: Any = field(init=False)


class Named(list[Any]):
    name = ""


def is_array(value: Any) -> bool:
    return isinstance(value, np.ndarray)


def doubled(item: Any) -> Any:
    return replaced(item, {id(a): a * 2 for _, a in leaves(item, is_array)})


@pytest.mark.parametrize(
    ("make", "path"),
    [
        (lambda a: {"a": a, "n": 1}, "['a']"),
        (lambda a: OrderedDict(a=a), "['a']"),
        (lambda a: defaultdict(list, a=a), "['a']"),
        (lambda a: [1, a], "[1]"),
        (lambda a: (a, "s"), "[0]"),
        (lambda a: Pair(a, 2), ".x"),
        (lambda a: Sample(a), ".image"),
        (lambda a: Frozen(a), ".image"),
        (lambda a: Late(a), ".image"),
        (lambda a: {"deep": [Pair(1, Sample((a,)))]}, "['deep'][0].y.image[0]"),
        (lambda a: Named([a]), "[0]"),
    ],
)
def test_a_part_is_found_and_replaced_and_the_rest_stays_of_its_kind(make: Any, path: str) -> None:
    array = np.arange(3)
    item = make(array)

    assert [at for at, _ in leaves(item, is_array)] == [path]
    new = doubled(item)

    assert type(new) is type(item)
    (found,) = [a for _, a in leaves(new, is_array)]
    assert found.tolist() == [0, 2, 4]
    (before,) = [a for _, a in leaves(item, is_array)]
    assert before is array and array.tolist() == [0, 1, 2]


def test_other_attributes_of_a_container_stay() -> None:
    item = Named([np.arange(3)])
    item.name = "train"

    assert doubled(item).name == "train"
    assert doubled(defaultdict(int, a=np.arange(2)))["not there"] == 0


def test_what_occurs_twice_occurs_twice_and_a_circle_stays_one() -> None:
    array = np.arange(3)
    item: dict[str, Any] = {"a": array, "b": [array]}
    item["self"] = item

    assert len(list(leaves(item, is_array))) == 1
    new = doubled(item)
    assert new["a"] is new["b"][0]
    assert new["self"] is new


def test_an_item_without_such_parts_is_passed_on_itself() -> None:
    item = {"a": [1, 2]}

    assert doubled(item) is item


def test_sets_strings_and_classes_are_not_gone_into() -> None:
    assert list(leaves([{1, 2}, "ab", Sample, b"x"], is_array)) == []
