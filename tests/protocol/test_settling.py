"""Settling a parcel by intervals, against sets of paths for every number."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from minipipe.protocol.delivery.paths import ROOT, Path, complete
from minipipe.protocol.delivery.settling import DONE, NOTHING, Settling

FIRST, STOP = 10, 22


@st.composite
def paths(draw: st.DrawFn) -> Path:
    """Nested, and with masks that may contradict those of other numbers, and of other attempts."""
    steps = []
    for _ in range(draw(st.sampled_from((0, 1, 1, 1, 2, 2, 3)))):
        output = draw(st.integers(0, 1))
        others = draw(st.sampled_from(((), (0,), (1,), (0, 1))))
        steps.append((output, tuple(sorted({output, *others}))))
    return tuple(steps)


EDGES = st.tuples(st.integers(FIRST, STOP), st.integers(FIRST, STOP)).filter(lambda e: e[0] < e[1])


class PerNumber:
    """Rule 4 word by word: each number has its own set of paths until it is done with."""

    def __init__(self) -> None:
        self.paths: dict[int, set[Path]] = {n: set() for n in range(FIRST, STOP)}

    def acknowledge(self, first: int, stop: int, path: Path) -> int:
        done = 0
        for number in range(first, stop):
            if number in self.paths:
                self.paths[number].add(path)
                if complete(ROOT, self.paths[number]):
                    del self.paths[number]
                    done += 1
        return done


@given(st.lists(st.tuples(EDGES, paths()), min_size=1, max_size=30))
@settings(max_examples=150, deadline=None)
def test_intervals_settle_just_what_single_numbers_would(steps) -> None:
    parcel, model = Settling(FIRST, STOP), PerNumber()
    for (first, stop), path in steps:
        assert parcel.acknowledge(first, stop, path) == model.acknowledge(first, stop, path)
        pieces = list(parcel)
        assert [edge for first, stop, _ in pieces for edge in range(first, stop)] == list(
            range(FIRST, STOP)
        )
        for first, stop, settled in pieces:
            for number in range(first, stop):
                assert settled == model.paths.get(number, DONE)
        assert all(one[2] != other[2] for one, other in pairwise(pieces))
        assert parcel.mark == min(model.paths, default=STOP)


def test_a_new_parcel_has_nothing_settled() -> None:
    assert list(Settling(3, 8)) == [(3, 8, NOTHING)]
    assert Settling(3, 8).mark == 3


def test_numbers_that_forked_differently_are_done_with_at_different_paths() -> None:
    parcel = Settling(0, 10)
    assert parcel.acknowledge(0, 5, ((0, (0,)),)) == 5  # sent to output 0 only
    assert parcel.acknowledge(5, 10, ((0, (0, 1)),)) == 0
    assert parcel.acknowledge(0, 10, ((1, (0, 1)),)) == 5
    assert list(parcel) == [(0, 10, DONE)]


def test_confirmations_in_small_pieces_end_in_one_interval() -> None:
    parcel = Settling(0, 100)
    left, right = ((0, (0, 1)),), ((1, (0, 1)),)
    for number in (*range(1, 100, 2), *range(0, 100, 2)):
        assert parcel.acknowledge(number, number + 1, left) == 0
    assert list(parcel) == [(0, 100, frozenset({left}))]
    assert parcel.acknowledge(0, 100, right) == 100


def test_what_is_done_with_keeps_no_paths() -> None:
    parcel = Settling(0, 2)
    parcel.acknowledge(0, 2, ((0, (0, 1)),))
    parcel.acknowledge(0, 1, ROOT)
    assert parcel.acknowledge(0, 1, ((1, (0, 1)),)) == 0
    assert list(parcel) == [(0, 1, DONE), (1, 2, frozenset({((0, (0, 1)),)}))]


def test_it_shows_its_intervals() -> None:
    parcel = Settling(0, 2)
    parcel.acknowledge(0, 1, ROOT)
    assert repr(parcel) == "Settling([(0, 1, frozenset({()})), (1, 2, frozenset())])"
