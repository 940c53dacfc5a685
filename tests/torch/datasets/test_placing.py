"""Batches of a dataset come on a device, here a fake one, copied straight from shared memory."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")

from minipipe.torch import loader  # noqa: E402
from tests.torch.datasets.data import Broken, Mapped  # noqa: E402
from tests.torch.fake_driver import FakeDriver  # noqa: E402


def on_gpu(*args: Any, **options: Any) -> Any:
    made: Any = loader(*args, **options)
    made.device = torch.device("cuda:0")  # which is not asked for here, as there may be none
    return made


def test_batches_come_in_order_from_the_slots_that_the_workers_wrote(driver: FakeDriver) -> None:
    with on_gpu(Mapped(64, rows=20), 4, num_workers=2) as made:
        for _ in range(2):
            batches = list(made)
            assert [int(batch["i"][0]) for batch in batches] == list(range(0, 64, 4))
            assert all((batch["image"][1] == batch["i"][1]).all() for batch in batches)
    assert driver.direct == 32 and driver.from_pageable == 0


def test_the_state_counts_what_the_loop_has_got_not_what_is_under_way(driver: FakeDriver) -> None:
    with on_gpu(Mapped(64, rows=20), 4, num_workers=2, prefetch=3) as made:
        batches = iter(made)
        next(batches)
        next(batches)
        assert made.state_dict()["delivered"] == 2
        made.load_state_dict(made.state_dict())
        assert int(next(iter(made))["i"][0]) == 8


def test_what_came_before_an_error_comes_first_also_without_workers(driver: FakeDriver) -> None:
    for workers in (0, 2):
        seen = []
        made = on_gpu(Broken(24), 4, num_workers=workers)
        with made, pytest.raises(ValueError, match="broken"):
            for batch in made:
                seen += batch.tolist()
        assert seen == list(range(12))
