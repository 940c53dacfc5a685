"""Captures functors for their workers: pickled if they can be, inherited by fork if not."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from minipipe.describe import in_a_line
from minipipe.errors import StartError
from minipipe.graph import GraphSegment
from minipipe.segment import Segment
from minipipe.supervisor.functor_memory import FunctorMemory
from minipipe.supervisor.pickling import pickle_functor
from minipipe.worker.pickled_functor import PickledFunctor
from minipipe.worker.spec import Task

# One thread each where several workers of a segment share the machine: n workers with n threads
# each are slower than n with one.
BLAS_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)


@dataclass(frozen=True)
class Captured:
    """A segment's functor as it was when the run began."""

    pickled: PickledFunctor | None  # None: it has to be inherited
    payload: Task
    environment: Mapping[str, str]  # of the worker, whole
    memory: FunctorMemory | None = None  # with what is large in the pickled one
    why: str = ""  # it has to be inherited


def capture(
    segment: GraphSegment,
    declared: Segment,
    ignored: tuple[type[BaseException], ...],
    flags: Sequence[Any] = (),
    *,
    seed: int,
) -> Captured:
    """Captures the functor of `segment`.

    Args:
        seed: of the run.
        flags: the term flags of all segments; a functor that reaches one is inherited.

    Raises:
        StartError: it can neither be pickled nor inherited.
    """
    payload = Task(
        declared.functor_obj,
        declared.init_kwargs,
        ignored,
        declared.term_flag,
        getattr(declared, "epochs", 1),
        getattr(declared, "strict", True),
        declared.careful,
        declared.max_failures is not None,
        declared.dead_letter,
    )
    environment = _environment(segment, declared, seed)
    try:
        _check_globals(declared.functor_obj, flags)
        pickled, memory = pickle_functor(declared, payload)
    except Exception as error:  # whatever a __reduce__ of the user's or a library's may raise
        check_fork(declared, error)
        return Captured(None, payload, environment, why=in_a_line(error))
    return Captured(pickled, payload, environment, memory)


def _check_globals(functor: Any, flags: Sequence[Any]) -> None:
    """Raises if a global of the functor's module is one of `flags`.

    A function that can be imported is pickled as its name, and its module, imported anew by the
    worker, would have a flag of its own, which nobody ever sees.
    """
    call = getattr(functor, "run", functor)
    function = getattr(call, "func", getattr(call, "__func__", call))  # a partial, a method
    for name, value in getattr(function, "__globals__", {}).items():
        if any(value is flag for flag in flags):
            raise TypeError(f"the term flag {name!r} is shared by inheritance only")


def _environment(segment: GraphSegment, declared: Segment, seed: int) -> dict[str, str]:
    environment = dict(os.environ)
    # The hash of a text, and so the order of a set, is the same in all workers, and in a run
    # that repeats the seed.  (What the user has set comes first.)
    environment.setdefault("PYTHONHASHSEED", str(seed % 2**32))
    if segment.n_processes > 1:
        for name in BLAS_VARIABLES:
            environment.setdefault(name, "1")
    environment.update(declared.env)
    return environment


def check_fork(declared: Segment, reason: Exception | None) -> None:
    """Raises StartError if a forked worker would not work.

    Args:
        reason: why the functor has to be inherited, if that is to be said.
    """
    why = f"the functor of {declared.where} cannot be pickled"
    if reason is not None:
        why += f" ({type(reason).__name__}: {reason})"
    if sys.platform != "linux":
        raise StartError(f"{why}, and only on Linux can it be inherited by fork") from reason
    if declared.env:
        raise StartError(
            f"{why}, so its workers are forked, and env= cannot be set before their interpreter "
            "starts: make the functor picklable, or set the variables in this process"
        ) from reason
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        raise StartError(
            f"{why}, so its workers would be forked, and CUDA, which this process has "
            "initialised, does not survive that: make what it holds inside the worker "
            "(a class as functor, or local_init), or use CUDA in this process only after run()"
        ) from reason
