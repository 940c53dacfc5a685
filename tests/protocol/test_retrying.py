"""What is tried again, and after how long."""

from __future__ import annotations

import http.client

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minipipe.protocol.retrying import LONGEST_S, Retries, passes


class ClientError(Exception):
    """As aiohttp's, which are no OSErrors."""

    def __init__(self, status: int) -> None:
        self.status = status


ClientError.__module__ = "aiohttp.client_exceptions"


class Subclass(ClientError):
    pass


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (OSError("reset"), True),
        (ConnectionResetError(), True),
        (TimeoutError(), True),
        (FileNotFoundError(), False),
        (PermissionError(), False),
        (IsADirectoryError(), False),
        (NotADirectoryError(), False),
        (ValueError(), False),
        (EOFError(), False),
        (KeyboardInterrupt(), False),
        (http.client.IncompleteRead(b""), True),
        (ClientError(503), True),
        (Subclass(500), True),
        (Subclass(404), False),
        (Subclass(403), False),
        (Subclass(429), True),
        (Subclass(408), True),
    ],
)
def test_what_may_be_gone_a_second_later(error, expected) -> None:
    assert passes(error) is expected


@given(st.integers(0, 20), st.integers(1, 40), st.floats(0, 1, exclude_max=True))
def test_each_wait_is_longer_up_to_a_limit(most, failures, spread) -> None:
    retries = Retries(most)
    wait_s = retries.wait_s(failures, OSError(), spread)
    if failures > most:
        assert wait_s is None
        return
    assert wait_s is not None and 0.125 <= wait_s <= LONGEST_S
    before = retries.wait_s(failures - 1, OSError(), spread)
    assert failures == 1 or (before is not None and before <= wait_s)
    assert retries.wait_s(failures, FileNotFoundError(), spread) is None


def test_the_waits_are_those_of_the_docstring() -> None:
    retries = Retries(3)
    longest = [retries.wait_s(n, OSError(), 1.0) for n in (1, 2, 3, 4)]
    assert longest == [0.25, 1.0, 4.0, None]
