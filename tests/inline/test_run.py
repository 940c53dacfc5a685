"""The run as a whole: first and last, failures, results."""

from __future__ import annotations

import logging
from typing import Any

import pytest

import minipipe as mp
from minipipe.inline import InlineRun
from minipipe.protocol.run.lifecycle import Outcome
from tests.inline.harness import finished, line, outputs


class Told:
    """Notes what is called, and when."""

    def __init__(self, log: list[str], name: str) -> None:
        self.log, self.name = log, name

    def local_init(self) -> None:
        self.log.append(f"init {self.name}")

    def run(self, item: Any) -> Any:
        if item == "raise":
            raise KeyError(item)
        return item

    def local_term(self) -> str:
        self.log.append(f"term {self.name}")
        if self.name == "bad":
            raise OSError("term")
        return self.name


def test_local_term_is_called_at_the_very_end_in_order() -> None:
    log: list[str] = []
    run = finished(
        line(
            mp.Source(["x"]),
            mp.Transform(Told(log, "a"), "a", n_processes=2),
            mp.Sink(Told(log, "b"), "b"),
        )
    )
    assert log == ["init a", "init b", "term a", "term b"]
    assert run.results == {"a/0": "a", "b": "b"}
    assert run.ended and run.outcome is Outcome.FINISHED


def test_local_term_is_not_called_where_the_run_broke() -> None:
    log: list[str] = []
    graph = line(
        mp.Source(["raise"]), mp.Transform(Told(log, "a"), "a"), mp.Sink(Told(log, "b"), "b")
    )
    run = InlineRun(graph, None)
    with pytest.raises(KeyError) as caught:
        list(run.items())
    assert run.results == {"b": "b"}
    assert run.failure is caught.value and run.outcome is Outcome.FAILED


def test_a_local_term_that_raises_does_not_keep_the_others_from_theirs() -> None:
    log: list[str] = []
    graph = line(
        mp.Source(["x"]), mp.Transform(Told(log, "bad"), "t"), mp.Sink(Told(log, "b"), "b")
    )
    run = InlineRun(graph, None)
    with pytest.raises(OSError, match="term") as caught:
        list(run.items())
    assert "in local_term of segment 't'" in caught.value.__notes__[0]
    assert run.results == {"b": "b"}
    assert run.failure is caught.value and run.ended


def test_a_failure_is_told_before_one_that_came_later(caplog: pytest.LogCaptureFixture) -> None:
    log: list[str] = []
    graph = line(mp.Source(["raise"]), mp.Transform(Told(log, "a")), mp.Sink(Told(log, "bad")))
    with pytest.raises(KeyError):
        finished(graph)
    assert "then OSError: term" in caplog.text


def test_a_local_init_that_raises_is_noted() -> None:
    class Bad:
        def local_init(self) -> None:
            raise OSError("init")

        def run(self, item: int) -> int:
            return item

    with pytest.raises(OSError, match="init") as caught:
        outputs(line(mp.Source([1]), mp.Transform(Bad(), "bad")))
    assert "in local_init of segment 'bad'" in caught.value.__notes__[0]


def test_ignored_exceptions_given_for_the_run_replace_those_of_segments() -> None:
    def inverse(x: int) -> float:
        return 1 / x

    graph = line(mp.Source([0, 1]), mp.Transform(inverse, ignore_exceptions=ArithmeticError))
    assert outputs(graph) == [1.0]
    with pytest.raises(ZeroDivisionError):
        outputs(graph, (KeyError,))


def test_the_end_of_each_stream_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "minipipe"):
        finished(line(mp.Source([1], "load"), mp.Sink(lambda x: None, "save")))
    told = [record.message for record in caplog.records]
    assert told == [
        "load: End of stream",
        "save: End of stream",
        "load: Local termination",
        "save: Local termination",
    ]


def test_a_functor_is_told_of_its_segment_and_its_caller_of_nothing() -> None:
    said = outputs(line(mp.Source([1]), mp.Transform(lambda x: mp.get_worker_info().name, "t")))
    assert said == ["t"]
    assert mp.get_worker_info() is None
