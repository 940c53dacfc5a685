"""What the tests of Sources share."""

from __future__ import annotations

from collections.abc import Iterator

import fsspec
import pytest

from minipipe.protocol import retrying
from tests.sources.data import Far, Flaky

for _cls in (Far, Flaky):
    fsspec.register_implementation(_cls.protocol, _cls, clobber=True)


@pytest.fixture(autouse=True)
def _file_systems() -> Iterator[None]:
    yield
    for cls in (Far, Flaky):
        cls.clear_instance_cache()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tries follow each other at once (in this process)."""
    monkeypatch.setattr(retrying, "FIRST_S", 0.001)
    monkeypatch.setattr(retrying, "LONGEST_S", 0.002)
