"""What the verdict says of the way of arrays to a GPU."""

from __future__ import annotations

from dataclasses import replace

import pytest

from minipipe.observe.load import SegmentLoad
from minipipe.observe.pageable import pageable
from minipipe.observe.verdict import verdict

LOAD = SegmentLoad("load", "source", False, 1, 0, 1000, 1.0, 0.0, 9.0, 0.0)
TRAIN = SegmentLoad(
    "train", "sink", False, 1, 1000, 0, 9.0, 0.5, 0.0, 0.5, bytes_in=40_000_000_000, own_copies=True
)


def test_a_trainer_that_copies_itself_hears_what_that_costs_at_least() -> None:
    said = str(verdict((LOAD, TRAIN), 8))
    assert said.startswith("bottleneck: 'train' (95% busy;")
    assert said.endswith(
        "It uses a GPU. If it copies its items there itself (40.0 MB each), it waits for that for "
        "at least 35% of its time, as they are not in pinned memory; minipipe.torch.to_device "
        "copies beside what the GPU computes."
    )
    assert 'loader(pline, device="cuda") copies' in pageable(replace(TRAIN, kind="caller"))


def test_what_is_copied_to_pinned_memory_by_the_way_is_measured() -> None:
    said = pageable(replace(TRAIN, own_copies=False, staged_s=3.0))
    assert said.startswith("32% of its time goes to copies of arrays into pinned memory")


@pytest.mark.parametrize(
    "otherwise",
    [
        {"own_copies": False},
        {"bytes_in": 4_000_000_000},  # 3 % of its time
        {"items_in": 1_000_000},  # small ones
        {"own_copies": False, "staged_s": 0.5},
        {"busy_s": 0.0, "own_s": 0.0},
        {"items_in": 0, "items_out": 0},
    ],
)
def test_nothing_is_said_of_what_costs_little_or_is_not_known(otherwise: dict[str, float]) -> None:
    assert pageable(replace(TRAIN, **otherwise)) == ""
