"""What of the text of several pipes is written to one stream, and when."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minipipe.protocol.run.merging import KEEPS_S, MAX_LINE_BYTES, PARTIAL_S, Merging

A, B = 1, 2


def test_whole_lines_go_at_once_and_the_rest_of_a_line_soon_after() -> None:
    merging = Merging()
    assert merging.due_in_s(0.0) is None
    assert merging.add(A, b"one\ntwo\nthr", 5.0) == b"one\ntwo\n"
    assert merging.due_in_s(5.0) == pytest.approx(PARTIAL_S)
    assert merging.due(5.0) == b""
    assert merging.due(5.2) == b"thr"
    assert merging.due_in_s(6.0) is None
    assert merging.add(A, b"ee\n", 6.0) == b"ee\n"


def test_a_line_that_grows_slowly_waits_from_its_first_byte_on() -> None:
    merging = Merging()
    merging.add(A, b"a", 0.0)
    merging.add(A, b"b", 0.9 * PARTIAL_S)
    assert merging.due(PARTIAL_S) == b"ab"


def test_a_picture_of_a_progress_bar_is_shown_when_it_goes_back_to_the_beginning_of_the_line() -> (
    None
):
    merging = Merging()
    assert merging.add(A, b"\r 1%", 0.0) == b""  # as tqdm does
    assert merging.add(A, b"\r 2%", 0.01) == b"\r 1%\r"
    assert merging.due(0.01 + PARTIAL_S) == b" 2%"
    merging = Merging()
    assert merging.add(A, b" 1%\r", 0.0) == b" 1%\r"  # as others do
    assert merging.add(A, b"done\r\n", 0.1) == b"done\r\n"


def test_a_line_of_another_begins_on_a_new_line_where_an_incomplete_one_was_shown() -> None:
    merging = Merging()
    merging.add(A, b"loading", 0.0)
    assert merging.add(B, b"whole\n", 0.01) == b"whole\n"  # A's was not shown yet
    assert merging.due(PARTIAL_S) == b"loading"
    assert merging.add(B, b"whole\n", 0.2) == b"\nwhole\n"
    assert merging.add(A, b" done\n", 0.3) == b" done\n"


def test_incomplete_lines_take_turns() -> None:
    merging = Merging()
    merging.add(A, b"a 1%", 0.0)
    merging.add(B, b"b 1%", 0.0)
    assert merging.due(PARTIAL_S) == b"a 1%"
    assert merging.add(A, b"\ra 2%\r", 0.2) == b"\ra 2%\r"
    assert merging.add(B, b"\rb 2%\r", 0.2) == b""
    assert merging.due_in_s(0.2) == pytest.approx(PARTIAL_S + KEEPS_S - 0.2)
    assert merging.due(PARTIAL_S + KEEPS_S) == b"\nb 1%\rb 2%\r"
    assert merging.add(A, b"a 3%", 2.0) == b""
    assert merging.due(PARTIAL_S + 2.1 * KEEPS_S) == b"\na 3%"


def test_at_the_end_of_a_pipe_its_last_line_is_completed() -> None:
    merging = Merging()
    merging.add(A, b"last", 0.0)
    assert merging.end(A) == b"last\n"
    merging.add(A, b"shown", 0.0)
    merging.due(PARTIAL_S)
    assert merging.end(A) == b"\n"
    assert merging.end(A) == b""
    merging.add(A, b"whole\n", 0.0)
    assert merging.end(A) == b""
    assert merging.end(B) == b""


def test_an_endless_line_is_shown_in_pieces() -> None:
    merging, written = Merging(), b""
    merging.add(B, b"other", 0.0)
    assert merging.due(PARTIAL_S) == b"other"
    for _ in range(40):
        written += merging.add(A, b"x" * 65_536, 0.2)
    assert len(written) > MAX_LINE_BYTES
    assert set(written) == set(b"\nx")


def test_no_character_is_torn_apart_and_none_is_kept_for_ever() -> None:
    for character in ("é", "€", "𝄞"):
        data = character.encode()
        for cut in range(1, len(data)):
            merging = Merging()
            merging.add(A, b"ab" + data[:cut], 0.0)
            assert merging.due(PARTIAL_S) == b"ab"
            merging.add(A, data[cut:], 0.15)
            assert merging.due(PARTIAL_S + 0.15) == data
    merging = Merging()
    merging.add(A, b"\xe2\x82", 0.0)
    assert merging.due(PARTIAL_S) == b"\xe2\x82"
    merging.add(A, b"\x80\x80\x80\x80\xff", 1.0)
    assert merging.due(2.0) == b"\x80\x80\x80\x80\xff"


texts = st.lists(st.sampled_from([b"a", b"bc", b"\n", b"\r", b"de\nf", b"\r\n", "é".encode()]))


@given(st.lists(st.tuples(st.integers(1, 3), texts.map(b"".join), st.floats(0, 0.5))))
def test_whatever_comes_nothing_is_lost_and_whole_lines_stay_whole(steps) -> None:
    """The bytes of each pipe, marked as its own, come out in their order."""
    merging, now_s, written = Merging(), 0.0, []
    shown_early: dict[int, bool] = {}

    def marked(pipe: int, text: bytes) -> bytes:
        # Other letters for each pipe, the same line ends.
        return text.replace(b"a", b"%d" % pipe).replace(b"bc", b"%d%d" % (pipe, pipe))

    given_: dict[int, bytes] = {}
    for pipe, text, pause_s in steps:
        text = marked(pipe, text.replace(b"de", b"a").replace(b"f", b"a"))
        text = text.replace("é".encode(), b"")
        given_[pipe] = given_.get(pipe, b"") + text
        written.append(merging.add(pipe, text, now_s))
        now_s += pause_s
        part = merging.due(now_s)
        if part:
            shown_early[pipe] = True
        written.append(part)
        assert merging.due_in_s(now_s) is None or merging.due_in_s(now_s) > 0.0
    written += [merging.end(pipe) for pipe in (1, 2, 3)]
    out = b"".join(written)
    for pipe, text in given_.items():
        own = bytes(byte for byte in out if byte == ord(str(pipe)))
        assert own == bytes(byte for byte in text if byte == ord(str(pipe)))
    for line in out.replace(b"\r", b"").split(b"\n"):
        assert len(set(line)) <= 1, out  # of one pipe only
