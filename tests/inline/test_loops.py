"""Loops: what goes round waits for its turn; flags, `mp.Sentinel`, and loops that run dry."""

from __future__ import annotations

import threading
from collections.abc import Generator
from typing import Any

import pytest

import minipipe as mp
from minipipe.errors import SentinelError
from tests.inline.harness import counts, cut, finished, system


def test_a_loop_of_many_rounds_needs_no_deep_stack() -> None:
    stream, out = mp.Stream(), mp.Stream()
    seen: list[int] = []
    stream.put(0)
    finished(
        system(
            mp.Transform(
                lambda n: [n + 1, None] if n < 100_000 else [None, n],
                upstreams=stream,
                downstreams=[stream, out],
            ),
            mp.Sink(seen.append, upstreams=out),
        )
    )
    assert seen == [100_000]


def test_fibonacci_ends_by_its_flag() -> None:
    flag = threading.Event()
    seen: list[int] = []
    first, second = mp.Stream("first"), mp.Stream("second")
    first.q.put(0)
    second.q.put(1)

    def fib(a: int, b: int) -> tuple[int, int]:
        seen.append(a)
        if len(seen) == 10:
            flag.set()
        return b, a + b

    segment = mp.Transform(fib, "fib", upstreams=[first, second], downstreams=[first, second])
    segment.set_term_flag(flag)
    run = finished(system(segment))
    assert seen == [0, 1, 1, 2, 3, 5, 8, 13, 21, 34]
    assert counts(run, "fib") == (10, 20, 0)


def test_sentinel_ends_a_segment_in_a_loop() -> None:
    stream = mp.Stream()
    stream.put(3)
    seen: list[int] = []

    def count_down(n: int) -> Any:
        seen.append(n)
        return n - 1 if n else mp.Sentinel

    finished(system(mp.Transform(count_down, upstreams=stream, downstreams=stream)))
    assert seen == [3, 2, 1, 0]


def test_retries_go_round_until_they_leave_by_the_switch() -> None:
    tries: list[tuple[int, int]] = []
    done: list[int] = []
    new, out = mp.Stream("new"), mp.Stream("out")

    def attempt(job: tuple[int, int]) -> Any:
        tries.append(job)
        item, left = job
        return [(item, left - 1), None] if left else [None, item]

    run = finished(
        system(
            mp.Source([(1, 2), (2, 0), (3, 1)], "jobs", downstreams=new),
            mp.Transform(attempt, "attempt", upstreams=new, downstreams=[new, out]),
            mp.Sink(done.append, upstreams=out),
        )
    )
    assert sorted(done) == [1, 2, 3]
    assert len(tries) == 6
    assert counts(run, "attempt") == (6, 6, 0)


def test_what_goes_round_for_ever_lets_others_into_the_loop() -> None:
    stream = mp.Stream()
    flag = threading.Event()
    seen: set[int] = set()

    def refine(candidate: int) -> int:
        seen.add(candidate)
        if seen == {1, 2, 3}:
            flag.set()
        return candidate

    segment = mp.Transform(refine, upstreams=stream, downstreams=stream)
    segment.set_term_flag(flag)
    for candidate in (1, 2, 3):
        stream.put(candidate)
    finished(system(segment))
    assert seen == {1, 2, 3}


def test_a_loop_of_several_segments_ends_when_nothing_goes_round() -> None:
    new, there, back, out = (mp.Stream(n) for n in ("new", "there", "back", "out"))
    seen: list[int] = []
    finished(
        system(
            mp.Source([3, 5], downstreams=new),
            mp.Transform(lambda n: n, "in", upstreams=new, downstreams=there),
            mp.Transform(
                lambda n: [n - 1, None] if n else [None, n],
                "ping",
                upstreams=there,
                downstreams=[back, out],
            ),
            mp.Transform(lambda n: n, "pong", upstreams=back, downstreams=there),
            mp.Regulator(
                cut, init_kwargs={"size": 9}, upstreams=out, downstreams=(o := mp.Stream())
            ),
            mp.Sink(seen.append, upstreams=o),
        )
    )
    assert seen == [[0, 0]]


def test_a_source_without_takers_ends() -> None:
    stream = mp.Stream()
    seen: list[int] = []

    def three(n: int) -> Any:
        seen.append(n)
        return mp.Sentinel if len(seen) == 3 else None

    def forever() -> Generator[int, None, None]:
        n = 0
        while True:
            yield (n := n + 1)

    finished(
        system(
            mp.Source(forever, downstreams=stream),
            mp.Transform(three, upstreams=stream, downstreams=stream),
        )
    )
    assert seen == [1, 2, 3]


def test_a_regulator_in_a_loop_gives_what_it_holds_when_nothing_goes_round() -> None:
    new, rows, out = mp.Stream("new"), mp.Stream("rows"), mp.Stream("out")
    seen: list[list[int]] = []
    finished(
        system(
            mp.Source(range(4), downstreams=new),
            mp.Regulator(cut, init_kwargs={"size": 2}, upstreams=new, downstreams=rows),
            mp.Transform(
                lambda row: [row[0] + 10, None] if row[0] == 0 else [None, row],
                upstreams=rows,
                downstreams=[new, out],
            ),
            mp.Sink(seen.append, upstreams=out),
        )
    )
    assert seen == [[10, 2], [3]]


def test_what_still_comes_round_when_a_joining_loop_ends_is_no_surplus() -> None:
    batches, state = mp.Stream("batches"), mp.Stream("state")
    state.put(0)
    seen: list[int] = []

    def add(total: int, batch: int) -> int:
        seen.append(total + batch)
        return total + batch

    graph = system(
        mp.Source([1, 2, 3], downstreams=batches),
        mp.Transform(add, "sum", upstreams=[state, batches], downstreams=state),
    )
    finished(graph)
    assert seen == [1, 3, 6]


def test_a_regulator_in_no_loop_cannot_end_a_stream() -> None:
    def ending() -> Generator[Any, Any, None]:
        yield
        yield mp.Sentinel

    stream, out = mp.Stream(), mp.Stream()
    graph = system(
        mp.Source([1], downstreams=stream),
        mp.Regulator(ending, "ending", upstreams=stream, downstreams=out),
        mp.Sink(print, upstreams=out),
    )
    with pytest.raises(SentinelError, match="'ending'"):
        finished(graph)
