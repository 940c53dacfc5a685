"""Regulators: a coroutine that is sent each item and puts out any number for it."""

from __future__ import annotations

import numpy as np
import pytest

import minipipe as mp
from tests.process.functors import Collect, endless, run, streams


def through(functor, items, **options) -> list[object]:
    """What comes out of a Regulator when these items go in; in this process the same."""
    pline = mp.PipeLine([mp.Source(items), mp.Regulator(functor, "r", **options)])
    out = list(pline)
    assert list(pline.build(inline=True)) == out
    return out


def gather(size: int = 3):
    """Batches of `size`; what is left over goes out at the end."""
    batch: list[object] = []
    try:
        while True:
            batch.append((yield))
            if len(batch) == size:
                yield batch
                batch = []
    except mp.EndOfStream:
        if batch:
            yield batch


# ------------------------------------------------------ what goes in and comes out
def test_one_that_ends_is_made_anew_for_each_item() -> None:
    def rows():
        array = yield
        for row in array:
            yield int(row)

    assert through(rows, [np.arange(3), np.arange(2)]) == [0, 1, 2, 0, 1]


def test_one_that_does_not_end_keeps_its_state() -> None:
    def total():
        so_far = 0
        while True:
            so_far += yield
            yield so_far

    assert through(total, range(1, 6)) == [1, 3, 6, 10, 15]


def test_after_each_output_it_is_advanced_by_an_extra_none() -> None:
    def echo():
        got = yield
        while True:
            got = yield ("out", got)  # advanced with None: puts out once more
            if got is None:
                got = yield  # and waits by a bare yield

    assert through(echo, [1, 2, 3]) == [("out", 1), ("out", 2), ("out", 3)]


def test_an_output_that_takes_the_next_value_at_once_gets_none() -> None:
    def shows():
        seen = []
        for _ in range(4):
            seen.append((yield tuple(seen) if seen else None))

    # x = yield out receives None for each output, so the loop puts out twice for an item.
    assert through(shows, ["a"]) == [("a",), ("a", None), ("a", None, None)]


def test_one_that_ends_without_yielding_is_simply_made_anew() -> None:
    def picks():
        x = yield
        if x % 3 == 0:
            yield x

    assert through(picks, range(10)) == [0, 3, 6, 9]


def test_it_gathers_and_gives_the_rest_at_the_end_of_the_stream() -> None:
    assert through(gather, range(8)) == [[0, 1, 2], [3, 4, 5], [6, 7]]


def test_the_end_of_the_stream_may_give_several_and_pass_through_handlers_of_exceptions() -> None:
    def stubborn():
        held = []
        while True:
            try:
                held.append((yield))
            except Exception:  # an EndOfStream is none
                raise AssertionError from None
            except mp.EndOfStream:
                yield from reversed(held)
                return

    assert through(stubborn, range(4)) == [3, 2, 1, 0]


def test_one_without_an_end_that_it_knows_of_ends_quietly() -> None:
    def plain():
        while True:
            x = yield
            yield x

    assert through(plain, []) == []
    assert through(plain, [1]) == [1]


def test_none_yielded_is_no_output() -> None:
    def odd():
        while True:
            x = yield
            if x % 2:
                yield x

    assert through(odd, range(6)) == [1, 3, 5]


def test_falsy_outputs_are_outputs() -> None:
    def same():
        while True:
            x = yield
            yield x

    assert through(same, [0, "", [], False]) == [0, "", [], False]


# ------------------------------------------------------------------- what it may be
def test_init_kwargs_go_to_the_coroutine() -> None:
    assert through(gather, range(4), init_kwargs={"size": 2}) == [[0, 1], [2, 3]]


def test_an_object_whose_run_is_a_coroutine_has_hooks_and_state() -> None:
    class Cut:
        def local_init(self, size: int) -> None:
            self.size, self.count = size, 0

        def run(self):
            array = yield
            for first in range(0, len(array), self.size):
                self.count += 1
                yield array[first : first + self.size]

        def local_term(self) -> int:
            return self.count

    cut = mp.Regulator(Cut(), "cut", init_kwargs={"size": 2})
    pline = mp.PipeLine([mp.Source([[1, 2, 3], [4]]), cut])
    assert list(pline) == [[1, 2], [3], [4]]
    assert pline.results == {"cut": 3}


def test_init_kwargs_go_to_the_run_of_an_object_that_takes_them() -> None:
    class Cut:
        def run(self, size: int):
            array = yield
            yield array[:size]

    assert through(Cut(), [[1, 2, 3]], init_kwargs={"size": 2}) == [[1, 2]]


def test_a_class_is_made_in_the_worker_with_init_kwargs() -> None:
    class Scale:
        def __init__(self, factor: int) -> None:
            self.factor = factor

        def run(self):
            while True:
                x = yield
                yield self.factor * x

    assert through(Scale, [1, 2], init_kwargs={"factor": 10}) == [10, 20]


def test_several_upstreams_come_as_one_tuple() -> None:
    def adds():
        while True:
            pair = yield
            assert type(pair) is tuple
            yield sum(pair)

    a, b, c = streams(3)
    _, kept = run(
        [
            mp.Source([1, 2, 3], "a", a),
            mp.Source([10, 20, 30], "b", b),
            mp.Regulator(adds, "adds", [a, b], c),
            mp.Sink(Collect(), "keep", c),
        ]
    )
    assert kept == [11, 22, 33]


