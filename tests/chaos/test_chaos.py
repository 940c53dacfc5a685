"""A short part of `make chaos`, with seeds that do not change."""

from __future__ import annotations

import pytest

from tests.chaos.trial import trial

SEEDS = range(14)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_contract_holds_under_fire(seed: int) -> None:
    report = trial(seed, faults=8)
    assert not report.wrong, f"{report.plan}: {report.wrong}"
    assert report.items


def test_a_broken_contract_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The judge itself, held to a pipeline that drops one item more than it should."""
    from tests.chaos.functors import Work

    passes = Work.passes
    monkeypatch.setattr(Work, "passes", lambda work, key: key == 0 or passes(work, key))
    wrong = [text for seed in range(4) for text in trial(seed, faults=0).wrong]
    assert any("lost [0]" in text for text in wrong)
