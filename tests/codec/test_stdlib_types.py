"""The types of Python and its standard library."""

from __future__ import annotations

import uuid
from collections import OrderedDict
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from minipipe.errors import ItemTypeError
from tests.codec import examples
from tests.codec.sameness import same, trip
from tests.conftest import named

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    "item",
    [
        {None: 1, True: 2, 2.5: 3, (1, (2,)): 4, b"x": 5, frozenset({1, (2, 3)}): 6, 2**70: 7},
        {"nested": [{"a": (1, [2, {3}])}, set(), frozenset(), (), [], {}]},
        {datetime(2024, 1, 1, tzinfo=BERLIN): {date(1, 1, 1)}},
        [complex(-0.0, float("nan")), -0.0, float("inf")],
        "\ud800 alone",
        {"\udcff": "\ud800", "big": 2**64},
        bytearray(b"x"),
        date.max,
        time(1, 2, 3, 4, UTC, fold=1),
        datetime(2024, 10, 27, 2, 30, tzinfo=BERLIN, fold=1),
        datetime(2024, 10, 27, tzinfo=timezone(timedelta(hours=-3, microseconds=5), "odd")),
        UTC,
        timedelta.min,
        [Decimal("-0"), Decimal("1E+5000"), Decimal("Infinity"), Decimal("1.10")],
        [uuid.UUID(int=2**128 - 3), uuid.UUID("082e64e7-d34f-4417-93e5-e84673a47f01")],
        [Path("/a/b"), Path("x"), PurePosixPath("a\udcff"), PureWindowsPath("c:\\x")],
        [examples.Color.GREEN, examples.Level.LOW],
        [examples.Rights.READ, examples.Rights.READ | examples.Rights.RUN, examples.Rights(0)],
        [examples.Pair(1, [2]), examples.Point(1.0)],
    ],
    ids=lambda item: repr(item)[:40].encode("ascii", "replace").decode(),
)
def test_this_arrives_as_it_left_without_pickle(item: object) -> None:
    assert same(item, trip(item))


def test_a_decimal_nan_keeps_its_sign_and_payload() -> None:
    assert str(trip([Decimal("-sNaN123")])[0]) == "-sNaN123"


def test_utc_and_named_zones_arrive_as_the_same_object() -> None:
    arrived = trip([UTC, BERLIN])
    assert arrived[0] is UTC and arrived[1] is BERLIN


def test_how_safe_a_uuid_is_arrives_too() -> None:
    made = uuid.uuid1()
    assert trip([made])[0].is_safe is made.is_safe


@pytest.mark.parametrize("kind", [OrderedDict, examples.Counted])
def test_a_subclass_of_dict_is_not_flattened(kind: Any) -> None:
    item = [kind(a=1)]
    with pytest.raises(ItemTypeError, match="allow_pickle=True"):
        trip(item)
    assert same(item, trip(item, allow_pickle=True))


class Number(int):
    pass


class Text(str):
    __slots__ = ()


@pytest.mark.parametrize("item", [Number(3), Text("a")], ids=named)
def test_a_subclass_of_an_atom_is_not_flattened(item: object) -> None:
    with pytest.raises(ItemTypeError):
        trip({"x": item})
    assert same(item, trip(item, allow_pickle=True))


@pytest.mark.parametrize("item", [memoryview(b"x"), (i for i in ())], ids=["view", "generator"])
def test_what_looks_like_bytes_or_a_list_is_not_taken_for_it(item: object) -> None:
    with pytest.raises(ItemTypeError, match=r"cannot be pickled|memoryview"):
        trip([item], allow_pickle=True)


def test_extension_types_of_msgpack_are_not_taken_for_the_wire_format() -> None:
    import msgpack

    item = [msgpack.ExtType(3, b"x"), msgpack.Timestamp(1, 2)]
    assert same(item, trip(item, allow_pickle=True))
