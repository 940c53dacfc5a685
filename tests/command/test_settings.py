"""Options of segments as they are written on a command line."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import minipipe as mp
from minipipe.command.settings import apply, parse, value_of
from minipipe.errors import LifecycleError, UsageError
from minipipe.segments.settings import set_option, settable


def double(n: int) -> int:
    return 2 * n


def pipeline() -> mp.PipeLine:
    made = mp.PipeLine([mp.Source([1, 2], "load")])
    made.add(mp.Transform(double, "lr=0.1.x"), n_processes=2, buffer_size=3)
    return made.add(mp.Sink(print, "lr"))


@given(st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False)))
def test_values_are_read_as_python_writes_them(value: Any) -> None:
    assert value_of(repr(value)) == value
    assert type(value_of(repr(value))) is type(value)


@given(st.text())
def test_any_other_text_is_itself(text: str) -> None:
    assert value_of(f"'{text}'") == text
    found = value_of(text)
    assert isinstance(found, int | float | str | None)


def test_nothing_is_evaluated() -> None:
    assert value_of("__import__('os')") == "__import__('os')"


def test_names_may_have_points_and_equals_signs() -> None:
    segments = pipeline().segments_by_name()
    segment, option, value = parse("lr=0.1.x.n_processes=4", segments)
    assert (segment.name, option, value) == ("lr=0.1.x", "n_processes", 4)
    segment, option, value = parse("lr.dead_letter=a=b", segments)
    assert (segment.name, option, value) == ("lr", "dead_letter", "a=b")


def test_they_hold_against_those_of_add_and_of_a_pipeline_that_is_built() -> None:
    for is_built in (False, True):
        made = pipeline()
        if is_built:
            made.build(inline=True)
        apply(made, ["lr=0.1.x.n_processes=5", "lr=0.1.x.buffer_size=None", "load.epochs=2"])
        workers = {s.name: (s.n_processes, s.buffer_size) for s in made._graph.segments}  # type: ignore[union-attr]
        assert workers["lr=0.1.x"] == (5, None)
        assert made._inline is is_built
        assert made.pipes[0].epochs == 2  # type: ignore[attr-defined]


def test_a_pipeline_that_runs_cannot_be_set() -> None:
    with mp.PipeLine([mp.Source([1]), mp.Transform(double, "x")]) as made:
        with pytest.raises(LifecycleError, match="running"):
            apply(made, ["x.n_processes=2"])
        assert list(made) == [2]


def test_every_option_that_can_be_set_is_one_of_the_constructor_and_takes_its_default() -> None:
    for segment in (
        mp.Source(range(3), "s"),
        mp.Transform(double, "t", restart=True),
        mp.Batch(2),
        mp.Sink(print, "k"),
    ):
        for option in settable(segment):
            if option in ("batch", "drop_last"):
                continue
            before = getattr(segment, option)
            set_option(segment, option, before)
            assert getattr(segment, option) == before
        with pytest.raises(mp.OptionError):
            set_option(segment, "functor_obj", 3)


def test_batches_are_set_piece_by_piece() -> None:
    segment = mp.Transform(double, "t", batch=4, collate=tuple)
    set_option(segment, "batch", 8)
    set_option(segment, "drop_last", True)
    assert segment.batching is not None
    assert segment.batching.size == 8
    assert segment.batching.drops_last
    assert segment.batching.collate is tuple
    with pytest.raises(mp.OptionError, match="batch="):
        set_option(mp.Transform(double, "u"), "drop_last", True)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("n_processes", 0),
        ("restart", "yes"),
        ("poison", "eat"),
        ("threads", 65),
        ("timeout_s", -1),
        ("max_failures", 1.5),
        ("dead_letter", 3),
        ("strict", 1),
        ("batch", 0),
    ],
)
def test_impossible_values_are_refused(option: str, value: object) -> None:
    with pytest.raises(mp.OptionError):
        set_option(mp.Transform(double, "t"), option, value)


def test_a_source_that_can_be_gone_through_once_has_one_epoch() -> None:
    with pytest.raises(mp.OptionError, match="only once"):
        set_option(mp.Source(iter([1, 2]), "s"), "epochs", 2)
    with pytest.raises(UsageError, match="no option 'dead_letter'"):
        parse("s.dead_letter=x", {"s": mp.Source([1], "s")})
