"""Messages of very many frames, as they go over a link."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minipipe.agent.joined import JOINED, joined, parted
from minipipe.errors import WireFormatError
from minipipe.stream.routes import write_route
from minipipe.transport import Buffer


@settings(max_examples=20)
@given(frames=st.lists(st.binary(max_size=5), min_size=1, max_size=6))
def test_what_was_joined_is_parted_as_it_was(frames: list[bytes]) -> None:
    whole = joined([*frames[:1], *map(memoryview, frames[1:])])
    assert len(whole) == 3
    assert list(map(bytes, parted(whole))) == frames


def test_no_route_begins_as_joined_frames_do() -> None:
    assert not write_route("", [0]).startswith(JOINED)


@pytest.mark.parametrize(
    "frames",
    [
        [b"head"],
        [b"head", b"", b"", b""],
        [b"head", b"\0" * 7, b""],
        [b"head", struct.pack("!Q", 3), b"12"],
        [b"head", struct.pack("!Q", 2**64 - 1), b"12"],
    ],
    ids=repr,
)
def test_what_does_not_fit_is_refused(frames: list[Buffer]) -> None:
    with pytest.raises(WireFormatError, match="joined frames came"):
        parted(frames)
