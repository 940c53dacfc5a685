"""Calls of a pipeline from within its own functors, where they would reach nobody."""

from __future__ import annotations

from minipipe.errors import LifecycleError
from minipipe.pipeline.execution import Execution
from minipipe.process.worker_info import get_worker_info, is_within


def check_outside(pipeline: int, execution: Execution | None, call: str) -> None:
    """Sees that a call does not come from a functor of the pipeline's own.

    A worker has a copy of what its functor refers to.  What it asked that copy for was done to
    nobody, without a word.

    Args:
        pipeline: its id, which copies of it have as well.
        execution: the pass that it knows of.
        call: what is asked for.

    Raises:
        LifecycleError: it does.
    """
    info = get_worker_info()
    if info is None:
        return
    inside = is_within(pipeline) or (execution is not None and execution.is_in_functor())
    if not inside and call == "stop()" and execution is None:
        inside = is_within()  # of a module that the worker has imported anew: it never runs here
    if inside:
        raise LifecycleError(
            f"{call} in a functor of the pipeline (worker {info.name!r}): only the process that "
            "has called run() can do that; from within, a Source ends its stream by returning, or "
            "with mp.Sentinel, an event ends a segment (set_term_flag), and any exception ends "
            "the run"
        )
