"""Bytes from strangers: nothing worse than a WireFormatError."""

from __future__ import annotations

import contextlib
import os
import sys
import tracemalloc
from typing import Any

import msgpack
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minipipe.codec import Decoder, Encoder, registry, wire
from minipipe.errors import WireFormatError
from tests.codec import examples

TENSOR, _ = registry.MODULES["torch"].tags
(ARROW,) = registry.MODULES["pyarrow"].tags
(FRAME,) = registry.MODULES["pandas"].tags

_SETTINGS = settings(max_examples=100, deadline=None)
_ITEM = {
    "a": np.arange(6.0).reshape(2, 3),
    "b": [(1, {2}), np.float32(1), examples.Sample(b"x"), examples.Color.RED, 2**70],
    (1, "k"): {"big": b"x" * 5000, "n": np.zeros(1000)},
    "r": examples.Rights.READ,
    "d": np.dtype([("a", "f4"), ("b", "M8[s]")]),
}


def _decode(body: bytes, frames: Any = ()) -> None:
    with contextlib.suppress(WireFormatError):
        Decoder(allow_pickle=False).decode(body, frames)


def _parcels() -> list[Any]:
    encoder = Encoder(allow_pickle=False)
    arrays = [encoder.snapshot(np.zeros(25, "f4"))[0] for _ in range(3)]
    return [
        encoder.encode([encoder.snapshot(_ITEM)[0], 1, "a", *arrays]),
        encoder.encode(arrays * 20),
        encoder.encode([1, "a", None]),
    ]


PARCELS = _parcels()


@_SETTINGS
@given(st.binary(max_size=200))
def test_random_bytes_are_refused_or_decoded(body: bytes) -> None:
    _decode(body)
    for kind in (wire.PLAIN, wire.ARRAYS, wire.NODES):
        _decode(bytes([0x93, wire.FORMAT_VERSION, kind]) + body, [body])


@pytest.mark.parametrize("parcel", PARCELS, ids=["nodes", "arrays", "plain"])
def test_truncated_bodies_are_refused(parcel: Any) -> None:
    for length in range(len(parcel.body)):
        with pytest.raises(WireFormatError):
            Decoder(allow_pickle=False).decode(parcel.body[:length], parcel.frames)


@_SETTINGS
@given(st.data())
def test_flipped_bits_are_refused_or_decoded(data: st.DataObject) -> None:
    parcel = data.draw(st.sampled_from(PARCELS))
    body = bytearray(parcel.body)
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    _decode(bytes(body), parcel.frames)


_NODES = st.recursive(
    st.one_of(
        st.integers(-2, 70), st.binary(max_size=20), st.none(), st.floats(), st.text(max_size=5)
    )
    | st.sampled_from(["<f4", "O", "tests.codec.examples:Sample", "os:system", "V9999999999"]),
    lambda inner: (
        st.tuples(st.integers(0, 33), inner, inner).map(list) | st.lists(inner, max_size=6)
    ),
    max_leaves=12,
)


@_SETTINGS
@given(st.lists(_NODES, max_size=3), st.lists(st.binary(max_size=40), max_size=3))
def test_crafted_nodes_are_refused_or_decoded(nodes: list[Any], frames: list[bytes]) -> None:
    _decode(msgpack.packb([wire.FORMAT_VERSION, wire.NODES, nodes]), frames)


def _refused(node: Any, frames: Any = (), match: str | None = None) -> None:
    body = msgpack.packb([wire.FORMAT_VERSION, wire.NODES, [node]])
    with pytest.raises(WireFormatError, match=match):
        Decoder(allow_pickle=False).decode(body, frames)


