"""What is too large to be sent with an error, or as a result, is said instead."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

import minipipe as mp
from minipipe.transport import LOCAL
from minipipe.worker import returned
from minipipe.worker.failure import MAX_PICKLED_BYTES, capture
from tests.conftest import DEADLOCK_S


class LoudError(ValueError):
    def __init__(self, what: str, payload: object) -> None:
        super().__init__(what, payload)
        self.payload = payload
        self.small = 7

    def __str__(self) -> str:
        return f"loud: {self.args[0]}"


def caught(error: Exception) -> Any:
    try:
        raise error
    except Exception as again:
        return capture(again, "its functor", number=3, item=[0])


@pytest.mark.parametrize(
    "payload", [np.zeros(2_000_000), b"x" * 10_000_000, ["y" * 100] * 1_000_000, "z" * 3_000_000]
)
def test_of_a_large_exception_only_what_is_small_is_sent(payload: object) -> None:
    failure = caught(LoudError("no good", payload))
    assert len(failure.pickled) <= MAX_PICKLED_BYTES
    assert len(failure.trace) < 200_000
    error = failure.exception("here")
    assert type(error) is LoudError
    assert str(error) == "loud: no good"
    assert error.small == 7
    assert not hasattr(error, "payload")
    assert len(error.args[1]) < 11_000


def test_a_small_exception_is_sent_as_it_is() -> None:
    error = caught(LoudError("no good", [1, 2])).exception("here")
    assert type(error) is LoudError
    assert (error.payload, error.small) == ([1, 2], 7)


def test_of_a_long_message_both_ends_are_sent() -> None:
    failure = caught(ValueError("begin " + "x" * 5_000_000 + " end"))
    assert len(failure.text) < 11_000
    assert failure.text.startswith("begin x")
    assert failure.text.endswith("x end")
    assert "characters left out" in failure.text
    assert "ValueError: begin x" in failure.trace
    error = failure.exception("here")
    assert type(error) is ValueError
    assert len(str(error)) < 11_000


def test_an_exception_of_many_small_parts_is_told_in_words() -> None:
    error = LoudError("many", 0)
    for i in range(100):
        setattr(error, f"field{i}", b"x" * 10_000)
    failure = caught(error)
    assert failure.pickled is None
    raised = failure.exception("here")
    assert isinstance(raised, mp.FunctorError)
    assert "loud: many" in str(raised)


def holds_much(x: int) -> None:
    raise LoudError(f"no good: {x}", np.zeros(4_000_000))


@pytest.mark.parametrize("limit", [None, 3])
def test_the_error_of_a_run_does_not_carry_what_the_exception_held(limit: int | None) -> None:
    pline = mp.PipeLine([mp.Source(range(9)), mp.Sink(holds_much, "work", max_failures=limit)])
    pline.run()
    with pytest.raises((LoudError, mp.TooManyFailuresError)) as told:
        pline.close(DEADLOCK_S)
    error = told.value if limit is None else told.value.__cause__
    assert type(error) is LoudError
    assert str(error) == f"loud: no good: {limit or 0}"
    assert not hasattr(error, "payload")


class Returns:
    """Cannot be pickled, so its worker is forked from here, with what is set here."""

    def __init__(self, result: Any) -> None:
        self.lock = threading.Lock()
        self.result = result

    def __call__(self, x: int) -> None:
        pass

    def local_term(self) -> Any:
        return self.result


def test_a_result_that_no_message_can_hold_is_an_error_that_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(returned, "MAX_RESULT_BYTES", 1000)
    pline = mp.PipeLine([mp.Source(range(3)), mp.Sink(Returns(b"x" * 2000), "keeps")])
    pline.run()
    with pytest.raises(mp.ResultTooLargeError, match="save it to a file") as told:
        pline.close(DEADLOCK_S)
    assert "'keeps'" in told.value.__notes__[0]
    assert told.value.limit_bytes == 1000


def test_the_limit_is_what_a_message_holds() -> None:
    assert returned.MAX_RESULT_BYTES == 2**32 - 1
    assert returned.write([1], LOCAL) == returned.dumps([1])
