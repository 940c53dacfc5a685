"""Messages become items and items messages; whatever comes, nothing worse than an error."""

from __future__ import annotations

import datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minipipe.errors import ItemTypeError, OptionError, WireFormatError
from minipipe.programs.codecs import pack_native, packed, packing, unpack_native, unpacking
from tests.programs.crafted import crafted


@pytest.mark.parametrize(
    "item",
    [
        None,
        3,
        "text",
        (1, (2.5, "x")),
        {"day": datetime.date(2026, 1, 2), 3: {1, 2}},
        2**80,
    ],
)
def test_native_messages_keep_types(item: Any) -> None:
    again = unpack_native(pack_native(item))
    assert (again, type(again)) == (item, type(item))


@pytest.mark.parametrize("size", [3, 100_000])
def test_native_messages_hold_arrays(size: int) -> None:
    item = {"x": np.arange(size, dtype=np.float32), "when": np.datetime64("2026-01-02")}
    again = unpack_native(memoryview(pack_native(item)))
    assert (again["x"] == item["x"]).all() and again["x"].dtype == np.float32
    assert again["when"] == item["when"]


def test_what_would_be_pickled_has_no_native_message() -> None:
    for item in (lambda: 0, object(), np.array([object()], object)):
        with pytest.raises(ItemTypeError):
            pack_native(item)


@given(st.binary(max_size=200))
def test_random_bytes_are_refused_or_are_an_item(message: bytes) -> None:
    for unpack in (unpacking("minipipe", "it"), unpacking("msgpack-numpy", "it")):
        try:
            unpack(memoryview(message))
        except WireFormatError:
            pass


@given(st.data())
def test_damaged_native_messages_are_refused_or_are_an_item(data: st.DataObject) -> None:
    message = bytearray(pack_native({"x": np.arange(9), "y": [1, "two", (3.0,)]}))
    for at in data.draw(st.lists(st.integers(0, len(message) - 1), min_size=1, max_size=4)):
        message[at] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(message)))
    try:
        unpack_native(bytes(message[:cut]))
    except WireFormatError:
        pass


@pytest.mark.parametrize("name", sorted(crafted()))
def test_crafted_messages_are_refused(name: str) -> None:
    with pytest.raises(WireFormatError):
        unpacking("msgpack-numpy", "it")(memoryview(crafted()[name]))


def test_a_codec_is_one_of_two_or_a_function() -> None:
    assert packing(str.encode, "it") == str.encode
    for wrong in ("msgpack_numpy", "json", None, 3):
        with pytest.raises(OptionError, match="codec of it is 'msgpack-numpy' or 'minipipe'"):
            unpacking(wrong, "it")
    with pytest.raises(OptionError, match="did you mean 'msgpack-numpy'"):
        packing("msgpack_numpy", "it")


def test_a_codec_of_the_users_gives_bytes() -> None:
    assert packed(str.encode, "ü", "it") == "ü".encode()
    with pytest.raises(ItemTypeError, match="gives bytes, it gave a str"):
        packed(str.upper, "x", "it")
