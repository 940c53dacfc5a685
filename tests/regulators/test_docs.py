"""The examples in docstrings."""

from __future__ import annotations

import doctest
from types import ModuleType

import pytest

from minipipe.regulators import collate, unbatch


@pytest.mark.parametrize("module", [collate, unbatch])
def test_the_examples_in_docstrings_are_true(module: ModuleType) -> None:
    failed, attempted = doctest.testmod(module)
    assert attempted and not failed
