"""Inline gives what processes give: the same items, errors, counters and results."""

from __future__ import annotations

import logging
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import minipipe as mp

S, T, R, PL = mp.Source, mp.Transform, mp.Regulator, mp.PipeLine


def same(x: Any) -> Any:
    return x


def one_buffer(count: int = 5, size: int = 1) -> Iterator[np.ndarray]:
    array = np.zeros(size, int)
    for i in range(count):
        array[:] = i
        yield array


def one_list() -> Iterator[list[int]]:
    items: list[int] = []
    for i in range(4):
        items.append(i)
        yield items


def increment(x: np.ndarray) -> np.ndarray:
    x += 1
    return x


class Keep:
    """Keeps what it gets and passes it on."""

    def __init__(self) -> None:
        self.kept: list[Any] = []

    def run(self, x: Any) -> Any:
        self.kept.append(x)
        return x

    def local_term(self) -> Any:
        return [int(x[0]) for x in self.kept]


class Tens:
    """An iterator that fails at each tenth item, and goes on."""

    def __init__(self) -> None:
        self.count = 0

    def __iter__(self) -> Iterator[int]:
        return self

    def __next__(self) -> int:
        self.count += 1
        if self.count > 30:
            raise StopIteration
        if self.count % 10 == 0:
            raise ValueError(self.count)
        return self.count


def ends_badly() -> Iterator[int]:
    yield 1
    raise ValueError("gone")


def bad_tail() -> Iterator[Any]:
    held = []
    while True:
        try:
            held.append((yield))
        except mp.EndOfStream:
            break
    raise ValueError(f"{len(held)} were held")


def bad_start() -> Iterator[Any]:
    raise ValueError("no start")
    yield


def bad_threes() -> Iterator[Any]:
    while True:
        x = yield
        if x == 3:
            raise ValueError(x)
        yield x


def leaves(x: int) -> int:
    sys.exit(f"at {x}")


CASES: dict[str, Callable[[], mp.PipeLine]] = {
    "one array again and again, kept by a Shuffle": lambda: PL([S(one_buffer), mp.Shuffle(1)]),
    "one array again and again, kept by a Batch": lambda: PL([S(one_buffer), mp.Batch(2)]),
    "one array again and again, kept by an object": lambda: PL([S(one_buffer), T(Keep(), "k")]),
    "one array again and again, kept by the loop": lambda: PL([S(one_buffer)]),
    "one large array": lambda: PL([S(lambda: one_buffer(3, 20_000)), T(same)]),
    "one list": lambda: PL([S(one_list), mp.Batch(2, collate=list)]),
    "the source's own array": lambda: PL([S([np.zeros(2)] * 3), T(increment)]),
    "what another one keeps": lambda: PL([S(one_buffer), T(Keep(), "k"), T(increment)]),
    "a broadcast's": lambda: PL([S(one_buffer), mp.Broadcast([T(increment), T(Keep(), "k")])]),
    "a Source's budget": lambda: PL([S(Tens, max_failures=5)]),
    "a Source's share": lambda: PL([S(Tens, max_failures=0.5)]),
    "a Source's share, used up": lambda: PL([S(Tens, max_failures=0.05)]),
    "a generator in a budget": lambda: PL([S(ends_badly, max_failures=5)]),
    "a generator beyond its budget": lambda: PL([S(ends_badly, max_failures=0)]),
    "a tail in a budget": lambda: PL([S(range(5)), R(bad_tail, max_failures=3)]),
    "a tail beyond its budget": lambda: PL([S(range(5)), R(bad_tail, max_failures=0)]),
    "a tail that is ignored": lambda: PL([S([1, 2]), R(bad_tail, ignore_exceptions=ValueError)]),
    "a start in a budget": lambda: PL([S(range(5)), R(bad_start, max_failures=9)]),
    "a start beyond its budget": lambda: PL([S(range(5)), R(bad_start, max_failures=0)]),
    "a Regulator's budget": lambda: PL([S(range(6)), R(bad_threes, max_failures=3)]),
    "a generator as an item": lambda: PL([S([1]), T(lambda x: (i for i in [x])), T(same, "t")]),
    "a lock as an item": lambda: PL([S([1]), T(lambda x: threading.Lock())]),
    "locks as items, in a budget": lambda: PL(
        [S(range(4)), T(lambda x: threading.Lock() if x % 2 else x, max_failures=2)]
    ),
    "locks as items, ignored": lambda: PL(
        [S(range(4)), T(lambda x: threading.Lock() if x % 2 else x, ignore_exceptions=TypeError)]
    ),
    "a functor that exits": lambda: PL([S([1]), T(leaves)]),
    "a lambda as an item": lambda: PL([S([1]), T(lambda x: lambda: x), T(lambda f: f(), "t")]),
    "read-only arrays": lambda: PL(
        [S(lambda: iter([np.broadcast_to(np.arange(3), (2, 3))])), T(lambda x: x.flags.writeable)]
    ),
}


