"""Tests that a compiled core cannot pass: they reach into what is Python only as it is written."""

from __future__ import annotations

import pytest

from minipipe.version import core


def pure_only(why: str) -> pytest.MarkDecorator:
    """Skips a test where the core is compiled; `why` says what it does that cannot be done then."""
    return pytest.mark.skipif(core() == "compiled", reason=f"the core is compiled: {why}")
