"""A pipeline as an IterableDataset."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

import minipipe as mp
from tests.torch.functors import batch

torch = pytest.importorskip("torch")

from torch.utils.data import DataLoader, IterableDataset  # noqa: E402

from minipipe.torch import IterablePipe  # noqa: E402


def test_a_data_loader_hands_on_the_batches_of_the_pipeline() -> None:
    pline = mp.PipeLine([mp.Source(range(4)), mp.Transform(batch)])
    pipe = IterablePipe(pline)
    assert isinstance(pipe, IterableDataset)
    for _ in range(2):
        found = list(DataLoader(pipe, batch_size=None))
        assert [item["label"][2] for item in found] == [0, 1, 2, 3]
        assert found[3]["image"].shape == (4, 128, 128, 3) and (found[3]["image"] == 3).all()


def test_a_data_loader_may_batch_samples_itself() -> None:
    pline = mp.PipeLine([mp.Source([{"x": np.full(3, i)} for i in range(5)])])
    found = list(DataLoader(IterablePipe(pline), batch_size=2))
    assert [tuple(item["x"].shape) for item in found] == [(2, 3), (2, 3), (1, 3)]


def test_workers_of_a_data_loader_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    pipe = IterablePipe(mp.PipeLine([mp.Source(range(4))]))
    with pytest.raises(mp.LifecycleError, match="takes num_workers=0"):
        pickle.dumps(pipe)  # as for workers that are spawned
    monkeypatch.setattr("minipipe.torch.iterable_pipe.get_worker_info", object)
    with pytest.raises(mp.LifecycleError, match="takes num_workers=0"):
        iter(pipe)  # as in one that was forked


def test_what_is_no_pipeline_is_refused() -> None:
    with pytest.raises(mp.OptionError, match=r"takes a PipeLine .*, got range\(0, 4\)"):
        IterablePipe(range(4))  # type: ignore[arg-type]
