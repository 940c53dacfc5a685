"""What is counted of the way of arrays to a device, without one."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import minipipe as mp  # noqa: E402
from minipipe.process import gpu_copies  # noqa: E402
from minipipe.torch import loader, uploads_of  # noqa: E402
from tests.torch.fake_driver import FakeDriver  # noqa: E402


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> FakeDriver:
    driver = FakeDriver(at_once=True)
    monkeypatch.setitem(uploads_of.DRIVERS, "cuda", lambda _: driver)
    monkeypatch.setattr(uploads_of, "_uploads", {})
    monkeypatch.setattr("minipipe.torch.pipe_loader.device_of", torch.device)
    for name, value in (("_pid", os.getpid()), ("_staged_ns", 0), ("_is_ours", False)):
        monkeypatch.setattr(gpu_copies, name, value)
    return driver


def test_the_time_of_copies_by_hand_is_the_loops(device: FakeDriver) -> None:
    small = [np.full(100, i) for i in range(4)]  # in no slot
    pline = mp.PipeLine([mp.Source(small), mp.Transform(np.copy, "work")])
    assert len(list(loader(pline, device="cuda"))) == 4
    assert pline.stats()["(caller)"].staged_s > 0.0
    assert pline.stats()["work"].staged_s == 0.0
    again = mp.PipeLine([mp.Source([1]), mp.Transform(abs)])
    assert list(again) == [1]
    assert again.stats()["(caller)"].staged_s == 0.0  # that was another run


def test_who_uses_cuda_without_the_loader_copies_itself(
    device: FakeDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not gpu_copies.are_its_own()
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    assert gpu_copies.are_its_own()
    uploads_of.uploads_of(torch.device("cuda"))
    assert not gpu_copies.are_its_own()


def starts_cuda(item: int) -> int:
    import torch

    torch.cuda.is_initialized = lambda: True
    return item


def test_a_worker_says_so_at_its_end() -> None:
    pline: Any = mp.PipeLine(
        [mp.Source([1, 2]), mp.Transform(starts_cuda, "gpu"), mp.Sink(print, "keep")]
    )
    pline.run()
    pline.close()
    stats = pline.stats()
    assert [stats[name].own_copies for name in ("Source", "gpu", "keep")] == [0, 1, 0]
