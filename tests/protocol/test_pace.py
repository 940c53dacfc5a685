"""How large the pieces of a link become, on lines that are quick, slow, and both in turn."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from minipipe.protocol.hosts.pace import LARGEST_BYTES, PIECE_S, SMALLEST_BYTES, Pace


def over_a_line(pace: Pace, bytes_per_s: float, for_s: float, now_s: float = 0.0) -> float:
    """Pieces one after the other, acknowledged at once; the time at the end."""
    until_s = now_s + for_s
    while now_s < until_s:
        pace.sent(now_s)
        size = pace.piece_bytes
        now_s += size / bytes_per_s
        pace.acknowledged(size, now_s, is_all=False)
    return now_s


@given(st.floats(1e4, 1e10))
def test_a_piece_is_what_a_line_gets_across_in_a_tenth_of_a_second(bytes_per_s: float) -> None:
    pace = Pace()
    over_a_line(pace, bytes_per_s, 20 * max(PIECE_S, SMALLEST_BYTES / bytes_per_s))
    fits = bytes_per_s * PIECE_S
    assert pace.piece_bytes <= max(fits * 1.001, SMALLEST_BYTES)
    assert pace.piece_bytes >= min(fits / 2.001, LARGEST_BYTES) or fits < SMALLEST_BYTES


def test_pieces_become_smaller_on_a_line_that_becomes_slower() -> None:
    pace = Pace()
    now_s = over_a_line(pace, 1e9, 1.0)
    assert pace.piece_bytes == LARGEST_BYTES
    over_a_line(pace, 1e6, 10.0, now_s)
    assert pace.piece_bytes <= 1e6 * PIECE_S


def test_a_connection_begins_with_the_smallest_ones() -> None:
    pace = Pace()
    over_a_line(pace, 1e9, 1.0)
    pace.broke()
    assert pace.piece_bytes == SMALLEST_BYTES


def test_words_that_are_acknowledged_late_say_nothing_of_the_line() -> None:
    pace = Pace()
    now_s = over_a_line(pace, 1e9, 1.0)
    pace.acknowledged(0, now_s, is_all=True)
    for _ in range(100):
        pace.sent(now_s)
        now_s += 0.02
        pace.acknowledged(100, now_s, is_all=True)
        now_s += 1.0
    assert pace.piece_bytes == LARGEST_BYTES


def test_what_one_late_acknowledgement_says_is_not_believed_at_once() -> None:
    """The other end was stopped, and acknowledges all of a window in one moment."""
    pace = Pace()
    pace.sent(0.0)
    pace.acknowledged(1 << 30, 0.02, is_all=False)
    assert pace.piece_bytes == 2 * SMALLEST_BYTES


@given(
    st.lists(
        st.tuples(st.integers(0, 1 << 26), st.floats(0.0, 5.0), st.booleans(), st.booleans()),
        max_size=50,
    ),
    st.integers(1, 1 << 23),
)
def test_pieces_are_powers_of_two_within_bounds(
    steps: list[tuple[int, float, bool, bool]], largest: int
) -> None:
    pace, now_s = Pace(largest), 0.0
    for size, took_s, is_all, breaks in steps:
        pace.sent(now_s)
        now_s += took_s
        pace.acknowledged(size, now_s, is_all=is_all)
        if breaks:
            pace.broke()
        size = pace.piece_bytes
        assert SMALLEST_BYTES <= size <= max(SMALLEST_BYTES, largest) and not size & (size - 1)
