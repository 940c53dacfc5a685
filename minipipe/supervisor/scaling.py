"""More or fewer workers for a segment of a run that is on.  Not public."""

from __future__ import annotations

from minipipe.errors import OptionError
from minipipe.graph import GraphSegment
from minipipe.protocol.run.lifecycle import ScaleAsked
from minipipe.supervisor.descriptors import check_more
from minipipe.supervisor.run import Run


def scale(run: Run, name: str, workers: int) -> None:
    """A segment is to have so many workers; does not wait.

    Raises:
        OptionError: there is no such segment, or its workers cannot join and leave.
        StartError: there are too few file descriptors for so many.
    """
    segment = next((s for s in run.graph.segments if s.name == name), None)
    if segment is None:
        known = ", ".join(repr(s.name) for s in run.graph.segments)
        raise OptionError(f"there is no segment {name!r} to scale (segments: {known})")
    why = _obstacle(segment)
    if why:
        raise OptionError(f"segment {name!r} cannot be scaled: {why}")
    if workers < 1:
        raise OptionError(f"segment {name!r} needs one worker at least, got {workers}")
    if run.is_inherited(segment.index):
        raise OptionError(
            f"segment {name!r} cannot be scaled: its functor cannot be pickled, and its workers "
            "would share what they inherit"
        )
    check_more(run.graph, segment, workers)
    run.post(ScaleAsked(segment.index, workers))


def _obstacle(segment: GraphSegment) -> str:
    """Why its workers can neither join nor leave in mid-run; nothing if they can."""
    if segment.kind != "transform":
        return f"it is a {segment.kind}, only Transforms can be"
    if segment.stateless:
        return ""
    if segment.joins:
        return "it joins streams, so it keeps state"
    if segment.in_loop:
        return "it is in a loop, so it keeps state"
    if segment.flagged:
        return "it has a term flag, so it keeps state"
    return "it keeps state (restart=True says that each item stands alone for it)"
