"""A run whose supervisor trusts nobody that reaches its sockets ends with what it has refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minipipe as mp
from minipipe.errors import RecordError
from minipipe.transport import PLAIN_DATA, zeromq


@pytest.fixture(autouse=True)
def distrust(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sockets of this process accept plain data only; workers have processes of their own."""
    monkeypatch.setattr(zeromq, "LOCAL", PLAIN_DATA)


def fails(x: int) -> int:
    raise ValueError("no")


def test_a_pickled_failure_ends_it(capfd: pytest.CaptureFixture[str]) -> None:
    pline = mp.PipeLine([mp.Source(range(5)), mp.Transform(fails), mp.Sink(print)]).run()
    with pytest.raises(RecordError, match=r"ipc://\S+ refused record FAILED from worker 2: it hol"):
        pline.close()


def test_plain_items_come_to_the_loop() -> None:
    assert list(mp.PipeLine([mp.Source(range(5)), mp.Transform(abs)])) == list(range(5))


class Odd:
    """An item that has no form of its own."""

    def __reduce__(self) -> Any:
        return Odd, ()


LARGE = np.zeros(100_000)


@pytest.mark.parametrize(
    ("give", "refused"),
    [(lambda x: Odd(), "it holds a pickle"), (lambda x: LARGE, "a reference to shared memory")],
    ids=["pickle", "slot"],
)
def test_what_the_loop_must_not_have_ends_it(give: Callable[[int], Any], refused: str) -> None:
    pline = mp.PipeLine([mp.Source(range(5)), mp.Transform(give, "give")])
    with pytest.raises(RecordError, match=rf"refused record ITEMS of stream 1 .*{refused}"):
        list(pline)
