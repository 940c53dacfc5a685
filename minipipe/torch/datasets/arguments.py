"""What a loader of a dataset takes, and what it does not: each with what to do instead."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch.utils.data import Dataset, IterableDataset

from minipipe.errors import OptionError, did_you_mean

WHERE = "minipipe.torch.loader"

_OPTIONS = (
    *("batch_size", "shuffle", "sampler", "batch_sampler", "num_workers", "collate_fn"),
    *("drop_last", "timeout", "worker_init_fn", "generator", "prefetch_factor"),
    *("persistent_workers", "in_order", "device", "prefetch"),
)
_INSTEAD = {
    "pin_memory": (
        'device="cuda" copies batches to the device straight from the memory in which workers put '
        "them together: leave pin_memory away"
    ),
    "pin_memory_device": 'say device="cuda:1", say, and leave pin_memory_device away',
    "multiprocessing_context": (
        "workers are started by MiniPipe, from a process that never imports your script: leave it "
        "away (a dataset that cannot be pickled is inherited by fork, on Linux)"
    ),
}
_OF_RANKS = ("shard", "rank", "world_size", "num_replicas")


def reject(unknown: Iterable[str]) -> None:
    """Raises `OptionError` for the first argument that nobody has."""
    for name in unknown:
        if name in _OF_RANKS:
            raise OptionError(
                f"{WHERE} of a dataset has no option {name!r}: say which part a rank has by "
                "sampler=torch.utils.data.DistributedSampler(dataset, num_replicas=..., rank=...)"
            )
        raise OptionError(
            f"{WHERE} of a dataset has no option {name!r}{did_you_mean(name, _OPTIONS)} (known: "
            f"{', '.join(_OPTIONS)})"
        )


def refuse(**given: Any) -> None:
    """Raises `OptionError` for an argument of DataLoader that there is not here, if it is used."""
    for name, value in given.items():
        if value:
            raise OptionError(f"{WHERE} takes no {name}={value!r:.60}: {_INSTEAD[name]}")


def check_dataset(dataset: Any) -> None:
    """Sees that it is a dataset.

    Raises:
        OptionError: It is none.
    """
    if isinstance(dataset, IterableDataset):
        if type(dataset).__module__.startswith("torch.utils.data.datapipes"):
            _refuse_pipes(dataset)
        return
    if isinstance(dataset, type):
        raise OptionError(
            f"{WHERE} takes a dataset, got the class: write {dataset.__name__}(...), with what it "
            "is made of"
        )
    if hasattr(dataset, "__getitem__") or hasattr(dataset, "__getitems__"):
        if type(dataset).__module__.startswith("torch.utils.data.datapipes"):
            _refuse_pipes(dataset)
        return
    if isinstance(dataset, Iterable) and not isinstance(dataset, Dataset):
        raise OptionError(
            f"{WHERE} takes a dataset with __getitem__, got {dataset!r:.80}, which can only be "
            "iterated over: derive its class from torch.utils.data.IterableDataset, or make a "
            "pipeline of it, as in mp.PipeLine([mp.Source(it)])"
        )
    raise OptionError(
        f"{WHERE} takes a PipeLine, or a dataset, which has __getitem__ and __len__ or is a "
        f"torch.utils.data.IterableDataset; got {dataset!r:.80}"
    )


def _refuse_pipes(dataset: Any) -> None:
    raise OptionError(
        f"{WHERE} takes no DataPipe, got {type(dataset).__name__}: torch has deprecated them; make "
        "a pipeline of it, as in mp.PipeLine([mp.Source(it)]), or leave it to DataLoader"
    )


def check_numbers(num_workers: Any, timeout: Any, prefetch_factor: Any, prefetch: Any) -> None:
    """Sees that these are numbers, and go together.

    Raises:
        OptionError: They are not, or do not.
    """
    if type(num_workers) is not int or num_workers < 0:
        raise OptionError(f"num_workers of {WHERE} is a number of processes, got {num_workers!r}")
    if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not timeout >= 0:
        raise OptionError(f"timeout of {WHERE} is a number of seconds, got {timeout!r}")
    if timeout and not num_workers:
        raise OptionError(
            f"timeout={timeout!r} of {WHERE} needs workers: this process itself makes the batches, "
            "and cannot stop waiting for itself (num_workers=2, say)"
        )
    if prefetch_factor is not None and (type(prefetch_factor) is not int or prefetch_factor < 1):
        raise OptionError(
            f"prefetch_factor of {WHERE} is at least 1, how many batches each worker may have "
            f"ready ahead of the loop, got {prefetch_factor!r}"
        )
    if type(prefetch) is not int or prefetch < 1:
        raise OptionError(f"prefetch of {WHERE} is at least 1, got {prefetch!r}")


def check_callables(**given: Any) -> None:
    """Raises `OptionError` if one of these is neither None nor can be called."""
    for name, value in given.items():
        if value is not None and not callable(value):
            raise OptionError(f"{name} of {WHERE} is a function, got {value!r:.80}")
