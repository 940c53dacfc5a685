"""The format of msgpack-numpy, with programs that are not MiniPipe."""

from __future__ import annotations

import contextlib
import os
from typing import Any

import msgpack
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minipipe.codec.msgpack_numpy import pack, unpack
from minipipe.errors import ItemTypeError, WireFormatError
from tests.codec.sameness import same
from tests.conftest import named

STRUCT = np.dtype([("a", "<f4"), ("b", ">i2", (2,)), ("c", [("d", "U3")])])
ITEMS = [
    {"a": np.arange(6.0).reshape(2, 3), "b": [1, "x", b"y", None, 2.5, True]},
    [np.float32(1.5), np.int64(3), np.bool_(True), 1 + 2j, np.complex64(2j)],
    {"s": np.zeros(3, STRUCT), "u": np.array(["ab", "c"]), "big": np.arange(3, dtype=">i4")},
    {1: np.array(5), b"k": np.zeros((0, 3), "f4")},
]


@pytest.mark.parametrize("item", ITEMS, ids=range(len(ITEMS)))
def test_what_is_packed_here_unpacks_here(item: object) -> None:
    assert same(item, unpack(pack(item)))


@pytest.mark.parametrize("item", ITEMS, ids=range(len(ITEMS)))
def test_msgpack_numpy_understands_us_and_we_it(item: object) -> None:
    foreign = pytest.importorskip("msgpack_numpy")
    theirs = foreign.unpackb(pack(item), strict_map_key=False)
    assert same(item, theirs)
    assert same(item, unpack(foreign.packb(item)))


def test_datetimes_go_out_in_a_form_that_msgpack_numpy_reads() -> None:
    foreign = pytest.importorskip("msgpack_numpy")
    item = [np.array(["2024-01-01", "NaT"], "M8[ns]"), np.timedelta64(3, "s")]
    assert same(item, foreign.unpackb(pack(item))) and same(item, unpack(pack(item)))


def test_arrays_arrive_writable_in_their_own_memory() -> None:
    array: Any = unpack(pack(np.arange(3)))
    assert array.flags.writeable and array.flags.owndata


def test_tuples_arrive_as_lists_because_the_format_has_none() -> None:
    assert unpack(pack((1, (2, 3)))) == [1, [2, 3]]


@pytest.mark.parametrize(
    ("item", "where"),
    [
        ({"x": [1, {2}]}, r"item\['x'\]\[1\] .*set"),
        ([np.array([None])], r"item\[0\] .*pickled"),
        (2**70, "item .*int"),
        (np.zeros(1, STRUCT)[0], "item .*scalars"),
    ],
)
def test_what_has_no_form_there_is_named(item: object, where: str) -> None:
    with pytest.raises(ItemTypeError, match=where):
        pack(item)


@pytest.mark.parametrize("keys", [bytes, bytes.decode], ids=["bytes", "text"])
@pytest.mark.parametrize("kind", [b"O", "O"])
def test_an_object_array_is_refused_and_not_unpickled(tmp_path: Any, keys: Any, kind: Any) -> None:
    import pickle

    class Exploit:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(tmp_path / "owned"),)

    fields = {b"nd": True, b"type": "|O", b"kind": kind, b"shape": [1]}
    fields[b"data"] = pickle.dumps(Exploit())
    crafted = msgpack.packb({"x": [{keys(key): value for key, value in fields.items()}]})

    with pytest.raises(WireFormatError, match="pickle"):
        unpack(crafted)
    assert not (tmp_path / "owned").exists()
    # That is what its own decoder would have done.
    foreign = pytest.importorskip("msgpack_numpy")
    if keys is bytes and kind == b"O":
        foreign.unpackb(crafted)
        assert (tmp_path / "owned").exists()


@pytest.mark.parametrize(
    "change",
    [
        {b"shape": [10**12]},
        {b"shape": [-1]},
        {b"shape": "x"},
        {b"type": "O"},
        {b"type": [["a", "O"]]},
        {b"type": 3},
        {b"data": b"short"},
        {b"data": "text"},
    ],
    ids=named,
)
def test_an_array_that_lies_is_refused(change: dict[bytes, object]) -> None:
    fields = {b"nd": True, b"type": "<f8", b"kind": b"", b"shape": [1], b"data": bytes(8)}
    assert same(unpack(msgpack.packb(fields)), np.zeros(1))
    with pytest.raises(WireFormatError):
        unpack(msgpack.packb(fields | change))


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_broken_messages_are_refused_or_unpacked(data: st.DataObject) -> None:
    message = bytearray(pack(ITEMS[data.draw(st.integers(0, 3))]))
    for _ in range(data.draw(st.integers(1, 4))):
        message[data.draw(st.integers(0, len(message) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    message = message[: data.draw(st.integers(0, len(message)))]
    with contextlib.suppress(WireFormatError):
        unpack(bytes(message))


def test_deep_nesting_is_refused() -> None:
    with pytest.raises(WireFormatError):
        unpack(b"\x91" * 500 + b"\x01")


@pytest.mark.parametrize(("message", "why"), [(b"\xc1", "FormatError"), (b"\x91" * 2000, "Stack")])
def test_a_refusal_always_says_why(message: bytes, why: str) -> None:
    with pytest.raises(WireFormatError, match=f"no message of msgpack-numpy: .*{why}"):
        unpack(message)
