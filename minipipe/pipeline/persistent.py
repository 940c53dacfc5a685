"""What is otherwise for persistent pipelines: which graphs can be, options, whose a run is."""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from typing import Any, cast

from minipipe.errors import BuildError, LifecycleError, OptionError
from minipipe.graph import Graph
from minipipe.pipeline.execution import Execution, PassExecution
from minipipe.segments.streams import Stream
from minipipe.supervisor.run_options import RUN_OPTIONS, RunOptions


def end_with(pipeline: object, execution: Execution) -> None:
    """A persistent run, whose workers would wait for ever, ends with its pipeline."""
    if execution.is_persistent:
        forget = cast("PassExecution", execution).forget
        weakref.finalize(pipeline, forget).atexit = False  # the interpreter's end looks after it


def check_same(first: RunOptions | None, options: RunOptions, defaults: RunOptions) -> None:
    """Sees that a later pass asks for nothing else than the first one did.

    Raises:
        LifecycleError: it does.
    """
    assert first is not None
    for name in RUN_OPTIONS:
        given, had = options.value(name), first.value(name)
        if given not in (had, defaults.value(name)):
            raise LifecycleError(
                f"run({name}={given!r}) of a persistent pipeline that runs with {name}={had!r}: "
                "its workers stay as they are, so call close() first"
            )


INSTEAD = "leave persistent=True away: then each run starts its workers anew"


def check_unseeded(streams: Iterable[Stream]) -> None:
    """Sees that no stream begins with items of its own, which would come in one pass only.

    Raises:
        BuildError: one does.
    """
    for stream in streams:
        if stream.seeds:
            raise BuildError(
                f"persistent=True with a stream that was seeded ({stream.name!r}), as what it was "
                f"seeded with comes once: let a Source yield it, or {INSTEAD}"
            )


def checked_persistent(persistent: Any) -> bool:
    """Whether workers stay between passes.

    Raises:
        OptionError: it is something else.
    """
    if not isinstance(persistent, bool):
        raise OptionError(f"persistent is True or False, got {persistent!r}")
    return persistent


def check_persistent(graph: Graph) -> None:
    """Sees that each pass of a graph has an end, after which another one can begin.

    Raises:
        BuildError: it has a loop, or a segment that ends for good by a flag.
    """
    instead = INSTEAD
    for loop in graph.loops.members:
        names = ", ".join(repr(graph.segments[i].name) for i in sorted(loop))
        raise BuildError(f"persistent=True with a loop (of {names}), which cannot be: {instead}")
    for segment in graph.segments:
        declared = segment.declared
        if declared is None:
            continue
        if declared.term_flag is not None and segment.kind != "source":
            raise BuildError(
                f"persistent=True with a term flag of {declared.where}, which would end it for "
                f"good: set one of the Source, or {instead}"
            )
