"""A run whose sockets take no pickles, as those of a run over several hosts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import numpy as np
import pytest

import minipipe as mp
from minipipe.supervisor.run_options import RunOptions
from tests.conftest import DEADLOCK_S


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """All runs are such."""
    monkeypatch.setattr(RunOptions, "is_plain", True)


class BadImage(ValueError):
    """Of a script."""

    def __init__(self, path: str, at: int) -> None:
        super().__init__(path, at)
        self.path = path


class Mean:
    def __init__(self) -> None:
        self.seen: list[int] = []

    def __call__(self, x: int) -> None:
        self.seen.append(x)

    def local_term(self) -> Any:
        return {"mean": np.mean(self.seen), "seen": np.array(self.seen), "n": len(self.seen)}


def fails_at_7(x: int) -> int:
    if x == 7:
        raise BadImage("seven.jpg", 7)
    return x


def test_results_are_those_of_any_run() -> None:
    pline = mp.PipeLine([mp.Source(range(20)), mp.Transform(lambda x: x), mp.Sink(Mean(), "mean")])
    result = pline.run().close(DEADLOCK_S)["mean"]
    assert (result["mean"], result["n"]) == (9.5, 20)
    assert sorted(result["seen"]) == list(range(20))


def test_an_exception_is_raised_as_what_it_is() -> None:
    pline = mp.PipeLine([mp.Source(range(20)), mp.Transform(fails_at_7, "reads")])
    with pytest.raises(BadImage) as told:
        list(pline.run())
    assert (told.value.args, told.value.path) == (("seven.jpg", 7), "seven.jpg")
    assert "in its functor of segment 'reads'" in told.value.__notes__[0]
    assert "fails_at_7" in str(told.value.__cause__)


def test_failures_within_a_budget_and_beyond_it() -> None:
    within = mp.PipeLine([mp.Source(range(20)), mp.Transform(fails_at_7, max_failures=1)])
    assert sorted(within.run()) == [x for x in range(20) if x != 7]
    beyond = mp.PipeLine([mp.Source(range(20)), mp.Transform(fails_at_7, max_failures=0)])
    with pytest.raises(mp.TooManyFailuresError) as told:
        list(beyond.run())
    assert type(told.value.__cause__) is BadImage


class Returns(Mean):
    def local_term(self) -> Any:
        return {"best": lambda: 3}


def test_a_result_without_a_native_form_is_an_error_that_names_segment_and_type() -> None:
    pline = mp.PipeLine([mp.Source(range(3)), mp.Sink(Returns(), "keeps")])
    with pytest.raises(
        mp.ItemTypeError, match=r"what local_term returned\['best'\] of type"
    ) as told:
        pline.run().close(DEADLOCK_S)
    assert "'keeps'" in told.value.__notes__[0]
    assert "allow_pickle=True" in str(told.value)


@dataclass
class Sample:
    """An item whose class a worker finds by its name alone."""

    number: int


def samples() -> Iterator[Sample]:
    yield from map(Sample, range(5))


def test_the_class_of_an_item_is_found_where_no_functor_names_it() -> None:
    # (The Transform's is Python's own: its worker imports this module for the items alone.)
    pline = mp.PipeLine([mp.Source(samples), mp.Transform(attrgetter("number"))])
    assert sorted(pline.run()) == list(range(5))


class Unloadable:
    """It says no where it is loaded."""

    def __call__(self, x: int) -> int:
        return x

    def __reduce__(self) -> Any:
        return int, ("no number",)


def test_a_functor_that_no_worker_can_load_is_started_otherwise() -> None:
    pline = mp.PipeLine([mp.Source(range(3)), mp.Transform(Unloadable())])
    assert sorted(pline.run()) == [0, 1, 2]
