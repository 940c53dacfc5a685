"""What is on the lines between hosts: pieces of messages, frames of a link, requests to join."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minipipe.errors import WireFormatError
from minipipe.protocol.flow.link_frames import Acknowledge, Beat, Farewell, Frame, Message, Resume
from minipipe.protocol.hosts import joining, link_wire
from minipipe.protocol.hosts.joining import JoinRequest, Refused, Welcome
from minipipe.protocol.hosts.pieces import (
    HEAD_BYTES,
    MAX_FRAMES,
    PLACED_BYTES,
    Assembler,
    HandOver,
    Piece,
    cut,
    recut,
)

bodies = st.lists(st.binary(max_size=40), max_size=8)
numbers = st.integers(1, 2**64 - 1)
u64 = st.integers(0, 2**64 - 1)


@given(st.lists(bodies, max_size=6), st.integers(1, 50), st.integers(1, 50), st.integers(1, 50))
def test_messages_in_pieces_come_as_they_were_sent(
    messages: list[list[bytes]], size: int, smaller: int, chunk: int
) -> None:
    assembler, came, made = Assembler(), [], 0
    for message in messages:
        pieces = list(cut(message, lambda: size, chunk))
        assert [piece.ends_message for piece in pieces] == [False] * (len(pieces) - 1) + [True]
        pieces = [part for piece in pieces for part in recut(piece, smaller)]
        size = min(size, smaller)
        assert [piece.ends_message for piece in pieces] == [False] * (len(pieces) - 1) + [True]
        assert all(len(one) <= chunk for piece in pieces for one in piece.chunks)
        assert all(sum(map(len, piece.chunks)) <= size for piece in pieces)
        assert [piece.sizes is None for piece in pieces] == [False] + [True] * (len(pieces) - 1)
        made += len(pieces)
        for at, piece in enumerate(pieces, 1):
            # As it goes over the line, too.
            sent = Message(at, piece.size_bytes, piece)
            frame, _ = link_wire.read([bytes(part) for part in link_wire.write(sent, 1)])
            assert frame == sent and frame.size_bytes == HEAD_BYTES + sum(map(len, piece.chunks))
            whole = assembler.add(frame.body)
            assert (whole is not None) == (at == len(pieces))
            if whole is not None:
                came.append([bytes(part) for part in whole])
    assert came == messages


def test_a_frame_that_comes_at_once_is_not_copied_and_others_go_where_they_are_put() -> None:
    places: list[bytearray] = []

    def allocate(size: int) -> bytearray:
        places.append(bytearray(size))
        return places[-1]

    assembler, small, large = Assembler(allocate), bytearray(b"small"), bytearray(b"x" * 25)
    whole = None
    for piece in cut([small, large], lambda: 10):
        whole = assembler.add(piece)
    assert whole is not None
    assert whole[0].obj is small
    assert [place == large for place in places] == [True] and whole[1].obj is places[0]


def test_a_large_frame_goes_where_it_is_put_also_if_it_comes_at_once() -> None:
    place, large = bytearray(PLACED_BYTES + 1), bytes(PLACED_BYTES) + b"x"
    (piece,) = cut([large], lambda: 2 * PLACED_BYTES)
    assert len(piece.chunks) == 1
    whole = Assembler(lambda size: place).add(piece)
    assert whole is not None and whole[0].obj is place and place == large


@pytest.mark.parametrize(
    "pieces",
    [
        [Piece(None, (memoryview(b"a"),))],
        [Piece((2,), (memoryview(b"a"),)), Piece((2,), (memoryview(b"a"),))],
        [Piece((1,), (memoryview(b"ab"),))],
        [Piece((1,), (memoryview(b"a"), memoryview(b"b")))],
        [Piece((), (memoryview(b"a"),))],
        [Piece((2,), (memoryview(b"a"), memoryview(b"bc")))],
        [Piece((2,), (memoryview(b""),))],
    ],
)
def test_pieces_that_do_not_fit_are_refused(pieces: list[Piece]) -> None:
    assembler = Assembler()
    with pytest.raises(WireFormatError):
        for piece in pieces:
            assembler.add(piece)


def test_too_much_is_not_sent() -> None:
    with pytest.raises(ValueError, match="at most"):
        cut([b""] * (MAX_FRAMES + 1))


@given(st.lists(st.tuples(st.integers(1, 4), st.booleans()), max_size=20))
def test_what_counts_as_handed_over_is_all_before_a_message_that_is_not(
    steps: list[tuple[int, bool]],
) -> None:
    hand_over, number, ends, handed, before = HandOver(), 0, [], 0, 0
    for pieces, hands in steps:
        for at in range(1, pieces + 1):
            number += 1
            hand_over.arrived(number, ends_message=at == pieces)
            if at == pieces:
                ends.append(number)
            open_ = [end for end in ends if end > handed]
            assert hand_over.up_to == (open_[0] - 1 if open_ else number)
        if hands:
            handed = ends[-1]
            hand_over.handed_over(handed)
            assert hand_over.up_to == number
        assert hand_over.up_to >= before  # it never goes back
        before = hand_over.up_to


frames = st.one_of(
    st.builds(Resume, numbers, u64, u64),
    st.builds(Acknowledge, u64),
    st.just(Beat()),
    st.builds(Farewell, st.text(max_size=200), st.booleans()),
)


@given(frames, numbers)
def test_frames_come_as_they_were_sent(frame: Frame, attempt: int) -> None:
    content = [bytes(part) for part in link_wire.write(frame, attempt)]
    assert link_wire.read(content) == (frame, attempt if isinstance(frame, Resume) else 0)
    with pytest.raises(WireFormatError):
        link_wire.read([*content, b"more"])
    if not isinstance(frame, Farewell):
        with pytest.raises(WireFormatError):
            link_wire.read([content[0][:-1]])
        with pytest.raises(WireFormatError):
            link_wire.read([content[0] + b"x"])


@given(st.lists(st.binary(max_size=40) | st.binary(max_size=40).map(b"\2".__add__), max_size=4))
def test_whatever_comes_is_a_frame_or_refused(content: list[bytes]) -> None:
    try:
        frame, _ = link_wire.read(content)
    except WireFormatError:
        return
    assert isinstance(frame, Resume | Acknowledge | Beat | Farewell | Message)
    if isinstance(frame, Message):
        try:
            Assembler().add(frame.body)
        except (WireFormatError, MemoryError):
            pass


def test_another_version_of_links_is_named() -> None:
    content = bytearray(bytes(link_wire.write(Resume(1, 0, 0), 1)[0]))
    content[1] = 9
    with pytest.raises(WireFormatError, match="a link of version 9, this MiniPipe has 1"):
        link_wire.read([bytes(content)])


@given(st.binary(min_size=32, max_size=32), st.binary(max_size=300), st.text(max_size=100))
def test_requests_and_answers_come_as_they_were_sent(key: bytes, about: bytes, why: str) -> None:
    request = JoinRequest(key, about)
    assert joining.read_request(joining.write_request(request)) == request
    for answer in (Welcome(about), Refused(why)):
        assert joining.read_answer(joining.write_answer(answer)) == answer


@given(st.lists(st.binary(max_size=40), max_size=4))
def test_whatever_asks_to_join_is_a_request_or_refused(content: list[bytes]) -> None:
    for parts in (content, [b"MPJ\1", *content]):
        read = joining.read_request(parts)
        assert isinstance(read, JoinRequest if len(parts) == 3 and valid(parts) else Refused)
    with pytest.raises(WireFormatError):
        joining.read_answer([b"?", *content])


def valid(parts: list[bytes]) -> bool:
    return parts[0] == b"MPJ\1" and len(parts[1]) == 32


def test_another_version_of_joining_is_named_for_the_user() -> None:
    (head, *rest) = joining.write_request(JoinRequest(b"k" * 32))
    read = joining.read_request([head[:-1] + b"\7", *rest])
    assert isinstance(read, Refused)
    assert "yours by version 7: install the same MiniPipe" in read.why


def test_who_says_that_much_will_come_has_no_more_memory_than_what_came(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("minipipe.protocol.hosts.pieces.FREELY_BYTES", 100)
    taken: list[int] = []

    def allocate(size: int) -> bytearray:
        taken.append(size)
        return bytearray(size)

    content, came = bytes(range(200)), 0
    assembler = Assembler(allocate)
    for piece in cut([content], lambda: 10):
        frames = assembler.add(piece)
        came += 10
        assert taken == ([200] if 8 * came >= 200 else [])
    assert frames is not None and bytes(frames[0]) == content
    assert assembler.add(Piece((1 << 34,), (memoryview(b"x"),))) is None
    assert taken == [200]
    with pytest.raises(WireFormatError, match="got"):
        assembler.add(Piece(None, (memoryview(b""),)))
