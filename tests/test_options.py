"""Options by the names that they have elsewhere, and functors of which nothing would run."""

from __future__ import annotations

import functools
import pickle

import pytest

import minipipe as mp
from tests.conftest import named


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        *((word, "n_processes") for word in ("num_workers", "n_workers", "workers", "processes")),
        *((word, "buffer_size") for word in ("prefetch", "prefetch_factor", "maxsize")),
        ("timeout", "timeout_s"),
        ("ignore_errors", "ignore_exceptions"),
        ("max_errors", "max_failures"),
        ("keep_order", "ordered"),
    ],
)
def test_an_option_by_a_name_that_it_has_elsewhere_is_suggested(word, meant):
    with pytest.raises(mp.OptionError, match=f"no option {word!r}; did you mean {meant!r}"):
        mp.Transform(len, **{word: 2})


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: mp.PipeLine().add(mp.Source([1]), num_workers=2), "did you mean 'n_processes'"),
        (
            lambda: mp.PipeLine().add(mp.Source([1]), name="s"),
            r"'name'; it is an option of the segment, as in mp.Transform\(f, name=",
        ),
        (
            lambda: mp.PipeLine().add(mp.Source([1]), timeout=2),
            "did you mean 'timeout_s', an option of the segment",
        ),
        (lambda: mp.PipeLine(num_workers=2), "did you mean 'n_processes', an option of the segm"),
        (lambda: mp.PipeLine().build(workers=2), "did you mean 'n_processes', an option of the s"),
        (lambda: mp.PipeLine().build(log_level="INFO"), "did you mean 'log_lvl'"),
        (lambda: mp.PipeLine().build(seed=3), "'seed'; it is an option of run"),
        (lambda: mp.PipeLine().run(inline=True), "'inline'; it is an option of build"),
        (lambda: mp.PipeLine().run(n_processes=2), "'n_processes'; it is an option of the segm"),
        (lambda: mp.Stream(maxsize=3), "did you mean 'buffer_size'"),
        (lambda: mp.Source([1], shuffle=True), r"'shuffle'; items are shuffled by a segment: add"),
        (lambda: mp.Source([1], batch_size=8), r"batches are made by a segment: mp.Transform"),
        (lambda: mp.Batch(3, collate_fn=list), "did you mean 'collate'"),
        (lambda: mp.Batch(8, num_workers=2), "did you mean 'n_processes'"),
    ],
)
def test_an_option_that_belongs_elsewhere_is_said_where(call, said):
    with pytest.raises(mp.OptionError, match=said):
        call()


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: mp.Batch(batch_size=64), "Batch needs 'n'; did you mean that by 'batch_size'?"),
        (lambda: mp.Rebatch(batch_size=64), "Rebatch needs 'n'; did you mean that by 'batch_size'"),
        (lambda: mp.Shuffle(buffer_size=9), "Shuffle needs 'buffer'; did you mean that by 'buffer"),
        (lambda: mp.Transform(fn=len), "Transform needs 'functor_obj'; did you mean that by 'fn'?"),
        (lambda: mp.FlatMap(function=len), "FlatMap needs 'f'; did you mean that by 'function'?"),
    ],
)
def test_an_argument_that_was_given_by_another_name_is_not_merely_missing(make, said):
    with pytest.raises(mp.OptionError, match=said.replace("?", r"\?")):
        make()


def test_an_argument_that_is_missing_is_python_s_own_error():
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'n'"):
        mp.Batch()  # type: ignore[call-arg]


class Numbers(mp.Source):
    def __init__(self, size):
        super().__init__(range(size), "numbers")


def test_a_segment_of_the_user_s_has_arguments_of_its_own():
    assert list(Numbers(size=3).functor_obj) == [0, 1, 2]
    assert pickle.loads(pickle.dumps(mp.Batch(n=3, name="b"))).name == "b"


def split(text):
    yield from text.split()


async def load(item=None):
    return item


async def stream():
    yield 1


class Splitter:
    def run(self, text):
        yield from text.split()


class Call:
    def __call__(self, text):
        yield from text.split()

    def split(self, by, text):
        yield from text.split(by)


LAZY = [
    *(split, Splitter, Splitter(), Call, Call(), Splitter().run),
    *(functools.partial(Call().split, " "), functools.partial(split), lambda x: (yield x)),
]


@pytest.mark.parametrize("functor", LAZY, ids=named)
def test_a_transform_of_a_generator_function_is_refused_and_flat_map_is_named(functor):
    with pytest.raises(mp.BuildError, match=r"Transform 't' is a generator function .* mp\.FlatM"):
        mp.Transform(functor, "t")


@pytest.mark.parametrize("functor", LAZY, ids=named)
def test_a_sink_of_a_generator_function_is_refused_as_nothing_of_it_would_run(functor):
    with pytest.raises(
        mp.BuildError, match=r"Sink 's' is a generator function .* nothing of it wo"
    ):
        mp.Sink(functor, "s")


@pytest.mark.parametrize("functor", [load, stream, functools.partial(load, 3)], ids=named)
@pytest.mark.parametrize("kind", [mp.Source, mp.Transform, mp.Regulator, mp.Sink, mp.FlatMap])
def test_an_async_functor_is_refused_by_every_kind_of_segment(kind, functor):
    with pytest.raises(mp.BuildError, match=r"of \w+ 'x' is async, and nothing here awaits it"):
        kind(functor, "x")


def test_generator_functions_serve_where_they_are_gone_through():
    pline = mp.PipeLine([mp.Source(["a b", "c"]), mp.FlatMap(split)])
    assert list(pline.build(inline=True)) == ["a", "b", "c"]
    pline = mp.PipeLine([mp.Source(lambda: split("a b")), mp.FlatMap(Splitter)])
    assert list(pline.build(inline=True)) == ["a", "b"]
