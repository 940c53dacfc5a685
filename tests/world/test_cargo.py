"""The same courses of events with items of the script's classes, whose definitions travel."""

from __future__ import annotations

from typing import Any

import pytest

from minipipe.pure.recent import Recent
from tests.world.cargo import Cargo
from tests.world.test_recovery import SEEDS, SHAPES, batched, outcome

OF_ONE_CLASS = [batched]  # a batch is of samples that are alike


@pytest.mark.parametrize("seed", range(SEEDS))
@pytest.mark.parametrize(
    "shape",
    [shape for shape in SHAPES if shape not in OF_ONE_CLASS],
    ids=lambda shape: shape.__name__,
)
def test_items_of_a_script_arrive_exactly_once_whoever_dies(
    shape: Any, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # So few are kept that definitions are forgotten and sent again all the time.
    monkeypatch.setattr(Recent.__init__, "__defaults__", (3 + 4 * (seed % 2),))
    rate = (0.001, 0.005, 0.02)[seed % 3]
    options = {"kills": 1 + seed % 7, "kill_rate": rate, "falsely": seed % 2}
    got, expected = outcome(shape, seed, cargo=Cargo(), **options)
    assert got == expected
