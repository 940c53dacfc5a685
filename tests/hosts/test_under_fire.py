"""A short part of `make test-hosts`, with seeds that do not change."""

from __future__ import annotations

import pytest

from tests.chaos.trial import trial
from tests.hosts.neighbours import Neighbours


@pytest.mark.parametrize("seed", [31, 430])
def test_the_contract_holds_over_several_hosts(seed: int) -> None:
    report = trial(seed, 8, Neighbours(seed))
    assert not report.wrong, f"{report.plan}: {report.wrong}"
    assert report.items
