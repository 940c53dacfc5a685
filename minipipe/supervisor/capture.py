"""Captures functors for their workers: pickled if they can be, inherited by fork if not."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

from minipipe.codec import registry
from minipipe.errors import StartError
from minipipe.graph import GraphSegment
from minipipe.process.describe import text_of
from minipipe.process.logs import SUMMARY, logger
from minipipe.protocol.frozen import frozen
from minipipe.segments.gpus import VARIABLE
from minipipe.segments.segment import Segment
from minipipe.segments.worker_init import WorkerInit
from minipipe.supervisor.functor_memory import HasDescriptor
from minipipe.supervisor.gpus import GpuShare
from minipipe.supervisor.pickling import pickle_functor
from minipipe.supervisor.references import unpicklable
from minipipe.supervisor.resources import MEND, Resource, resources
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


@frozen
class Captured:
    """A segment's functor as it was when the run began."""

    pickled: PickledFunctor | None  # None: it has to be inherited
    payload: Task
    environment: Mapping[str, str]  # of the workers, whole but for GPUs
    gpus: GpuShare | None = None  # whatever they see, if None
    workers: int = 1  # at the start
    memory: HasDescriptor | None = None  # with what is large in the pickled one
    why: str = ""  # it has to be inherited, in words
    resources: tuple[Resource, ...] = ()  # open files and the like, which it then shares

    def environment_of(self, index: int) -> Mapping[str, str]:
        """That of one worker, whole."""
        if self.gpus is None:
            return self.environment
        return {**self.environment, VARIABLE: self.gpus.of(index)}

    @property
    def environments(self) -> list[Mapping[str, str]]:
        """Those of all workers that there are at the start; some may be the same."""
        count = self.workers if self.gpus is not None else 1
        return [self.environment_of(index) for index in range(count)]

    @property
    def files(self) -> list[Any]:
        """Those that it writes to: flushed before a fork, and by the worker at its end."""
        return [resource.value for resource in self.resources if resource.is_written]

    @property
    def what_forks_lack(self) -> str:
        """What may be the reason why a worker has died that has inherited it."""
        return (
            f"; its workers are forked from this process, as {self.why}: what this process had "
            "running (OpenMP or numba, a thread pool) does not work in them"
        )


def capture(
    segment: GraphSegment,
    declared: Segment,
    ignored: tuple[type[BaseException], ...],
    flags: Sequence[Any] = (),
    *,
    seed: int,
    gpus: GpuShare | None = None,
    worker_init: WorkerInit | None = None,
) -> Captured:
    """Captures the functor of `segment`.

    Args:
        seed: of the run.
        flags: the term flags of all segments; a functor that reaches one is inherited.
        gpus: of its workers.
        worker_init: is called in each of them before the functor is made.

    Raises:
        StartError: it can neither be pickled nor inherited.
    """
    payload = Task(
        functor=declared.functor_obj,
        init_kwargs=declared.init_kwargs,
        ignored=ignored,
        term_flag=declared.term_flag,
        epochs=getattr(declared, "epochs", 1),
        strict=getattr(declared, "strict", True),
        read_only_functor=declared.read_only_functor,
        tolerates=declared.max_failures is not None,
        dead_letter=declared.dead_letter,
        threads=getattr(declared, "threads", 1),
        batching=declared.batching,
        worker_init=worker_init,
    )
    environment = _environment(segment, declared, seed)
    alone = Captured(None, payload, environment, gpus, segment.n_processes)
    if declared in _unloadable:
        # Tried once, in an earlier pass.
        error = _unloadable[declared]
        return inherited(alone, declared, segment.n_processes, error, "loaded")
    try:
        _check_globals(declared.functor_obj, flags)
        pickled, memory = pickle_functor(declared, payload)
    except Exception as error:  # whatever a __reduce__ of the user's or a library's may raise
        return inherited(alone, declared, segment.n_processes, error, "pickled")
    return replace(alone, pickled=pickled, memory=memory)


class _FlagError(TypeError):
    """Nothing is wrong with the functor, but it has to be inherited."""


def _check_globals(functor: Any, flags: Sequence[Any]) -> None:
    """Raises if a global of the functor's module is one of `flags`.

    A function that can be imported is pickled as its name, and its module, imported anew by the
    worker, would have a flag of its own, which nobody ever sees.
    """
    call = getattr(functor, "run", functor)
    function = getattr(call, "func", getattr(call, "__func__", call))  # a partial, a method
    for name, value in getattr(function, "__globals__", {}).items():
        if any(value is flag for flag in flags):
            raise _FlagError(f"the term flag {name!r} is shared by inheritance only")


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


def inherited(
    captured: Captured, declared: Segment, workers: int, error: BaseException, done: str
) -> Captured:
    """The same functor, to be inherited by workers that are forked from this process.

    Says so in the log, once.

    Args:
        workers: how many will inherit it.
        error: why it cannot be `done` ("pickled", or "loaded" in a worker).

    Raises:
        StartError: forked workers would not work, or share what cannot be shared.
    """
    why = f"the functor of {declared.where} cannot be {done}{_reason(captured, error, done)}"
    check_fork(declared, why, error)
    if done == "loaded":
        _unloadable[declared] = error
    found = list(resources(captured.payload))
    for resource in found:
        if resource.breaks(workers):
            raise StartError(resource.error(declared.where, workers)) from error
    if declared not in _logged:
        _logged.add(declared)
        level = logging.WARNING if found else SUMMARY
        shared = "".join(f"; {resource.warning}" for resource in found)
        logger.log(
            level,
            "%s, so its workers are forked from this process, which they see as it is now%s",
            *(why, shared),
        )
    return replace(captured, pickled=None, memory=None, why=why, resources=tuple(found))


def check_apart(captured: Iterable[Captured]) -> None:
    """Sees that no two segments inherit the same open file, or the like.

    Raises:
        StartError: two do.
    """
    owners: dict[int, tuple[Captured, Resource]] = {}
    for one in captured:
        for resource in one.resources:
            other, _ = owners.setdefault(resource.number, (one, resource))
            if other is not one:
                raise StartError(
                    f"{other.why}, and {one.why}; both refer to {resource.what}, and their "
                    f"workers, forked from this process, would take it from each other: {MEND}"
                )


_logged: WeakSet[Segment] = WeakSet()
_unloadable: WeakKeyDictionary[Segment, BaseException] = WeakKeyDictionary()


def _reason(captured: Captured, error: BaseException, done: str) -> str:
    if done == "pickled" and not isinstance(error, _FlagError):
        found = unpicklable(captured.payload)
        if found is not None:
            return f" ({found})"
    return f" ({type(error).__name__}: {text_of(error)})"


def check_fork(declared: Segment, why: str, reason: BaseException | None = None) -> None:
    """Raises StartError if a forked worker would not work.

    Args:
        why: the functor has to be inherited, in words.
        reason: the error behind that.
    """
    if sys.platform != "linux":
        raise StartError(f"{why}, and only on Linux can it be inherited by fork") from reason
    given = "env=" if declared.env else "gpus=" if declared.gpus is not None else ""
    if given:
        raise StartError(
            f"{why}, so its workers are forked, and {given} cannot be set before their interpreter "
            "starts: make the functor picklable, or set the variables in this process"
        ) from reason
    for library in registry.imported():
        obstacle = library.fork_obstacle()
        if obstacle is not None:
            raise StartError(f"{why}, so its workers would be forked, and {obstacle}") from reason
