"""Sources: several, several downstreams, epochs, the ends of a stream."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

import minipipe as mp
from minipipe.errors import OutputsError
from minipipe.inline import InlineRun
from minipipe.protocol.run.lifecycle import Outcome
from tests.inline.harness import counts, finished, line, outputs, system


def test_several_sources_take_turns() -> None:
    seen: list[str] = []
    stream = mp.Stream()
    finished(
        system(
            mp.Source(["a", "b", "c"], "one", downstreams=stream),
            mp.Source(["1", None, "2", "3"], "two", downstreams=stream),
            mp.Source(["x", "y"], "three", downstreams=stream),
            mp.Sink(seen.append, upstreams=stream),
        )
    )
    assert seen == ["a", "1", "x", "b", "2", "y", "c", "3"]


def test_an_item_is_worked_off_before_the_next_one_is_taken() -> None:
    log: list[str] = []

    def load() -> Iterator[int]:
        for i in range(2):
            log.append(f"load {i}")
            yield i

    finished(line(mp.Source(load), mp.Sink(lambda i: log.append(f"save {i}"))))
    assert log == ["load 0", "save 0", "load 1", "save 1"]


def test_a_source_without_end_can_be_left() -> None:
    closed: list[bool] = []

    def count() -> Iterator[int]:
        try:
            i = 0
            while True:
                yield (i := i + 1)
        finally:
            closed.append(True)

    run = InlineRun(line(mp.Source(count), mp.Transform(lambda i: i * i)), None)
    items = run.items()
    assert [next(items) for _ in range(3)] == [1, 4, 9]
    items.close()
    assert run.ended and run.outcome is Outcome.STOPPED and closed == [True]


def test_an_initialised_generator_is_not_closed_as_it_is_the_callers() -> None:
    numbers = (i for i in range(5))
    items = InlineRun(line(mp.Source(numbers)), None).items()
    assert next(items) == 0
    items.close()
    assert outputs(line(mp.Source(numbers))) == [1, 2, 3, 4]


class Numbered:
    made = 0

    def __init__(self, start: int) -> None:
        Numbered.made += 1
        self.first = start * Numbered.made

    def run(self) -> Iterator[int]:
        yield self.first

    def local_term(self) -> int:
        return self.first


class Lasting:
    def local_init(self) -> None:
        self.runs = 0

    def run(self) -> Iterator[int]:
        self.runs += 1
        yield self.runs


def test_each_epoch_begins_anew() -> None:
    assert outputs(line(mp.Source([1, 2], epochs=2))) == [1, 2, 1, 2]
    assert outputs(line(mp.Source(lambda: iter([1, 2]), epochs=2))) == [1, 2, 1, 2]
    assert outputs(line(mp.Source(Lasting(), epochs=3))) == [1, 2, 3]


def test_a_class_is_made_anew_for_each_epoch() -> None:
    Numbered.made = 0
    run = InlineRun(line(mp.Source(Numbered, epochs=3, init_kwargs={"start": 10})), None)
    assert list(run.items()) == [10, 20, 30]
    assert run.results == {"Source": 30}


def test_sentinel_ends_all_epochs_and_none_is_no_item() -> None:
    run = InlineRun(line(mp.Source([1, None, mp.Sentinel, 2], "load", epochs=3)), None)
    assert list(run.items()) == [1]
    assert counts(run, "load") == (0, 1, 1)


def test_element_i_goes_to_downstream_i() -> None:
    ones: list[int] = []
    twos: list[int] = []
    a, b = mp.Stream(), mp.Stream()
    run = finished(
        system(
            mp.Source([(1, 10), [2, None], (None, None), None], "load", downstreams=[a, b]),
            mp.Sink(ones.append, "ones", upstreams=a),
            mp.Sink(twos.append, "twos", upstreams=b),
        )
    )
    assert (ones, twos) == ([1, 2], [10])
    assert counts(run, "load") == (0, 3, 2)


def test_a_wrong_number_of_elements_is_an_error_that_cannot_be_ignored() -> None:
    a, b = mp.Stream(), mp.Stream()
    graph = system(
        mp.Source([(1, 2, 3)], "load", downstreams=[a, b]),
        mp.Sink(print, upstreams=a),
        mp.Sink(print, upstreams=b),
    )
    with pytest.raises(OutputsError, match="source 'load' has 2 downstreams") as caught:
        finished(graph, (ValueError,))
    assert "segment 'load'" in caught.value.__notes__[0]


class Shaky:
    """An iterator that fails once and can go on."""

    def __init__(self) -> None:
        self.at = 0

    def __iter__(self) -> Shaky:
        return self

    def __next__(self) -> int:
        self.at += 1
        if self.at == 2:
            raise KeyError("once")
        if self.at > 3:
            raise StopIteration
        return self.at


def test_a_generator_that_raised_has_ended_other_iterators_go_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def load() -> Iterator[int]:
        yield 1
        raise KeyError("always")

    assert outputs(line(mp.Source(load, ignore_exceptions=KeyError, epochs=2))) == [1]
    assert "the stream ends, as a generator cannot go on" in caplog.text
    run = InlineRun(line(mp.Source(Shaky(), "load")), (KeyError,))
    assert list(run.items()) == [1, 3]
    assert counts(run, "load") == (0, 2, 1)


def test_a_flagged_source_yields_no_more() -> None:
    flag = threading.Event()
    source = mp.Source(range(9))
    source.set_term_flag(flag)
    items = InlineRun(line(source), None).items()
    assert next(items) == 0
    flag.set()
    assert list(items) == []


@pytest.mark.parametrize("raises", [False, True])
def test_each_worker_of_a_source_ends_by_itself(raises: bool) -> None:
    def yields(worker: int, n_workers: int) -> Iterator[Any]:
        yield from (n_workers, 10 * worker)
        if raises:
            raise ValueError("no more")
        yield mp.Sentinel
        yield 3

    seen: list[int] = []
    a = mp.Stream("a")
    source = mp.Source(yields, "load", a, ignore_exceptions=ValueError, n_processes=2, epochs=2)
    finished(system(source, mp.Sink(seen.append, upstreams=a)))
    assert seen == [2, 0, 2, 10]
