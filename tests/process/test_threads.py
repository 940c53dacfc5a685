"""One loop, several threads: read by all of them, ended by another one."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minipipe as mp
from tests.conftest import wait_until

INLINE = pytest.mark.parametrize("inline", [False, True], ids=["processes", "inline"])


def same(x: Any) -> Any:
    return x


def numbers(count: int, inline: bool = False) -> mp.PipeLine:
    return mp.PipeLine([mp.Source(range(count)), mp.Transform(same)]).build(inline=inline)


def count_on() -> Any:
    number = 0
    while True:
        yield number
        number += 1


class Reader(threading.Thread):
    """Reads a loop to its end, or to what that raises."""

    def __init__(self, loop: Any, each: Callable[[Any], None] = lambda item: None) -> None:
        super().__init__(daemon=True)
        self.items: list[Any] = []
        self.error: BaseException | None = None
        self._loop = loop
        self._each = each

    def run(self) -> None:
        try:
            for item in self._loop:
                self.items.append(item)
                self._each(item)
        except BaseException as error:
            self.error = error


def read(loop: Any, threads: int) -> list[Reader]:
    readers = [Reader(loop) for _ in range(threads)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join(120)
        assert not reader.is_alive()
    return readers


@INLINE
@pytest.mark.parametrize("threads", [2, 5])
def test_several_threads_get_each_item_once_between_them(threads: int, inline: bool) -> None:
    pline = numbers(20_000, inline)
    readers = read(iter(pline), threads)
    assert [reader.error for reader in readers] == [None] * threads
    assert sorted(x for reader in readers for x in reader.items) == list(range(20_000))
    assert all(reader.items == sorted(reader.items) for reader in readers)
    pline.close(60)


def test_arrays_in_shared_memory_are_read_by_two_threads() -> None:
    pline = mp.PipeLine([mp.Source(lambda: (np.full(50_000, i) for i in range(200)))])
    readers = read(iter(pline), 2)
    found = [array for reader in readers for array in reader.items]
    assert sorted(int(array[0]) for array in found) == list(range(200))
    assert all((array == array[0]).all() for array in found)


def test_a_thread_reads_on_where_another_one_has_begun() -> None:
    loop = iter(numbers(1000))
    first = next(loop)
    (reader,) = read(loop, 1)
    assert [first, *reader.items] == list(range(1000))
    with pytest.raises(StopIteration):
        next(loop)


def test_a_thread_waits_for_the_one_that_waits_for_an_item() -> None:
    go = mp_event()

    def slow() -> Any:
        yield 0
        go.wait(60)
        yield from range(1, 100)

    loop = iter(mp.PipeLine([mp.Source(slow)]))
    readers = [Reader(loop) for _ in range(2)]
    readers[0].start()
    wait_until(lambda: readers[0].items, "the first item")
    readers[1].start()
    wait_until(lambda: len(loop._execution._readers) == 2, "both threads to ask")  # type: ignore[attr-defined]
    go.set()
    for reader in readers:
        reader.join(60)
    assert sorted(readers[0].items + readers[1].items) == list(range(100))


def mp_event() -> Any:
    import multiprocessing

    return multiprocessing.get_context("fork").Event()


@INLINE
def test_what_ends_the_run_is_raised_in_a_thread_that_reads(inline: bool) -> None:
    def fails(x: int) -> int:
        if x == 500:
            raise ValueError("no good")
        return x

    pline = mp.PipeLine([mp.Source(range(1000)), mp.Transform(fails)]).build(inline=inline)
    readers = read(iter(pline), 2)
    assert any(isinstance(reader.error, ValueError) for reader in readers)
    for reader in readers:
        assert reader.error is None or str(reader.error).startswith("no good")
    with pytest.raises(ValueError, match="no good"):
        pline.close(60)


ENDS: dict[str, Callable[[mp.PipeLine, Any], object]] = {
    "stop": lambda pline, loop: pline.stop(),
    "drain": lambda pline, loop: pline.stop(drain=True),
    "close of the loop": lambda pline, loop: loop.close(),
}


@INLINE
@pytest.mark.parametrize("way", list(ENDS))
def test_another_thread_can_end_a_loop_that_is_read(way: str, inline: bool) -> None:
    pline = mp.PipeLine([mp.Source(count_on), mp.Transform(same)]).build(inline=inline)
    loop = iter(pline)
    readers = [Reader(loop) for _ in range(2)]
    for reader in readers:
        reader.start()
    wait_until(lambda: all(reader.items for reader in readers), "both to read")
    ENDS[way](pline, loop)
    for reader in readers:
        reader.join(60)
        assert not reader.is_alive()
        assert reader.error is None
    found = sorted(readers[0].items + readers[1].items)
    assert len(set(found)) == len(found)
    wait_until(lambda: pline.stats().state == "ended", "the run to end")


def test_close_waits_while_another_thread_reads_the_loop() -> None:
    pline = numbers(3000)
    loop = iter(pline)
    first = next(loop)
    reader = Reader(loop, lambda item: time.sleep(0.0001))
    reader.start()
    wait_until(lambda: reader.items, "the other one to read")
    pline.close(100)
    reader.join(60)
    assert [first, *reader.items] == list(range(3000))


def test_the_next_item_within_the_next_is_refused_and_harms_nothing() -> None:
    go = mp_event()

    def slow() -> Any:
        yield 0
        go.wait(60)
        yield 1

    loop = iter(mp.PipeLine([mp.Source(slow)]))
    refused: list[BaseException] = []

    def handler(number: int, frame: object) -> None:
        try:
            next(loop)
        except BaseException as error:
            refused.append(error)
        go.set()

    before = signal.signal(signal.SIGUSR1, handler)
    main = threading.main_thread().ident
    assert main is not None

    def poke() -> None:
        wait_until(lambda: loop._execution._output._at_work, "the loop to wait")  # type: ignore[attr-defined]
        signal.pthread_kill(main, signal.SIGUSR1)

    try:
        assert next(loop) == 0
        thread = threading.Thread(target=poke)
        thread.start()
        assert list(loop) == [1]
        thread.join()
    finally:
        signal.signal(signal.SIGUSR1, before)
    (error,) = refused
    assert isinstance(error, mp.LifecycleError)
    assert "while this thread is about to get one" in str(error)


def test_a_functor_of_an_inline_run_cannot_read_the_loop_that_it_is_in() -> None:
    loops: list[Any] = []

    def nested(x: int) -> Any:
        return next(loops[0])

    pline = mp.PipeLine([mp.Source(range(3)), mp.Transform(nested)]).build(inline=True)
    loops.append(iter(pline))
    with pytest.raises(mp.LifecycleError, match="while this thread is about to get one"):
        next(loops[0])
