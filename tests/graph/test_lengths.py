"""`len` of a pipeline: as many as come, if nothing is dropped."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import minipipe as mp


def same(x: Any) -> Any:
    return x


def shares(worker: int, n_workers: int) -> Iterator[int]:
    yield from range(worker, 50, n_workers)


def keep(x: int) -> bool:
    return True


@pytest.mark.parametrize(
    ("segments", "length"),
    [
        (lambda: [mp.Source(range(50))], 50),
        (lambda: [mp.Source([1, 2], epochs=3)], 6),
        (lambda: [mp.Source([]), mp.Transform(same)], 0),
        (lambda: [mp.Source(range(50)), mp.Transform(same, n_processes=3, threads=2)], 50),
        (lambda: [mp.Source(range(50)), mp.Transform(same, batch=8)], 7),
        (lambda: [mp.Source(range(50)), mp.Transform(same), mp.Transform(same, batch=8)], 7),
        (lambda: [mp.Source(range(50)), mp.Transform(same, batch=8, drop_last=True)], 6),
        (lambda: [mp.Source(range(48)), mp.Shuffle(9), mp.Batch(8)], 6),
        (lambda: [mp.Source(range(50)), mp.Batch(8, drop_last=True), mp.Transform(same)], 6),
        (lambda: [mp.Source(shares, n_processes=3, length=50), mp.Batch(8)], 7),
        (
            lambda: [
                mp.Source(range(50)),
                mp.Broadcast([mp.Transform(same, "a"), [mp.Transform(same, "b"), mp.Batch(8)]]),
            ],
            57,
        ),
    ],
)
def test_it_is_known_and_right(segments, length) -> None:
    pline = mp.PipeLine(segments())
    assert len(pline) == length
    assert len(list(pline.build(inline=True))) == length == len(pline)
    assert pline


@pytest.mark.parametrize(
    "segments",
    [
        lambda: [mp.Source(lambda: [1])],
        lambda: [mp.Source(shares, n_processes=3)],
        lambda: [mp.Source(shares, n_processes=3, length=50), mp.Transform(same, batch=8)],
        lambda: [mp.Source([1]), mp.FlatMap(lambda x: [x, x])],
        lambda: [mp.Source([1]), mp.Batch(2, n_processes=2)],
        lambda: [mp.Source([1]), mp.Sink(print)],
    ],
)
def test_where_it_is_not_known_that_is_said(segments) -> None:
    pline = mp.PipeLine(segments())
    with pytest.raises(TypeError, match="nobody knows how many items"):
        len(pline)
    assert pline


def test_of_real_data(tmp_path) -> None:
    for i in range(10):
        (tmp_path / f"{i}.txt").touch()
    files = mp.Files(f"{tmp_path}/*.txt", n_processes=2, shard=(0, 3), epochs=2)
    assert len(mp.PipeLine([files])) == 8


def test_of_systems() -> None:
    a, b = mp.Stream("a"), mp.Stream("b")
    system = mp.PipeSystem(
        [
            mp.Source([1, 2], "one", a),
            mp.Source([3], "two", a),
            mp.Transform(same, "f", a, b),
            mp.Sink(print, "k", b),
        ]
    )
    with pytest.raises(TypeError):
        len(system)