def plain(item: Any) -> Any:
    return (item.dtype.str, item.tolist()[:5]) if isinstance(item, np.ndarray) else item


def case_merges(pline: mp.PipeLine) -> bool:
    """Whether several branches put to the loop, in no order that is promised."""
    return any(isinstance(segment, mp.Broadcast) for segment in pline.segments)


def outcome(make: Callable[[], mp.PipeLine], *, inline: bool) -> dict[str, Any]:
    pline = make().build(inline=inline)
    items: list[Any] = []
    said = None
    try:
        items.extend(pline.run(seed=7))
        pline.close(60)
    except Exception as error:
        # How many a worker has taken when the supervisor judges is chance.
        first = str(error).partition("\n")[0]
        said = type(error).__name__, re.sub(r"^\d+( of \d+)? items", "items", first)
    if case_merges(pline):
        items.sort(key=str)
    counters = [
        (w.worker, w.items_in, w.items_out, w.dropped)
        for w in pline.stats().workers
        if w.worker != "(caller)" and said is None
    ]
    return {
        "items": [plain(item) for item in items],
        "error": said,
        "results": pline.results if said is None else {},
        "counters": counters,
    }


@pytest.mark.parametrize("case", list(CASES))
def test_inline_and_processes_agree(case: str) -> None:
    assert outcome(CASES[case], inline=True) == outcome(CASES[case], inline=False)


def test_options_without_effect_inline_are_said_in_one_line(
    caplog: pytest.LogCaptureFixture,
) -> None:
    pline = PL([S([1]), T(same, "a", timeout_s=2, restart=True), T(same, "b", poison="skip")])
    pline.add(mp.Sink(same, "c"), n_processes=3)
    pline.build(inline=True)
    (line,) = [record.getMessage() for record in caplog.records]
    assert line == (
        "without effect inline: timeout_s=2 and restart=True of Transform 'a'; poison='skip' of "
        "Transform 'b'; n_processes=3 of Sink 'c'"
    )
    caplog.clear()
    PL([S([1]), T(same, ordered=True, writable=True)]).build(inline=True)
    pline.build(inline=False)
    assert not caplog.records


def test_an_object_in_two_segments_is_said_to_be_shared(caplog: pytest.LogCaptureFixture) -> None:
    both = Keep()
    PL([S([1]), T(both, "a"), T(both, "b"), T(Keep, "c"), T(Keep, "d")]).build(inline=True)
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith("inline, 'a' and 'b' have one and the same object")


def fails(x: int) -> int:
    raise ValueError("no good")


def test_an_error_that_was_caught_is_not_logged_again(caplog: pytest.LogCaptureFixture) -> None:
    pline = PL([S([1]), T(fails)]).build(inline=True)
    loop = iter(pline)
    with pytest.raises(ValueError, match="no good"):
        next(loop)
    loop.close()
    del loop
    assert [r for r in caplog.records if r.levelno >= logging.WARNING] == []


class BadEnd:
    def run(self, x: int) -> int:
        return x

    def local_term(self) -> None:
        raise ValueError("not saved")


@pytest.mark.parametrize("inline", [False, True], ids=["processes", "inline"])
def test_what_fails_after_a_stop_is_raised_by_close_and_not_by_stop(inline: bool) -> None:
    pline = PL([S(range(10**9)), T(BadEnd(), "t")]).build(inline=inline)
    loop = iter(pline)
    assert next(loop) == 0
    pline.stop()
    with pytest.raises(ValueError, match="not saved"):
        pline.close(60)


SCRIPT = """
import minipipe as mp
def fails(x):
    raise ValueError("no good")
pline = mp.PipeLine([mp.Source([1]), mp.{last}])
pline.build(inline=True)
try:
    {how}
except ValueError as error:
    print("caught", error)
"""


@pytest.mark.parametrize(
    ("last", "how"), [("Transform(fails)", "list(pline)"), ("Sink(fails)", "pline.run().close()")]
)
def test_a_script_that_caught_the_error_ends_well(last: str, how: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(last=last, how=how)],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "caught no good\n", "")
