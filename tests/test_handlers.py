"""A signal handler is told from other functions, also from those that are given frames."""

from __future__ import annotations

import functools
import signal
import sys
from collections.abc import Callable
from typing import Any

import pytest

from minipipe.process.handlers import in_signal_handler


class Job:
    def __init__(self) -> None:
        self.seen: list[bool] = []

    def look(self) -> None:
        self.seen.append(in_signal_handler())

    def by_method(self, number: int, frame: object) -> None:
        self.look()

    def by_any_number(self, *given: Any) -> None:
        self.look()

    def by_more(self, extra: str, number: int, frame: object, *, more: int = 3) -> None:
        self.look()

    def by_closure(self, number: int, frame: object) -> None:
        (lambda: (frame, self.look()))()


def raised(handler: Callable[..., object]) -> None:
    before = signal.signal(signal.SIGUSR1, handler)
    try:
        signal.raise_signal(signal.SIGUSR1)
    finally:
        signal.signal(signal.SIGUSR1, before)


@pytest.mark.parametrize("name", ("by_method", "by_any_number", "by_more", "by_closure"))
def test_a_handler_of_any_kind_is_one(name: str) -> None:
    job = Job()
    handler = getattr(job, name)
    raised(functools.partial(handler, "extra") if name == "by_more" else handler)
    assert job.seen == [True]


def test_other_functions_are_none_even_if_they_are_given_a_frame() -> None:
    job = Job()
    job.look()
    job.by_method(3, None)
    job.by_any_number(sys._getframe(), 3)
    job.by_more("extra", 3, sys._getframe().f_back)
    assert job.seen == [False] * 4
