"""The table of calls in several threads, behind the status page."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from minipipe.segments.options import MAX_THREADS as DECLARED
from minipipe.stream.page import DURATIONS_WORD, SIZE_BYTES, Page
from minipipe.stream.under_way import MAX_THREADS, UnderWay
from minipipe.supervisor.shared_page import SharedPage

WORD = st.integers(0, 2**64 - 1)
ITEM = st.tuples(WORD, st.integers(0, 2**62), st.lists(WORD, max_size=5).map(tuple))
CALL = st.tuples(ITEM, WORD, WORD, WORD)


@given(st.dictionaries(st.integers(0, MAX_THREADS - 1), CALL), st.sets(st.integers(0, 63)))
def test_what_is_under_way_is_there_the_oldest_first(calls, left) -> None:
    page = Page()
    page.threads = MAX_THREADS
    before = bytes(page._memory[:4096])
    for place, (item, call, began_ns, thread) in calls.items():
        page.table.enter(place, item, call=call, began_ns=began_ns, thread=thread)
    for place in left:
        page.table.leave(place)
    assert bytes(page._memory[:4096]) == before  # it lies behind all else
    expected = [
        UnderWay((origin, number, path[:2]), call, began_ns, thread)
        for place, ((origin, number, path), call, began_ns, thread) in calls.items()
        if place not in left
    ]
    assert sorted(page.calls) == sorted(expected)
    assert [c.began_ns for c in page.calls] == sorted(c.began_ns for c in expected)


def test_the_oldest_is_what_is_shown_of_a_worker() -> None:
    page = Page()
    shared = SharedPage(page)
    page.threads = 3
    page.table.enter(2, (7, 5, (1,)), call=2, began_ns=2_000, thread=1)
    page.table.enter(0, (7, 9, ()), call=3, began_ns=3_000, thread=2)
    signs = shared.signs()
    assert signs.item == (7, 5, (1,)) and signs.beside == ((7, 9, ()),) and signs.is_in_functor
    first = shared.call()
    assert first is not None and shared.call_began_s() == 2e-6
    page.dropped += 5  # what becomes of others is another matter
    page.table.leave(0)
    assert shared.call() == first
    page.table.leave(2)
    page.table.enter(2, (7, 5, (1,)), call=4, began_ns=4_000, thread=1)
    assert shared.call() not in (None, first)  # the same item, once more
    page.table.leave(2)
    assert shared.signs().item is None and not shared.signs().is_in_functor


def test_there_is_a_place_for_each_thread() -> None:
    assert DECLARED == MAX_THREADS
    page = Page()
    assert len(page.words) == SIZE_BYTES // 8
    page.threads = MAX_THREADS
    page.table.enter(MAX_THREADS - 1, (1, 2, (3, 4, 5)), call=1, began_ns=1, thread=1)
    assert page.words[DURATIONS_WORD - 1] == 4
