"""MiniPipe for PyTorch: pipelines and datasets as tensors, on the CPU or on a GPU.

    import minipipe.torch

    for batch in minipipe.torch.loader(pline, device="cuda"):
        loss = model(batch["image"])

torch is imported when one of these is first used; it is the extra `torch`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from minipipe.errors import MissingExtraError, OptionError, reject_unknown

if TYPE_CHECKING:
    from minipipe.torch.dataset_loader import DatasetLoader
    from minipipe.torch.devices import DeviceError
    from minipipe.torch.iterable_pipe import IterablePipe
    from minipipe.torch.pipe_loader import PipeLoader
    from minipipe.torch.tensors import TensorError
    from minipipe.torch.trainers import to_device

# Where each name is that needs torch to exist (PEP 562).
_HOME = {
    "DatasetLoader": "dataset_loader",
    "PipeLoader": "pipe_loader",
    "TensorError": "tensors",
    "DeviceError": "devices",
    "IterablePipe": "iterable_pipe",
    "to_device": "trainers",
}

__all__ = [
    "DatasetLoader",
    "DeviceError",
    "IterablePipe",
    "PipeLoader",
    "TensorError",
    "loader",
    "to_device",
]


def loader(
    source: Any,
    *args: Any,
    device: Any = None,
    prefetch: int = 2,
    seed: int | None = None,
    **options: Any,
) -> Any:
    """Returns an iterable over a pipeline's items, or a dataset's batches, with tensors in them.

    Args:
        source: A PipeLine or PipeSystem whose output nobody else takes: each iteration is one pass
            over it.  Or a dataset, as `torch.utils.data.DataLoader` takes it.
        device: Where the tensors shall be: None or "cpu", "cuda", "cuda:1", a `torch.device`.
        prefetch: How many items are on their way to the device beside the one that was handed out.
        seed: Of a pipeline: what its functors draw at random follows from it, item by item, and
            from the pass.  None: drawn anew.  (Of a dataset: `generator`, `torch.manual_seed`.)
        *args: For a dataset, those of DataLoader (`minipipe.torch.DatasetLoader`).
        **options: The same: `batch_size`, `shuffle`, `num_workers`, ...

    Raises:
        MissingExtraError: torch is not installed.
        OptionError: An option that there is not for such a source, or an impossible value.
        DeviceError: The device does not exist.
    """
    _check_torch()
    from minipipe.pipeline.runnable import Runnable

    if isinstance(source, Runnable):
        from minipipe.torch.pipe_loader import PipeLoader

        if args:
            raise OptionError(
                f"minipipe.torch.loader of a pipeline takes no {args[0]!r:.80}: write device=... "
                "(the batches are made by a segment)"
            )
        if options:
            _refuse_dataset_options(options)
        return PipeLoader(source, device=device, prefetch=prefetch, seed=seed)
    from minipipe.torch.dataset_loader import dataset_loader

    if seed is not None:
        raise OptionError(
            f"minipipe.torch.loader of a dataset takes no seed (got {seed!r}): write "
            "generator=torch.Generator().manual_seed(7), as for DataLoader, or torch.manual_seed(7)"
        )
    return dataset_loader(source, *args, device=device, prefetch=prefetch, **options)


_IN_A_PIPELINE = {
    "batch_size": "mp.Transform(load, batch=64), or mp.Batch(64) at its end",
    "shuffle": "the order of its Source, or mp.Shuffle(1000)",
    "sampler": "the order of its Source",
    "shard": "shard= of a Source of files, as in mp.Files(pattern, shard=(rank, world_size))",
    "num_workers": "n_processes= of its segments",
    "collate_fn": "collate= of mp.Transform(load, batch=64), or of mp.Batch",
    "drop_last": "drop_last= of mp.Transform(load, batch=64), or of mp.Batch",
    "prefetch_factor": "prefetch= here, or buffer_size= of its segments",
    "pin_memory": 'device="cuda" here, which needs no pinned copy',
    "timeout": "timeout_s= of its segments",
    "generator": "seed= here, or pline.run(seed=...)",
    "worker_init_fn": "local_init of its functors, or pline.run(worker_init=...)",
    "persistent_workers": "mp.PipeLine(persistent=True)",
}


def _refuse_dataset_options(options: dict[str, Any]) -> None:
    """Raises `OptionError` for the first option that is a dataset's, or nobody's."""
    name = next(iter(options))
    if name in _IN_A_PIPELINE:
        raise OptionError(
            f"minipipe.torch.loader of a pipeline takes no {name!r}: "
            f"of a pipeline that is {_IN_A_PIPELINE[name]}"
        )
    reject_unknown(options, ("device", "prefetch", "seed"), "minipipe.torch.loader of a pipeline")


def _check_torch() -> None:
    try:
        importlib.import_module("torch")
    except ImportError as error:
        raise MissingExtraError("torch", "minipipe.torch", "torch") from error


def __getattr__(name: str) -> Any:
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module 'minipipe.torch' has no attribute {name!r}")
    _check_torch()
    value = getattr(importlib.import_module(f"minipipe.torch.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
