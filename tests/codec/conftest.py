"""What tests of items in shared memory need."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from minipipe.shm import supported
from tests.codec.ends import End


@pytest.fixture
def end() -> Iterator[End]:
    if not supported():
        pytest.skip("shared memory slots do not work here")
    made = End()
    yield made
    made.close()
