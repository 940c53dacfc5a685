"""What a functor can ask about the worker that it runs in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass
class WorkerInfo:
    """The worker that this code runs in.

    Attributes:
        segment: the segment's name.
        name: the worker's name, as in results and statistics.
        id: 0 to `num_workers` - 1, within the segment.
        num_workers: how many workers the segment has.
        seed: what `random`, NumPy and PyTorch were seeded with here; another in every worker.
        common_seed: the same in all workers of the segment, also in one that takes the place of
            a dead one; another in every run, unless `run(seed=)` was given.
        epoch: of a Source with `epochs=`, how often it has been gone through before, in this pass.
        outcome: None while the run goes on; in `local_term` how it ended: "finished",
            "stopped", "interrupted" or "failed".
        pass_: which pass over the data it is at, from 0 (more than one only in a persistent
            pipeline): that of the item at hand; at the start and in `local_term` the last one.
    """

    segment: str
    name: str
    id: int
    num_workers: int
    seed: int
    common_seed: int = 0
    epoch: int = 0
    outcome: str | None = None
    pass_: int = 0

    def __post_init__(self) -> None:
        self._is_draining: Callable[[], bool] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_is_draining": None}  # of this process alone

    @property
    def draining(self) -> bool:
        """Whether a Source is to yield no more (`stop(drain=True)`; inline, any stop).

        For one that waits for something that may never come; it is asked before each item anyway.
        """
        return self._is_draining is not None and self._is_draining()

    def drain_if(self, is_draining: Callable[[], bool]) -> None:
        """From now on `draining` is what this gives; MiniPipe's own."""
        self._is_draining = is_draining


_current: WorkerInfo | None = None


def get_worker_info() -> WorkerInfo | None:
    """The current worker, or None outside of one (in the caller's own process)."""
    return _current


_within: set[int] = set()


def enter_pipeline(pipeline: int) -> None:
    """This process is a worker of the pipeline with this id (a forked one: of others, too)."""
    _within.add(pipeline)


def is_within(pipeline: int | None = None) -> bool:
    """Whether this process is a worker of this pipeline; None: of any."""
    return bool(_within) if pipeline is None else pipeline in _within


def set_worker_info(info: WorkerInfo | None) -> None:
    """What `get_worker_info` gives from now on in this process."""
    global _current
    _current = info
