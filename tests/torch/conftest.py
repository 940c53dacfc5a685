"""A device that is fake, in the place of CUDA's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.torch.fake_driver import FakeDriver


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeDriver]:
    from minipipe.torch import uploads_of  # these need torch, which may not be there
    from tests.torch.fake_driver import FakeDriver

    made = FakeDriver(at_once=True)
    monkeypatch.setitem(uploads_of.DRIVERS, "cuda", lambda device: made)
    yield made
    for key in list(uploads_of._uploads):
        uploads_of._close(key)
    assert not made.registered
