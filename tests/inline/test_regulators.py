"""Regulators: any number of outputs, what is held at the end, failures."""

from __future__ import annotations

import itertools
from collections.abc import Generator
from typing import Any

import pytest

import minipipe as mp
from minipipe.errors import BuildError
from minipipe.inline import InlineRun
from tests.inline.harness import counts, cut, finished, line, outputs, system


def test_what_it_holds_at_the_end_is_passed_on() -> None:
    graph = line(mp.Source(range(5)), mp.Regulator(cut, "cut", init_kwargs={"size": 2}))
    assert outputs(graph) == [[0, 1], [2, 3], [4]]


def test_one_behind_the_other_both_give_what_they_hold() -> None:
    graph = line(
        mp.Source(range(7)),
        mp.Regulator(cut, "pairs", init_kwargs={"size": 2}),
        mp.Regulator(cut, "threes", init_kwargs={"size": 3}),
    )
    assert outputs(graph) == [[[0, 1], [2, 3], [4, 5]], [[6]]]


def test_it_ends_with_its_own_input_not_with_the_run() -> None:
    short, long, rows = mp.Stream(), mp.Stream(), mp.Stream()
    seen: list[Any] = []

    def end(item: Any) -> None:
        seen.append(item)
        if len(seen) == 4:
            raise KeyError("enough")

    graph = system(
        mp.Source(range(3), "short", downstreams=short),
        mp.Regulator(cut, init_kwargs={"size": 9}, upstreams=short, downstreams=rows),
        mp.Source(itertools.count(10), "long", downstreams=long),
        mp.Transform(lambda x: x, upstreams=long, downstreams=rows),
        mp.Sink(end, upstreams=rows),
    )
    with pytest.raises(KeyError):
        finished(graph)
    assert seen == [10, 11, 12, [0, 1, 2]]


def test_the_next_output_is_asked_for_when_the_last_one_is_worked_off() -> None:
    log: list[str] = []

    def repeat() -> Generator[Any, Any, None]:
        while True:
            x = yield
            for i in itertools.count():
                log.append(f"give {x + i}")
                yield x + i

    run = InlineRun(line(mp.Source([5]), mp.Regulator(repeat), mp.Transform(lambda x: x)), None)
    for item in run.items():
        log.append(f"got {item}")
        if item == 7:
            break
    assert log == ["give 5", "got 5", "give 6", "got 6", "give 7", "got 7"]


def test_an_object_has_its_hooks() -> None:
    class Doubling:
        def local_init(self, by: int) -> None:
            self.by = by

        def run(self) -> Generator[Any, Any, None]:
            while True:
                x = yield
                yield x * self.by

        def local_term(self) -> int:
            return self.by

    run = InlineRun(
        line(mp.Source([1, 2]), mp.Regulator(Doubling(), "by", init_kwargs={"by": 3})), None
    )
    assert list(run.items()) == [3, 6]
    assert run.results == {"by": 3}


def test_after_an_ignored_exception_it_is_made_anew(caplog: pytest.LogCaptureFixture) -> None:
    def total() -> Generator[Any, Any, None]:
        total = 0
        while True:
            x = yield
            total += 6 // x
            yield total

    run = InlineRun(line(mp.Source([1, 2, 0, 3]), mp.Regulator(total, "total")), (ArithmeticError,))
    assert list(run.items()) == [6, 9, 2]
    assert "total: item 2 was skipped and its coroutine is made anew" in caplog.text
    assert counts(run, "total") == (4, 3, 1)


def test_an_exception_at_the_end_of_the_stream_says_so() -> None:
    def bad() -> Generator[Any, Any, None]:
        try:
            while True:
                yield
        except mp.EndOfStream:
            raise KeyError("end") from None

    with pytest.raises(KeyError) as caught:
        outputs(line(mp.Source([1]), mp.Regulator(bad, "bad")))
    assert "at the end of the stream of segment 'bad'" in caught.value.__notes__[0]


def test_what_is_no_coroutine_is_an_error_before_the_first_item() -> None:
    taken: list[int] = []
    source = (taken.append(i) or i for i in range(3))
    with pytest.raises(BuildError, match="coroutine"):
        outputs(line(mp.Source(source), mp.Regulator(lambda: 5)))
    assert taken == []


def test_several_downstreams_get_an_element_each() -> None:
    def split() -> Generator[Any, Any, None]:
        while True:
            x = yield
            yield x, None
            yield None, -x

    a, b, c = mp.Stream(), mp.Stream(), mp.Stream()
    plus: list[int] = []
    minus: list[int] = []
    finished(
        system(
            mp.Source([1, 2], downstreams=a),
            mp.Regulator(split, upstreams=a, downstreams=[b, c]),
            mp.Sink(plus.append, upstreams=b),
            mp.Sink(minus.append, upstreams=c),
        )
    )
    assert (plus, minus) == ([1, 2], [-1, -2])


def test_a_run_that_is_left_closes_its_coroutine() -> None:
    closed: list[bool] = []

    def passing() -> Generator[Any, Any, None]:
        try:
            while True:
                x = yield
                yield x
        finally:
            closed.append(True)

    items = InlineRun(line(mp.Source(range(9)), mp.Regulator(passing)), None).items()
    next(items)
    items.close()
    assert closed == [True]
