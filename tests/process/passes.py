"""Functors for passes: they say which process and which pass they are in."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import minipipe as mp

ITEMS = 40


def pass_now() -> int:
    info = mp.get_worker_info()
    assert info is not None
    return info.pass_


def numbers() -> Iterator[int]:
    """Says with each item which pass it is of."""
    pass_ = pass_now()
    for i in range(ITEMS):
        assert pass_now() == pass_
        yield 1000 * pass_ + i


def of_pass(pass_: int) -> list[int]:
    return [1000 * pass_ + i for i in range(ITEMS)]


def seen(x: int) -> int:
    """Holds an item to the pass that the worker is told of."""
    assert x // 1000 == pass_now(), (x, pass_now())
    return x


def endless() -> Iterator[int]:
    i = 1000 * pass_now()
    while True:
        yield i
        i += 1


class Gather:
    """Returns in `local_term` what it got, and how often its `local_init` was called."""

    def local_init(self) -> None:
        self.items: list[Any] = []
        self.opened = getattr(self, "opened", 0) + 1

    def run(self, x: Any) -> None:
        self.items.append(x)

    def local_term(self) -> tuple[int, list[Any]]:
        return self.opened, self.items


def pairs() -> Generator[Any, int, None]:
    """Puts two and two together, and what is left over at the end of a pass alone."""
    held: list[int] = []
    try:
        while True:
            held.append((yield))
            if len(held) == 2:
                yield tuple(held)
                held = []
    except mp.EndOfStream:
        if held:
            yield tuple(held)


class DiesOnce:
    """A function that kills its worker at this item, the first time that anybody is at it."""

    def __init__(self, at: int, place: Path) -> None:
        self.at, self.place = at, place

    def __call__(self, x: int) -> int:
        if x == self.at and not self.place.exists():
            self.place.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return x


def slow(x: int) -> int:
    time.sleep(0.002)
    return x
