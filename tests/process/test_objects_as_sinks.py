"""Sinks that are objects, called like functions: what they had gathered is not lost unsaid."""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import Any

import pytest

import minipipe as mp
from minipipe.segments.functor import has_attributes
from tests.conftest import DEADLOCK_S


class Buffers:
    """Dies once, of its eighth item."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.got: list[int] = []

    def __call__(self, item: int) -> None:
        self.got.append(item)
        if len(self.got) == 8 and not self.path.exists():
            self.path.touch()
            os._exit(3)


class Collects(Buffers):
    def local_term(self) -> list[int]:
        return sorted(self.got)


def test_one_that_says_at_its_end_what_it_got_has_state(tmp_path: Path) -> None:
    pline = mp.PipeLine([mp.Source(range(20)), mp.Sink(Collects(tmp_path / "died"), "collect")])
    pline.run()
    with pytest.raises(mp.WorkerDiedError, match=r"keeps state.*restart=True") as told:
        pline.close(DEADLOCK_S)
    assert told.value.segment == "collect"


def test_without_a_death_it_gets_every_item(tmp_path: Path) -> None:
    (tmp_path / "died").touch()
    pline = mp.PipeLine([mp.Source(range(20)), mp.Sink(Collects(tmp_path / "died"), "collect")])
    assert pline.run().close(DEADLOCK_S)["collect"] == list(range(20))


def test_it_is_replaced_without_that_state_if_it_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sink = mp.Sink(Collects(tmp_path / "died"), "collect", restart=True)
    got = mp.PipeLine([mp.Source(range(20)), sink]).run().close(DEADLOCK_S)["collect"]
    assert got[-1] == 19 and len(got) < 20
    assert "was replaced" in caplog.text and "is lost" not in caplog.text


def test_of_another_object_the_log_says_what_is_lost(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sink = mp.Sink(Buffers(tmp_path / "died"), "buffer")
    mp.PipeLine([mp.Source(range(20)), sink]).run().close(DEADLOCK_S)
    (said,) = [text for text in caplog.messages if "was replaced" in text]
    assert "done again; what its functor, an object, had kept in itself is lost" in said


class Plain:
    def __call__(self, item: int) -> None:
        pass

    def method(self, item: int) -> None:
        self.item = item

    @classmethod
    def of_class(cls, item: int) -> None:
        pass


@functools.wraps(print)
def wrapped(item: int) -> None:
    pass


HOLDS = Plain()
HOLDS.method(1)


@pytest.mark.parametrize(
    ("functor", "holds"),
    [
        (print, False),
        (lambda x: x, False),
        (wrapped, False),
        (functools.lru_cache(len), False),
        (str, False),
        (Plain(), False),
        (Plain().method, False),
        (Plain.of_class, False),
        (os.path.join, False),
        (HOLDS, True),
        (HOLDS.method, True),
        (Plain, True),
    ],
)
def test_functions_are_no_objects_that_hold_something(functor: Any, holds: bool) -> None:
    assert has_attributes(functor) is holds
