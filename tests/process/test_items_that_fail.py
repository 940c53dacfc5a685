"""Items that fail on their way: while they are sent, and while they are made again."""

from __future__ import annotations

import io
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minipipe as mp
from minipipe.worker.failure import is_read_only
from tests.process.functors import Collect

BAD = 3


class Lazy:
    """An image, say, that is read when it is sent; or cannot be made again where it arrives."""

    def __init__(self, number: int, fails: str = "", data: Any = None) -> None:
        self.number = number
        self.fails = fails if number == BAD else ""
        self.data = data

    def __getstate__(self) -> Any:
        if self.fails == "sending":
            raise OSError("image file is truncated")
        return self.__dict__

    def __setstate__(self, state: Any) -> None:
        if state["fails"] == "arriving":
            raise OSError("there is no such file here")
        self.__dict__.update(state)


def opens(fails: str, size: int = 0) -> Callable[[int], Lazy]:
    return lambda number: Lazy(number, fails, np.full(size, number) if size else None)


def number_of(item: Lazy) -> int:
    return item.number


REST = [number for number in range(8) if number != BAD]
BUDGETS = [{"max_failures": 2}, {"ignore_exceptions": OSError}]


@pytest.mark.parametrize("options", BUDGETS)
def test_an_item_that_cannot_be_sent_is_a_failure_of_that_item(options: Any) -> None:
    transform = mp.Transform(opens("sending"), "opens", **options)
    items = list(mp.PipeLine([mp.Source(range(8)), transform, mp.Transform(number_of)]))
    assert items == REST


@pytest.mark.parametrize("options", BUDGETS)
@pytest.mark.parametrize("size", [0, 2_000, 40_000])
def test_an_item_that_cannot_be_made_again_is_a_failure_where_it_arrives(
    options: Any, size: int
) -> None:
    # Small, in a frame of the message, in shared memory: what is behind it in its parcel is read.
    whole = lambda item: (item.number, bool((item.data == item.number).all()) if size else True)  # noqa: E731
    segments = [mp.Source(range(8)), mp.Transform(opens("arriving", size), "opens")]
    items = list(mp.PipeLine([*segments, mp.Transform(whole, "takes", **options)]))
    assert items == [(number, True) for number in REST]


def test_a_source_goes_on_after_items_that_cannot_be_sent() -> None:
    def items() -> Iterator[Lazy]:
        for number in range(8):
            yield Lazy(number)
            yield Lazy(BAD, "sending")

    def run(allowed: int) -> list[int]:
        source = mp.Source(items, "images", max_failures=allowed)
        return list(mp.PipeLine([source, mp.Transform(number_of)]))

    assert run(8) == list(range(8))
    with pytest.raises(mp.TooManyFailuresError, match="image file is truncated"):
        run(7)


def test_without_a_budget_the_true_reason_and_the_item_are_named() -> None:
    segments = [mp.Source(range(8)), mp.Transform(opens("sending"), "opens")]
    with pytest.raises(mp.ItemTypeError, match="OSError: image file is truncated") as caught:
        list(mp.PipeLine(segments))
    assert "sending what its functor gave of segment 'opens'" in caught.value.__notes__[0]
    assert "at item 3 of 'Source' (3)" in caught.value.__notes__[0]


@pytest.mark.parametrize("in_loop", [True, False])
def test_an_item_that_cannot_be_made_again_is_named_with_its_class(in_loop: bool) -> None:
    segments: list[Any] = [mp.Source(range(8)), mp.Transform(opens("arriving"), "opens")]
    if not in_loop:
        segments.append(mp.Transform(number_of, "takes"))
    with pytest.raises(mp.UnreadableItemError, match=r"Lazy\.__setstate__.*no such file") as caught:
        list(mp.PipeLine(segments))
    (note,) = caught.value.__notes__
    assert "item 3 of 'Source'" in note and "came from 'opens'" in note


def test_the_dead_letter_of_what_cannot_be_sent_has_the_item_that_it_was_made_of(
    tmp_path: Path,
) -> None:
    path = tmp_path / "letters"
    transform = mp.Transform(opens("sending"), "opens", max_failures=1, dead_letter=path)
    list(mp.PipeLine([mp.Source(range(8)), transform, mp.Transform(number_of)]))

    assert list(mp.PipeLine([mp.DeadLetters(path)])) == [BAD]


def test_of_several_outputs_none_is_sent_if_one_cannot_be() -> None:
    def both(number: int) -> tuple[int, Lazy]:
        return number, Lazy(number, "sending")

    class Numbers(Collect):
        def run(self, *parts: Any) -> None:
            super().run(getattr(parts[0], "number", parts[0]))

    left, right = mp.Stream("left"), mp.Stream("right")
    psys = mp.PipeSystem(
        [
            mp.Source(range(8), downstreams=(start := mp.Stream("start"))),
            mp.Transform(both, "both", upstreams=start, downstreams=[left, right], max_failures=1),
            mp.Sink(Numbers(), "left", upstreams=left),
            mp.Sink(Numbers(), "right", upstreams=right),
        ]
    )
    assert psys.run().close(60) == {"left": REST, "right": REST}


# ------------------------------------------------------------------------- read-only arrays
def locked() -> Any:
    array = np.zeros(4)
    array.flags.writeable = False
    return array


@pytest.mark.parametrize(
    "write",
    [
        lambda array: array.__setitem__(0, 1),
        lambda array: array.__iadd__(1),
        lambda array: np.add(array, 1, out=array),
        lambda array: array.sort(),
        lambda array: array.partition(1),
        lambda array: array.fill(1),
        lambda array: np.copyto(array, 1),
        lambda array: np.put(array, [0], 1),
        lambda array: memoryview(array).__setitem__(0, 1.0),
        lambda array: io.BytesIO(b"x" * 32).readinto(array),
        lambda array: (np.ctypeslib.ctypes.c_double * 4).from_buffer(array),
    ],
)
def test_what_wants_to_write_to_an_array_that_it_may_only_read_is_seen(write: Any) -> None:
    with pytest.raises((ValueError, TypeError, BufferError)) as caught:
        write(locked())
    assert is_read_only(caught.value), repr(caught.value)


@pytest.mark.parametrize(
    "error",
    [
        sqlite3.OperationalError("attempt to write a readonly database"),
        OSError(30, "Read-only file system"),
        AttributeError("readonly attribute"),
        ValueError("the settings are read-only"),
        TypeError("'mappingproxy' object is read-only"),
    ],
)
def test_something_else_that_is_read_only_is_no_reason_to_call_a_functor_again(
    error: Exception, tmp_path: Path
) -> None:
    assert not is_read_only(error)


def test_a_read_only_database_is_an_error_at_the_first_try(tmp_path: Path) -> None:
    calls = tmp_path / "calls"

    def stores(array: Any) -> None:
        with calls.open("a") as file:
            file.write("call\n")
        raise sqlite3.OperationalError("attempt to write a readonly database")

    with pytest.raises(sqlite3.OperationalError) as caught:
        list(mp.PipeLine([mp.Source([np.zeros(100_000)]), mp.Transform(stores)]))
    assert calls.read_text() == "call\n" and "writable=True" not in caught.value.__notes__[0]
