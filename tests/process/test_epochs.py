"""Epochs and passes: the same again, as often as is wished, and nothing is left of any."""

from __future__ import annotations

import os

import pytest

import minipipe as mp
from tests.conftest import children, descriptors, pipeline_threads, wait_until
from tests.process.functors import Collect


def numbers():
    yield from range(4)


class Object:
    """Made in the caller: the same object in all epochs."""

    def local_init(self) -> None:
        self.epoch = 0

    def run(self):
        self.epoch += 1
        yield from (10 * self.epoch + i for i in range(2))


class Made:
    """Made in the worker, anew for each epoch."""

    def __init__(self, first: int = 0) -> None:
        self.first = first

    def run(self):
        self.first += 1
        yield self.first


class Indexed:
    """Iterable by `__getitem__` alone."""

    def __getitem__(self, index: int) -> int:
        if index == 3:
            raise IndexError
        return index


# --------------------------------------------------------------------- epochs
@pytest.mark.parametrize(
    ("functor", "expected"),
    [
        ([1, 2, 3], [1, 2, 3] * 3),
        (range(3), [0, 1, 2] * 3),
        (numbers, [0, 1, 2, 3] * 3),
        (lambda: iter([7, 8]), [7, 8] * 3),
        (Object(), [10, 11, 20, 21, 30, 31]),
        (Indexed(), [0, 1, 2] * 3),
        (Indexed, [0, 1, 2] * 3),
        ([], []),
    ],
)
def test_epochs_go_through_the_items_again(functor, expected: list[int]) -> None:
    assert list(mp.PipeLine([mp.Source(functor, epochs=3)])) == expected


def test_a_class_is_made_anew_in_each_epoch_with_its_init_kwargs() -> None:
    source = mp.Source(Made, init_kwargs={"first": 5}, epochs=3)
    assert list(mp.PipeLine([source])) == [6, 6, 6]


def test_epochs_go_on_through_transforms_and_regulators_without_an_end_between() -> None:
    def gather():
        batch: list[int] = []
        try:
            while True:
                batch.append((yield))
                if len(batch) == 4:
                    yield batch
                    batch = []
        except mp.EndOfStream:
            yield batch

    pline = mp.PipeLine(
        [mp.Source([1, 2, 3], epochs=3), mp.Transform(lambda x: 2 * x), mp.Regulator(gather)]
    )
    assert list(pline) == [[2, 4, 6, 2], [4, 6, 2, 4], [6]]


def test_the_sentinel_ends_all_epochs() -> None:
    def ends():
        yield 1
        yield mp.Sentinel
        yield 2

    assert list(mp.PipeLine([mp.Source(ends, epochs=3)])) == [1]
    assert list(mp.PipeLine([mp.Source([1, mp.Sentinel, 2], epochs=3)])) == [1]


def test_none_is_skipped_in_every_epoch() -> None:
    pline = mp.PipeLine([mp.Source([None, 1], epochs=3)])
    assert list(pline) == [1, 1, 1]
    assert pline.stats()["Source"].dropped == 3


def test_an_ignored_exception_of_a_generator_ends_all_epochs_and_the_warning_says_so(
    caplog,
) -> None:
    def breaks():
        yield 1
        raise OSError("unreadable")

    source = mp.Source(breaks, epochs=3, ignore_exceptions=[OSError])
    assert list(mp.PipeLine([source])) == [1]
    assert "and the stream ends, as a generator cannot go on: OSError" in caplog.text


def test_an_exception_in_a_later_epoch_ends_the_run() -> None:
    class BreaksLater:
        def local_init(self) -> None:
            self.epoch = 0

        def run(self):
            self.epoch += 1
            yield 1 // (3 - self.epoch)

    with pytest.raises(ZeroDivisionError) as caught:
        list(mp.PipeLine([mp.Source(BreaksLater(), "load", epochs=5)]))
    assert "segment 'load'" in caught.value.__notes__[0]


def test_epochs_with_several_downstreams() -> None:
    a, b = mp.Stream("a"), mp.Stream("b")
    psys = mp.PipeSystem(
        [
            mp.Source([(1, 10), (2, None)], downstreams=[a, b], epochs=2),
            mp.Sink(Collect(), "a", a),
            mp.Sink(Collect(), "b", b),
        ]
    )
    assert psys.run().close(30) == {"a": [1, 2, 1, 2], "b": [10, 10]}


@pytest.mark.parametrize("epochs", [0, -1, 1.5, True, "2"])
def test_an_impossible_number_of_epochs_is_told_at_once(epochs) -> None:
    with pytest.raises(mp.OptionError, match="epochs of Source 's' is a whole number"):
        mp.Source([1], "s", epochs=epochs)


@pytest.mark.parametrize("once", [iter([1]), (x for x in [1]), map(abs, [1])])
def test_what_can_be_gone_through_only_once_is_refused_two_epochs(once) -> None:
    with pytest.raises(mp.BuildError, match="only once: give the function that makes it"):
        mp.Source(once, "s", epochs=2)


# --------------------------------------------------------------------- passes
def test_every_loop_over_a_pipeline_is_a_pass_of_its_own_and_leaves_nothing() -> None:
    pline = mp.PipeLine([mp.Source(range(50)), mp.Transform(lambda x: x + 1)])
    left = []
    for _ in range(4):
        assert list(pline) == list(range(1, 51))
        wait_until(lambda: not pipeline_threads(), "the threads of the pass to end")
        wait_until(lambda: not children(), "its processes to end")
        left.append((descriptors(), len(os.listdir("/proc/self/task"))))
    assert left[1] == left[2] == left[3]


def test_a_pass_that_was_left_early_does_not_disturb_the_next_one() -> None:
    pline = mp.PipeLine([mp.Source(range(1000)), mp.Transform(lambda x: x)])
    for _ in range(3):
        for x in pline:
            if x == 5:
                break
    assert list(pline) == list(range(1000))


def test_an_initialised_generator_begins_each_pass_where_the_caller_left_it() -> None:
    made = (i for i in range(6))
    next(made)
    pline = mp.PipeLine([mp.Source(made)])
    assert list(pline) == [1, 2, 3, 4, 5]
    assert list(pline) == [1, 2, 3, 4, 5]
    assert next(made) == 1
    assert list(pline) == [2, 3, 4, 5]


def test_a_pass_with_epochs_may_be_repeated() -> None:
    pline = mp.PipeLine([mp.Source(Made, epochs=2), mp.Transform(lambda x: x)])
    assert list(pline) == list(pline) == [1, 1]


def test_objects_of_the_caller_are_as_they_were_in_each_pass() -> None:
    functor = Object()
    pline = mp.PipeLine([mp.Source(functor, epochs=2)])
    assert list(pline) == list(pline) == [10, 11, 20, 21]
    assert not hasattr(functor, "epoch")


def test_seeds_are_there_in_each_pass_of_a_system() -> None:
    stream = mp.Stream("s")
    stream.put(1)
    stream.q.put(2)
    stream.put(None)  # is no item
    psys = mp.PipeSystem([mp.Sink(Collect(), "keep", stream)])
    for _ in range(2):
        assert psys.run().close(30) == {"keep": [1, 2]}
    stream.put(3)  # the first after a run takes the place of those that it began with
    psys.reset()
    stream.put(4)
    assert psys.run().close(30) == {"keep": [3, 4]}
