"""The loader with worker processes: beside DataLoader's, and when things go wrong."""

from __future__ import annotations

import gc
import logging
import os
import random
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minipipe as mp

torch = pytest.importorskip("torch")

from torch.utils.data import DataLoader  # noqa: E402

from minipipe.torch import loader  # noqa: E402
from minipipe.torch.datasets.errors import LoaderTimeoutError  # noqa: E402
from tests.torch.datasets.data import (  # noqa: E402
    Broken,
    Iterated,
    Killed,
    KilledIterated,
    Locked,
    Mapped,
    Slow,
    Unloadable,
    are_same,
)


def seed_all() -> None:
    torch.manual_seed(5)
    np.random.seed(5)
    random.seed(5)


@pytest.mark.parametrize("persistent", [False, True])
def test_random_augmentations_agree_with_dataloader_pass_after_pass(persistent: bool) -> None:
    options: dict[str, Any] = {
        **{"batch_size": 8, "shuffle": True, "num_workers": 2},
        **{"persistent_workers": persistent, "worker_init_fn": draw_once},
    }
    seen: list[list[Any]] = []
    for make in (loader, DataLoader):
        seed_all()
        dataset = Mapped(37)
        made: Any = make(dataset, **options)
        passes = []
        for epoch in range(3):
            dataset.epoch = epoch  # workers see it if they get the dataset anew
            passes.append(list(made))
        seen.append([passes, torch.rand(1)])
        if make is loader:
            made.close()

    ours, theirs = seen
    assert are_same(ours, theirs)
    assert ours[0][2][0]["epoch"].tolist() == [0 if persistent else 2] * 8
    assert all(not tensor.is_shared() for tensor in (ours[0][0][0]["image"],))


def draw_once(worker: int) -> None:
    torch.rand(worker + 1)


def test_each_worker_goes_through_an_iterable_dataset_of_its_own() -> None:
    seen = []
    for make in (loader, DataLoader):
        seed_all()
        made: Any = make(Iterated([5, 14]), batch_size=4, num_workers=2)
        seen.append([list(made), list(made)])
        if make is loader:
            made.close()

    assert are_same(*seen)


def test_what_a_dataset_raises_comes_in_its_place_and_names_the_index() -> None:
    with loader(Broken(24), batch_size=4, num_workers=2) as made:
        batches, got = iter(made), []
        for _ in range(3):
            got += next(batches).tolist()
        with pytest.raises(ValueError, match="broken") as caught:
            next(batches)
        for batch in batches:
            got += batch.tolist()

    assert got == [*range(12), *range(16, 24)]
    assert caught.value.__notes__ == [
        "minipipe: dataset[13] for batch 3 (index [12, 13, 14, 15]) in loader worker 1"
    ]
    assert "__getitem__" in str(caught.value.__cause__)  # the remote traceback


def test_without_workers_an_error_names_the_index_too() -> None:
    with pytest.raises(ValueError, match="broken") as caught:
        list(loader(Broken(24), batch_size=4))

    assert caught.value.__notes__ == ["minipipe: dataset[13] for batch 3 (index [12, 13, 14, 15])"]


def test_the_indices_of_a_batch_may_be_any_iterable_and_what_is_none_fails_alone() -> None:
    with loader(Broken(24), batch_sampler=[{12, 13}, 3, {1, 2}], num_workers=1) as made:
        batches, notes = iter(made), []
        for kind in (ValueError, TypeError):
            with pytest.raises(kind, match=r"broken|not iterable") as caught:
                next(batches)
            notes += caught.value.__notes__
        assert [batch.tolist() for batch in batches] == [[1, 2]]
    assert "dataset[13] for batch 0 (index {12, 13})" in notes[0]
    assert "going through the indices for batch 1 (index 3)" in notes[1]


