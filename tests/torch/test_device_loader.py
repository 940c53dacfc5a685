"""Pipelines in real processes, read by a loader onto a device that is fake."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import minipipe as mp
from tests.torch.functors import batch, fails_at_three, tensor_batch

torch = pytest.importorskip("torch")

from minipipe.torch import PipeLoader, loader, to_device  # noqa: E402
from minipipe.torch.ahead import on_device  # noqa: E402
from minipipe.torch.devices import DeviceError  # noqa: E402
from minipipe.torch.uploads import Uploads  # noqa: E402
from tests.torch.fake_driver import FakeDriver  # noqa: E402


def on_gpu(pline: mp.PipeLine, **options: Any) -> PipeLoader:
    made = PipeLoader(pline, **options)
    made.device = torch.device("cuda:0")  # which is not asked for here, as there may be none
    return made


@pytest.mark.parametrize(("make", "late"), [(batch, False), (batch, True), (tensor_batch, True)])
def test_items_come_in_order_and_large_arrays_are_copied_from_their_slots(
    driver: FakeDriver, make: Any, late: bool
) -> None:
    pline = mp.PipeLine([mp.Source(range(40)), mp.Transform(make, n_processes=1)])
    driver.at_once = not late  # then a copy is done only when somebody has to wait for it
    for _ in range(2):
        found = list(on_gpu(pline))
        driver.complete()
        assert [item["label"][2] for item in found] == list(range(40))
        for i, item in enumerate(found):
            assert item["image"].shape == (4, 128, 128, 3) and (item["image"] == i).all()
            assert item["label"][0].tolist() == [0, 1, 2, 3] and item["label"][1] == "train"
    assert driver.direct == 80 and driver.from_pageable == 0


def test_up_to_prefetch_copies_are_under_way_beside_the_one_that_was_handed_out(
    driver: FakeDriver,
) -> None:
    uploads = Uploads(driver, most=8)
    items = (np.full(50_000, i) for i in range(8))
    ahead = []
    for handed, item in enumerate(on_device(items, uploads, 3, lambda: True), 1):
        assert set(item.tolist()) == {handed - 1}
        ahead.append(len(driver.copies) - handed)
    assert ahead == [3, 3, 3, 3, 3, 2, 1, 0]
    uploads.close()


def test_nobody_waits_for_an_item_only_to_copy_it_ahead(driver: FakeDriver) -> None:
    uploads = Uploads(driver)
    items = (np.full(50_000, i) for i in range(4))
    handed = 0
    for _ in on_device(items, uploads, 3, lambda: False):
        handed += 1
        assert len(driver.copies) == handed
    assert handed == 4
    uploads.close()


def test_leaving_early_gives_all_back(driver: FakeDriver) -> None:
    pline = mp.PipeLine([mp.Source(range(10**6)), mp.Transform(batch)])
    for item in on_gpu(pline):
        assert (item["image"] == 0).all()
        break


def test_what_came_before_a_failure_comes_first(driver: FakeDriver) -> None:
    pline = mp.PipeLine([mp.Source(range(10)), mp.Transform(fails_at_three)])
    seen = []
    with pytest.raises(ValueError, match="three"):
        for item in on_gpu(pline, prefetch=8):
            seen.append(int(item[0]))
    assert seen == list(range(len(seen))) and len(seen) <= 3


def test_inline_items_go_by_pinned_buffers(driver: FakeDriver) -> None:
    pline = mp.PipeLine([mp.Source(range(3)), mp.Transform(batch)])
    pline.build(inline=True)
    assert [float(item["image"][0, 0, 0, 0]) for item in on_gpu(pline)] == [0, 1, 2]
    assert driver.direct == 0 and driver.from_pageable == 0


def test_to_device_hands_out_at_once(driver: FakeDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("minipipe.torch.trainers.device_of", torch.device)
    found = to_device({"x": np.arange(100_000), "n": 3}, "cuda:0")
    assert found["x"].tolist() == list(range(100_000)) and found["n"] == 3
    assert driver.handed_over == 1


def test_to_device_on_the_cpu_copies_nothing_that_may_be_written_to() -> None:
    array = np.arange(4)
    to_device([array])[0][0] = 7
    assert array[0] == 7


def test_a_process_that_was_forked_after_cuda_was_used_is_told_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "_is_in_bad_fork", lambda: True)
    with pytest.raises(DeviceError, match=r"forked from a process that had used CUDA.*run\(\)"):
        to_device(np.zeros(3), "cuda")


def test_batches_of_a_dataset_come_on_the_device_and_are_counted_as_they_are_handed_out(
    driver: FakeDriver,
) -> None:
    made = loader([np.full(20_000, i, "f4") for i in range(10)], batch_size=4)
    made.device = torch.device("cuda:0")
    found = iter(made)
    assert [set(row.tolist()) for row in next(found)] == [{0}, {1}, {2}, {3}]
    state = made.state_dict()
    assert [len(batch) for batch in found] == [4, 2] and len(driver.copies) == 3

    made.load_state_dict(state)
    assert [int(batch[0, 0]) for batch in made] == [4, 8]
