"""Copies of many megabytes by several threads: one core alone does not use up the memory bus.

On two cores: 38.5 MB in 2.6 ms instead of 4.4, 9.6 in 0.5 instead of 0.8; CPU time is 10 % more.
"""

from __future__ import annotations

import ctypes
from _thread import allocate_lock, start_new_thread
from collections.abc import Iterator
from typing import Any

import numpy as np

from minipipe.process.cpus import usable_cpus

ALONE_BELOW_BYTES = 4 * 1024 * 1024  # a thread takes 0.05 ms to begin
_PIECE_BYTES = 1024 * 1024
_MOST_HELPERS = 3  # four cores use up what most machines have

Bytes = np.ndarray[Any, np.dtype[np.uint8]]


def copy(target: Bytes, contents: Bytes) -> None:
    """Copies an array, uint8[n] and contiguous, over another one of the same size."""
    helpers = _helpers() if contents.size >= ALONE_BELOW_BYTES else 0
    if helpers == 0:
        target[...] = contents
        return
    assert target.size == contents.size and target.strides == contents.strides == (1,)
    # Addresses, because who counts the arrays that see a slot would count a helper's as well.
    job = target.ctypes.data, contents.ctypes.data, contents.size
    pieces = iter(range(0, contents.size, _PIECE_BYTES))
    locks = [allocate_lock() for _ in range(helpers)]
    try:
        try:
            for is_busy in locks:
                start_new_thread(_help, (*job, pieces, is_busy))
        except RuntimeError:
            pass  # no more threads are to be had: those that there are do it
        _take(*job, pieces)
    finally:
        # Whatever an interrupt cuts short, no helper goes on after this: the memory may go next.
        for _ in pieces:
            pass
        for is_busy in locks:
            with is_busy:
                pass


def _helpers() -> int:
    return min(_MOST_HELPERS, usable_cpus() // 2)


def _help(target: int, contents: int, size: int, pieces: Iterator[int], is_busy: Any) -> None:
    # One that comes so late that the copy is done finds no piece left, and nobody waits for it.
    with is_busy:
        _take(target, contents, size, pieces)


def _take(target: int, contents: int, size: int, pieces: Iterator[int]) -> None:
    # Each piece goes to one thread: `next` of a range's iterator is not interrupted.
    for begin in pieces:
        # It lets other threads run meanwhile, as NumPy's assignment would.
        ctypes.memmove(target + begin, contents + begin, min(_PIECE_BYTES, size - begin))
