"""Who is let in, and what is logged of those who are not: every case, without a socket."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minipipe.protocol.admission import LOG_EVERY_S, Admission, Stranger, StrangerLog

KNOWN, OTHER = b"k" * 32, b"o" * 32


def request(mechanism: bytes, *credentials: bytes) -> list[bytes]:
    return [b"1.0", b"id", b"", b"127.0.0.1", b"", mechanism, *credentials]


def test_a_key_on_the_list_is_let_in_under_a_name_of_its_own() -> None:
    admission = Admission([KNOWN, OTHER])
    reply, stranger = admission.answer(request(b"CURVE", KNOWN))
    assert reply[:3] == [b"1.0", b"id", b"200"] and stranger is None
    assert reply[4] and reply[4] != admission.answer(request(b"CURVE", OTHER))[0][4]


@pytest.mark.parametrize(
    ("asked", "kind"),
    [
        (request(b"CURVE", OTHER), Stranger.WRONG_KEY),
        (request(b"CURVE", KNOWN[:31]), Stranger.NO_KEY),
        (request(b"CURVE", KNOWN, KNOWN), Stranger.NO_KEY),
        (request(b"CURVE"), Stranger.NO_KEY),
        (request(b"NULL"), Stranger.NO_KEY),
        (request(b"PLAIN", b"user", b"password"), Stranger.NO_KEY),
    ],
)
def test_others_are_not(asked: list[bytes], kind: Stranger) -> None:
    for final, status in ((True, b"400"), (False, b"300")):
        reply, stranger = Admission([KNOWN], final=final).answer(asked)
        assert (reply[2], stranger) == (status, kind)
        assert reply[4] == b""


@given(st.lists(st.binary(max_size=40), max_size=9))
def test_whatever_is_asked_is_answered_in_six_frames(asked: list[bytes]) -> None:
    reply, stranger = Admission([KNOWN]).answer(asked)
    assert len(reply) == 6
    admitted = asked[:1] == [b"1.0"] and asked[5:] == [b"CURVE", KNOWN]
    assert (reply[2] == b"200") == admitted == (stranger is None)


def test_a_key_has_32_bytes() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        Admission([b"short"])


def test_the_first_of_each_kind_is_logged_at_once() -> None:
    log = StrangerLog("the socket")
    lines = [log.note(kind, 0.0) for kind in Stranger]
    assert all(kind.value in line for kind, line in zip(Stranger, lines, strict=True))
    assert "did not let in somebody with a key" in lines[0]
    assert [log.note(kind, 1.0) for kind in Stranger] == [""] * len(Stranger)


def test_those_of_a_minute_are_one_line_once_it_is_over() -> None:
    log = StrangerLog("the socket")
    log.note(Stranger.NO_KEY, 5.0)
    assert log.due_at_s() is None
    for second in range(1, 31):
        assert log.note(Stranger.NO_KEY, 5.0 + second) == ""
    assert log.due_at_s() == 5.0 + LOG_EVERY_S
    assert log.due(4.9 + LOG_EVERY_S) == []
    (line,) = log.due(5.0 + LOG_EVERY_S)
    assert "30 times somebody without a key" in line
    assert log.due_at_s() is None and log.last() == []


@given(
    st.lists(st.tuples(st.sampled_from(Stranger), st.floats(0, 40)), max_size=60),
)
def test_no_kind_has_more_than_a_line_a_minute_and_nobody_is_forgotten(
    events: list[tuple[Stranger, float]],
) -> None:
    log, now_s = StrangerLog("it"), 0.0
    said: dict[Stranger, list[float]] = {kind: [] for kind in Stranger}
    counted = 0

    def take(lines: list[str]) -> None:
        nonlocal counted
        for line in lines:
            (kind,) = [kind for kind in Stranger if kind.value in line]
            said[kind].append(now_s)
            numbers = [int(word) for word in line.split() if word.isdigit()]
            counted += numbers[0] if numbers else 1

    for kind, later_s in events:
        now_s += later_s
        take(log.due(now_s))
        take([line] if (line := log.note(kind, now_s)) else [])
    for times in said.values():
        assert all(b - a >= LOG_EVERY_S for a, b in pairwise(times))
    take(log.last())
    assert counted == len(events)