def test_batches_of_a_killed_worker_are_made_by_another_one(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    dataset = Killed(40, at=13, path=str(tmp_path / "once"))

    with (
        caplog.at_level(logging.WARNING, "minipipe"),
        loader(dataset, batch_size=4, num_workers=2) as made,
    ):
        first = [int(image[0, 0]) for batch in made for image in batch]
        second = [int(image[0, 0]) for batch in made for image in batch]

    assert first == second == list(range(40))
    assert "SIGKILL" in caplog.text and "others do it again (1)" in caplog.text


def test_a_batch_at_which_two_workers_have_died_ends_the_pass() -> None:
    with loader(Killed(40, at=9), batch_size=4, num_workers=2) as made:
        with pytest.raises(mp.WorkerDiedError, match="SIGKILL") as caught:
            list(made)

        notes = "\n".join(caught.value.__notes__)
        assert "was at batch 2 (index [8, 9, 10, 11])" in notes
        assert "a second one has died at this batch" in notes
        with pytest.raises(mp.WorkerDiedError):  # the next pass has new workers
            list(made)


def test_nobody_else_can_go_on_with_the_iterator_of_a_killed_worker() -> None:
    with (
        loader(KilledIterated(), batch_size=2, num_workers=1) as made,
        pytest.raises(mp.WorkerDiedError, match="SIGKILL") as caught,
    ):
        list(made)

    assert "of an iterable dataset nobody else can go on" in "\n".join(caught.value.__notes__)


def test_a_batch_that_does_not_come_in_time_is_named() -> None:
    made = loader(Slow(40), batch_size=2, num_workers=2, timeout=2)
    batches = iter(made)
    assert next(batches).tolist() == [0, 1] and next(batches).tolist() == [2, 3]

    with pytest.raises(LoaderTimeoutError, match=r"waits for batch 2 \(index \[4, 5\]\).*worker 0"):
        next(batches)

    assert list(batches) == []
    made.close()


def test_a_pass_that_is_left_leaves_nothing_for_the_next() -> None:
    made = loader(Mapped(40), batch_size=4, num_workers=2)
    for batch in made:
        assert batch["i"].tolist() == [0, 1, 2, 3]
        break
    pids = {worker.pid for worker in made._pool._idle[0]._fan.stats().workers}

    one, other = iter(made), iter(made)  # each has workers of its own
    for mine, yours in zip(one, other, strict=True):
        assert torch.equal(mine["i"], yours["i"])
    assert pids & {w.pid for idle in made._pool._idle for w in idle._fan.stats().workers} == pids
    del one, other, made  # nobody holds it: its workers end
    gc.collect()


def test_a_dataset_that_cannot_be_pickled_is_inherited_at_each_pass(
    caplog: pytest.LogCaptureFixture,
) -> None:
    dataset = Locked(8)
    with (
        caplog.at_level(logging.INFO, "minipipe"),
        loader(dataset, batch_size=4, num_workers=2) as made,
    ):
        for epoch in range(2):
            dataset.epoch = epoch
            assert [batch["epoch"].tolist() for batch in made] == [[epoch] * 4] * 2

    said = [record for record in caplog.records if "cannot be pickled" in record.getMessage()]
    assert len(said) == 1 and "lock" in said[0].getMessage()


def test_a_dataset_that_workers_cannot_unpickle_is_inherited_too(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with (
        caplog.at_level(logging.INFO, "minipipe"),
        loader(Unloadable(8), batch_size=4, num_workers=2) as made,
    ):
        for _ in range(2):
            assert [batch["i"].tolist() for batch in made] == [[0, 1, 2, 3], [4, 5, 6, 7]]

    assert "cannot be loaded" in caplog.text and "not here" in caplog.text


def test_what_collate_fn_gives_may_be_anything_that_travels() -> None:
    with loader(Broken(8), batch_size=4, num_workers=1, collate_fn=nothing) as made:
        assert list(made) == [None, None]
    with (
        loader(Broken(8), batch_size=4, num_workers=1, collate_fn=generator) as made,
        pytest.raises(mp.ItemTypeError, match="generator") as caught,
    ):
        list(made)

    assert "what collate_fn has given" in "\n".join(caught.value.__notes__)


def nothing(batch: list[Any]) -> None:
    return None


def generator(batch: list[Any]) -> Any:
    return (sample for sample in batch)


def test_large_arrays_of_a_dataset_are_not_copied_for_each_worker() -> None:
    dataset = Large()
    with loader(dataset, batch_size=None, num_workers=2) as made:
        assert [int(row[0]) for row in made] == [0, 1, 2, 3]
        dataset.rows[2] = 9  # the next pass sees it
        assert [int(row[0]) for row in made] == [0, 1, 9, 3]
        mapped = made._pool._payload._memory
        assert mapped is not None and os.fstat(mapped.fd).st_size >= dataset.rows.nbytes


class Large:
    """A dataset that holds all its samples, and changes its copy."""

    def __init__(self) -> None:
        self.rows = np.repeat(np.arange(4), 100_000).reshape(4, -1)

    def __len__(self) -> int:
        return 4

    def __getitem__(self, i: int) -> Any:
        row = self.rows[i].copy()
        self.rows[i] = -1  # of its own copy: the next pass has another one
        return row


def test_dataloaders_own_warnings_are_none_of_ours() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(loader(Mapped(10), batch_size=4, num_workers=64)) == 3