def test_with_several_downstreams_each_output_is_split() -> None:
    def split():
        while True:
            x = yield
            yield [x, None] if x % 2 else [None, x]
            yield (-x, -x)

    s, a, b = streams(3)
    psys = mp.PipeSystem(
        [
            mp.Source(range(1, 5), downstreams=s),
            mp.Regulator(split, "split", s, [a, b]),
            mp.Sink(Collect(), "odd", a),
            mp.Sink(Collect(), "even", b),
        ]
    )
    assert psys.run().close(30) == {
        "odd": [1, -1, -2, 3, -3, -4],
        "even": [-1, 2, -2, -3, 4, -4],
    }


def test_regulators_that_share_a_stream_have_each_their_own_state() -> None:
    pline = mp.PipeLine([mp.Source(range(60)), mp.Regulator(gather, n_processes=2)])
    batches = list(pline)
    assert sorted(x for batch in batches for x in batch) == list(range(60))
    assert all(batch == sorted(batch) for batch in batches)


def test_regulators_behind_each_other_pass_their_last_ones_on() -> None:
    pline = mp.PipeLine(
        [
            mp.Source(range(20)),
            mp.Regulator(gather, "three", init_kwargs={"size": 3}),
            mp.Regulator(gather, "two", init_kwargs={"size": 2}),
            mp.Sink(Collect(), "keep"),
        ]
    )
    kept = pline.run().close(30)["keep"]
    assert [x for pair in kept for batch in pair for x in batch] == list(range(20))
    assert [len(pair) for pair in kept] == [2, 2, 2, 1]


# ------------------------------------------------------------------ when it breaks
def fragile():
    total = 0
    while True:
        x = yield
        total += 12 // (x - 3)
        yield total


def test_an_exception_ends_the_run_and_names_the_item() -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        through(fragile, range(10))
    (note,) = caught.value.__notes__
    assert "in its functor of segment 'r' (worker r," in note
    assert note.endswith("at item 3 of 'Source' (3)")


def test_an_exception_after_some_outputs_names_the_item_too() -> None:
    def later():
        while True:
            x = yield
            yield x
            yield 1 // (x - 2)

    with pytest.raises(ZeroDivisionError) as caught:
        through(later, [5, 2])
    assert "at item 1 of 'Source' (2)" in caught.value.__notes__[0]


def test_an_exception_at_the_end_of_the_stream_ends_the_run() -> None:
    def fails_at_last():
        try:
            while True:
                yield
        except mp.EndOfStream:
            raise ValueError("nothing gathered") from None

    with pytest.raises(ValueError, match="nothing gathered") as caught:
        through(fails_at_last, [1])
    assert "segment 'r'" in caught.value.__notes__[0]


def test_an_ignored_exception_skips_the_item_and_makes_it_anew(caplog) -> None:
    out = through(fragile, range(1, 7), ignore_exceptions=[ZeroDivisionError])
    assert out == [-6, -18, 12, 18, 22]  # anew after item 3, so its sum begins at 0 again
    assert "regulator 'r': item 2 was skipped: ZeroDivisionError" in caplog.text


def test_a_return_of_local_term_is_there_although_the_coroutine_was_left_open() -> None:
    class Open:
        def local_init(self) -> None:
            self.closed = False

        def run(self):
            try:
                while True:
                    yield
            finally:
                self.closed = True

        def local_term(self) -> bool:
            return self.closed

    pline = mp.PipeLine([mp.Source(range(3)), mp.Regulator(Open(), "open"), mp.Sink(print)])
    assert pline.run().close(30) == {"open": True}


def test_a_sentinel_from_a_regulator_is_an_error() -> None:
    def sends():
        while True:
            yield
            yield mp.Sentinel

    with pytest.raises(mp.SentinelError, match=r"regulator 'r' returned mp\.Sentinel"):
        through(sends, [1])


def test_a_function_that_is_no_coroutine_is_told_at_the_run() -> None:
    with pytest.raises(mp.BuildError, match="returned 3: it has to be a coroutine function"):
        through(lambda: 3, [1])


def test_a_coroutine_that_ends_before_it_takes_anything_is_told() -> None:
    def hasty():
        return
        yield

    with pytest.raises(mp.BuildError, match="ended before its first `yield`"):
        through(hasty, [1])


@pytest.mark.parametrize(
    ("functor", "text"),
    [
        (gather(), "needs a coroutine function"),
        ([1, 2], "needs a coroutine function"),
        (3, "needs a coroutine function"),
    ],
)
def test_what_is_no_coroutine_function_is_told_at_once(functor, text) -> None:
    with pytest.raises(mp.BuildError, match=text):
        mp.Regulator(functor, "r")


def test_a_coroutine_that_wants_arguments_is_told_at_build() -> None:
    def wants(size):
        yield

    with pytest.raises(mp.BuildError, match=r"called with its init_kwargs.*then sent each item"):
        mp.PipeLine([mp.Source([1]), mp.Regulator(wants, "r")])


def test_end_of_stream_is_no_exception_that_except_exception_catches() -> None:
    assert not issubclass(mp.EndOfStream, Exception)


def test_a_stop_ends_a_regulator_and_its_local_term_runs() -> None:
    class Counts:
        def local_init(self) -> None:
            self.count = 0

        def run(self):
            while True:
                x = yield
                self.count += 1
                yield x

        def local_term(self) -> int:
            return self.count

    pline = mp.PipeLine([mp.Source(endless), mp.Regulator(Counts(), "count")])
    for x in pline:
        if x == 100:
            break
    assert pline.results["count"] >= 100
