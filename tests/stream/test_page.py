"""The status page: what it says of the item in the functor."""

from __future__ import annotations

from minipipe.protocol.delivery.paths import ROOT, Path
from minipipe.stream.page import ITEM_WORD, MAX_INLETS, MAX_OUTPUTS, OUTSIDE, Page

FORKED: Path = ((1, (0, 1)), (0, (0, 2)))


def test_an_item_has_its_whole_identity_there() -> None:
    page = Page()
    page.begin(3, FORKED)
    page.words[ITEM_WORD] = 8
    assert (page.origin, page.number, page.outputs) == (3, 7, (1, 0))
    page.begin(4, ROOT)
    assert (page.origin, page.number, page.outputs) == (4, 7, ())


def test_no_two_parcels_make_the_same_call_of_the_functor() -> None:
    page = Page()
    assert page.call is None
    calls = set()
    for path in (ROOT, FORKED[:1], FORKED, ROOT):
        page.begin(3, path)
        page.words[ITEM_WORD] = 8
        calls.add(page.call)
        page.words[ITEM_WORD] = OUTSIDE
        assert page.call is None
    assert len(calls) == 4


def test_the_longest_path_harms_nothing_else() -> None:
    page = Page()
    page.put_fullness(MAX_INLETS - 1, 5, 6)
    path: Path = tuple((i % 3, (0, 1, 2)) for i in range(MAX_OUTPUTS + 9))
    page.begin(3, path)
    assert page.outputs == tuple(i % 3 for i in range(MAX_OUTPUTS))
    assert page.fullness(MAX_INLETS - 1) == (5, 6)