@pytest.mark.parametrize(
    "body",
    [
        b"\xdd\xff\xff\xff\xff" * 1000,
        b"\x93\x01\x02" + b"\xdd\x00\x0f\xff\xff" * 200_000,
        b"\x93\x01\x02\xdd\xff\xff\xff\xff",
        b"\x93\x01\x00\xc6\xff\xff\xff\xff",
        b"\x93\x01\x02\xdf\xff\xff\xff\xff",
    ],
    ids=["arrays in arrays", "a megabyte of headers", "array", "bytes", "map"],
)
def test_headers_that_lie_allocate_nothing(body: bytes) -> None:
    tracemalloc.start()
    try:
        _decode(body)
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "node",
    [
        [wire.ARRAY, "<f8", 0, b"", 10**12],
        [wire.ARRAY, "<f8", 0, b"", 10**18, 0, 10**18],
        [wire.ARRAY, "<f8", 0, b"", *[2**62] * 60],
        [wire.ARRAY, "V0", 0, b"", 10**12],
        [wire.ARRAY, "U0", 0, b"", 10**12],
        [wire.ARRAY, "O", 0, bytes(8), 1],
        [wire.ARRAY, "f4,O", 0, bytes(8), 1],
        [wire.ARRAY, ["sub", "O", 1], 0, bytes(8), 1],
        [wire.ARRAY, ["struct", ["a"], ["O"], [0], [None], 8, False, False], 0, bytes(8), 1],
        [wire.ARRAY, ["struct", ["a"], ["<f8"], [4], [None], 8, False, False], 0, bytes(8), 1],
        [wire.ARRAY, ["ml_dtypes", "finfo"], 0, bytes(8), 1],
        [wire.ARRAY, "<f8", 0, bytes(8), -1],
        [wire.SCALAR, "<f8", bytes(7)],
        [TENSOR, "float32", [10**12], [0], False, b""],
        [TENSOR, "load", [1], [0], False, bytes(4)],
        [TENSOR, "float32", [1], [5], False, bytes(4)],
        [ARROW, False, b"junk"],
        [FRAME, b"junk"],
        [wire.ZONEINFO, "../../etc/passwd"],
        [wire.SET, [[wire.LIST, []]]],
        [wire.DICT, [1, 1], [1, 1]],
        [wire.REF, 0],
        [wire.DATE, 2**62],
        [wire.UUID_, b"short", 0],
        [wire.BYTES, 10**9],
        [99, 1],
        [],
        {"a": 1},
    ],
    ids=lambda node: repr(node)[:40],
)
def test_this_crafted_node_is_refused(node: Any) -> None:
    if isinstance(node, list) and node and node[0] == TENSOR:
        pytest.importorskip("torch")
    _refused(node)


def test_nesting_is_limited() -> None:
    node: Any = [wire.LIST, []]
    for _ in range(150):
        node = [wire.LIST, [node]]
    _refused(node, match="levels deep")


def test_a_run_of_arrays_of_nothing_is_refused() -> None:
    for run in (["<f4", [0], 10**12, b""], ["<f4", [2], 10**12, b""], ["V0", [1], 10**9, b""]):
        body = msgpack.packb([wire.FORMAT_VERSION, wire.ARRAYS, [run]])
        with pytest.raises(WireFormatError):
            Decoder().decode(body, [])


def test_tuples_whose_halves_are_the_same_cannot_be_made_into_a_key() -> None:
    node: Any = [wire.TUPLE, []]
    for _ in range(60):
        node = [wire.TUPLE, [node, [wire.REF, 0]]]
    _refused([wire.SET, [node]], match="not there")


def test_a_pickle_is_not_run(tmp_path: Any) -> None:
    import pickle

    class Exploit:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(tmp_path / "owned"),)

    _refused([wire.PICKLE, pickle.dumps(Exploit())], match="allow_pickle=True")
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize("tag", [wire.DATACLASS, wire.NAMEDTUPLE, wire.ENUM, wire.FLAG])
@pytest.mark.parametrize("name", ["os:system", "subprocess:Popen", "builtins:dict", "x", "a.b:c"])
def test_a_class_that_is_not_what_the_message_claims_is_refused(tag: int, name: str) -> None:
    _refused([tag, name, [], []])


def test_nothing_is_imported_for_a_stranger() -> None:
    assert "antigravity" not in sys.modules
    _refused([wire.DATACLASS, "antigravity:X", [], []], match="loaded already")
    assert "antigravity" not in sys.modules


def test_a_module_is_not_asked_for_what_it_would_load_when_asked() -> None:
    _refused([wire.DATACLASS, "tests.codec.test_hostile:surprise", [], []])
    assert not ASKED


ASKED: list[str] = []


def __getattr__(name: str) -> Any:
    if name == "surprise":
        ASKED.append(name)
    raise AttributeError(name)


def test_an_attribute_that_the_class_has_no_room_for_is_refused() -> None:
    _refused([wire.DATACLASS, "tests.codec.examples:Slotted", ["nope"], [1]], match="no attribute")


def test_frames_that_are_missing_left_over_or_of_another_length_are_refused() -> None:
    body = msgpack.packb([wire.FORMAT_VERSION, wire.NODES, [[wire.BYTES, 5000]]])
    for frames in ([], [b"x" * 4999], [b"x" * 5000, b""]):
        with pytest.raises(WireFormatError):
            Decoder().decode(body, frames)


def test_a_decoder_still_works_after_it_has_refused_something() -> None:
    decoder = Decoder()
    good = Encoder().encode([1, 2])
    for bad in (good.body[:-1], good.body + b"\x01", b"", b"\xc1"):
        with pytest.raises(WireFormatError):
            decoder.decode(bad, [])
        assert decoder.decode(good.body, good.frames) == [1, 2]
