"""What a loader of a dataset does not take is named, with what to do instead."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

import minipipe as mp

torch = pytest.importorskip("torch")

from torch.utils.data import DataLoader, SequentialSampler  # noqa: E402

from minipipe.torch import loader  # noqa: E402
from tests.torch.datasets.data import Iterated, Mapped  # noqa: E402


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"pin_memory": True}, r'no pin_memory=True: device="cuda"'),
        ({"pin_memory_device": "cuda:1"}, r"no pin_memory_device='cuda:1': say device"),
        ({"multiprocessing_context": "spawn"}, "no multiprocessing_context='spawn': workers are"),
        ({"num_workers": -1}, "num_workers .* is a number of processes, got -1"),
        ({"num_workers": True}, "num_workers .* got True"),
        ({"timeout": 3}, "timeout=3 .* needs workers"),
        ({"timeout": -1, "num_workers": 1}, "timeout .* got -1"),
        ({"timeout": "3", "num_workers": 1}, "timeout .* got '3'"),
        ({"prefetch_factor": 0, "num_workers": 1}, "prefetch_factor .* at least 1"),
        ({"prefetch_factor": 2}, "prefetch_factor option could only be specified"),
        ({"persistent_workers": True}, "needs num_workers > 0"),
        ({"collate_fn": [1]}, r"collate_fn .* is a function, got \[1\]"),
        ({"worker_init_fn": 3}, "worker_init_fn .* is a function, got 3"),
        ({"batch_size": 0}, "batch_size should be a positive integer"),
        ({"batch_size": None, "drop_last": True}, "disables auto-batching"),
        ({"shuffle": True, "sampler": SequentialSampler(range(4))}, "mutually exclusive"),
        ({"batch_sampler": [[0]], "batch_size": 2}, "mutually exclusive"),
        ({"batchsize": 2}, "no option 'batchsize'.*did you mean 'batch_size'"),
        ({"prefetch": 0}, "prefetch"),
    ],
)
def test_a_bad_argument(options: Any, said: str) -> None:
    with pytest.raises(mp.OptionError, match=said):
        loader(Mapped(4), **options)


@pytest.mark.parametrize(
    ("dataset", "said"),
    [
        (Mapped, r"got the class: write Mapped\(\.\.\.\)"),
        ((i for i in range(3)), "derive its class from torch.utils.data.IterableDataset"),
        (3, "got 3"),
        (None, "got None"),
    ],
)
def test_no_dataset(dataset: Any, said: str) -> None:
    with pytest.raises(mp.OptionError, match=said):
        loader(dataset)


def test_an_iterable_dataset_has_no_sampler() -> None:
    with pytest.raises(mp.OptionError, match="unspecified sampler option"):
        loader(Iterated([3]), sampler=[0, 1])


def test_it_is_a_dataloader_and_has_its_attributes() -> None:
    made: Any = loader(Mapped(10), 3, shuffle=True, drop_last=True, num_workers=2)

    assert isinstance(made, DataLoader)
    assert (made.batch_size, made.drop_last, made.num_workers, len(made)) == (3, True, 2, 3)
    assert made.prefetch_factor == 2 and made.dataset.count == 10
    assert len(iter(loader(Mapped(10), 3))) == 4


def test_lists_and_ranges_are_datasets() -> None:
    assert [batch.tolist() for batch in loader(range(5), 2)] == [[0, 1], [2, 3], [4]]
    assert list(loader(["a", "b"], batch_size=None)) == ["a", "b"]


def test_it_can_be_pickled_also_in_the_middle_of_a_pass() -> None:
    made = loader(range(5), 2)
    batches = iter(made)
    next(batches)

    again = pickle.loads(pickle.dumps(made))

    assert [batch.tolist() for batch in again] == [[0, 1], [2, 3], [4]]
