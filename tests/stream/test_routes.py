"""The route before a message for another host: what is written is read, and nothing else."""

from __future__ import annotations

from typing import Any

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minipipe.errors import WireFormatError
from minipipe.stream.routes import read_route, write_route

IDENTS = st.lists(st.integers(0, 2**40), min_size=1, max_size=5, unique=True)


@settings(max_examples=25)
@given(host=st.text(min_size=1), idents=IDENTS)
def test_what_is_written_is_read(host: str, idents: list[int]) -> None:
    route = write_route(host, idents)
    assert read_route(route) == read_route(memoryview(route)) == (host, tuple(idents))


@settings(max_examples=50)
@given(junk=st.binary(max_size=20))
def test_anything_else_is_no_route(junk: bytes) -> None:
    try:
        host, idents = read_route(junk)
    except WireFormatError:
        return
    assert type(host) is str and host and idents
    assert write_route(host, idents) == junk or len(junk) > len(write_route(host, idents))


@pytest.mark.parametrize(
    "said",
    [
        None,
        ["there"],
        ["there", [1], 2],
        ["", [1]],
        [b"there", [1]],
        ["there", []],
        ["there", 1],
        ["there", [1, -1]],
        ["there", [True]],
        ["there", [1.0]],
        ["there", [3, 4, 3]],
        {"there": [1]},
    ],
    ids=repr,
)
def test_a_route_has_a_host_and_workers_of_it_each_once(said: Any) -> None:
    with pytest.raises(WireFormatError, match="each once, were expected"):
        read_route(msgpack.packb(said))


def test_what_is_deeper_than_any_route_is_refused_too() -> None:
    with pytest.raises(WireFormatError, match="without a route"):
        read_route(b"\x91" * 100_000)
    with pytest.raises(WireFormatError, match="without a route"):
        read_route(b"")
