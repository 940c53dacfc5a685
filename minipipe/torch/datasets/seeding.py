"""The random numbers of a worker, as DataLoader's workers have them."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch
from torch.utils.data import _utils

_ODD = 0x9E3779B97F4A7C15  # 2**64 divided by the golden ratio: near seeds come far apart
_POSITIVE = 2**63 - 1


def seed_worker(base_seed: int, worker: int, restart: int) -> None:
    """Seeds `random`, torch and NumPy.

    Args:
        base_seed: As the loader has drawn it.
        restart: How often this worker was replaced: then its numbers are others, as it begins in
            the middle of the pass.
    """
    base_seed = (base_seed ^ (restart * _ODD)) & _POSITIVE if restart else base_seed
    seed = base_seed + worker
    random.seed(seed)
    torch.manual_seed(seed)
    np.random.seed(_utils.worker._generate_state(base_seed, worker))


def tell_dataset(worker: int, workers: int, seed: int, dataset: Any) -> None:
    """From now on `torch.utils.data.get_worker_info()` says so in this process."""
    info = _utils.worker.WorkerInfo(id=worker, num_workers=workers, seed=seed, dataset=dataset)
    _utils.worker._worker_info = info
