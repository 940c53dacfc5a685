"""What a functor can ask about the worker that it runs in."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class WorkerInfo:
    """The worker that this code runs in.

    Attributes:
        segment: the segment's name.
        name: the worker's name, as in results and statistics.
        id: 0 to `num_workers` - 1, within the segment.
        num_workers: how many workers the segment has.
        seed: what `random`, NumPy and PyTorch were seeded with here; another in every worker.
        outcome: None while the run goes on; in `local_term` how it ended: "finished",
            "stopped", "interrupted" or "failed".
    """

    segment: str
    name: str
    id: int
    num_workers: int
    seed: int
    outcome: str | None = None


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
