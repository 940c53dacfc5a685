"""What has no effect inline, in a line of the log."""

from __future__ import annotations

from collections.abc import Iterator

from minipipe.graph import Graph, GraphSegment
from minipipe.process.logs import SUMMARY, logger
from minipipe.segments.functor import is_made_in_worker


def tell_differences(graph: Graph) -> None:
    """Says, in one line, what of the declared pipeline is otherwise in processes."""
    parts = []
    for segment in graph.segments:
        words = list(_without_effect(segment))
        if words:
            listed = " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))
            assert segment.declared is not None
            kind = type(segment.declared).__name__
            parts.append(f"{listed} of {kind} {segment.name!r}")
    if parts:
        logger.log(SUMMARY, "without effect inline: %s", "; ".join(parts))
    for names in _sharing(graph):
        logger.log(
            SUMMARY,
            "inline, %s and %s have one and the same object, and what it keeps; in processes each "
            "has its own",
            ", ".join(map(repr, names[:-1])),
            repr(names[-1]),
        )


def _without_effect(segment: GraphSegment) -> Iterator[str]:
    declared = segment.declared
    if declared is None:
        return
    if segment.n_processes > 1 and segment.kind != "source":
        yield f"n_processes={segment.n_processes}"
    if segment.threads > 1:
        yield f"threads={segment.threads}"
    if declared.env:
        yield "env"
    if declared.gpus is not None:
        yield "gpus"
    if declared.on is not None:
        yield f"on={declared.on!r}"
    if declared.timeout_s is not None:
        yield f"timeout_s={declared.timeout_s:g}"
    if declared.restart:
        yield "restart=True"
    if declared.poison != "stop":
        yield f"poison={declared.poison!r}"


def _sharing(graph: Graph) -> Iterator[list[str]]:
    """The names of segments whose functor is the same object, with state of its own."""
    users: dict[int, list[str]] = {}
    for segment in graph.segments:
        declared = segment.declared
        if declared is not None and declared.shape.has_run:
            functor = declared.functor_obj
            if not is_made_in_worker(functor):
                users.setdefault(id(functor), []).append(segment.name)
    return (names for names in users.values() if len(names) > 1)
