"""More or fewer workers for a segment of a run that is on.  Not public."""

from __future__ import annotations

from minipipe.errors import OptionError
from minipipe.protocol.run.lifecycle import ScaleAsked
from minipipe.supervisor.descriptors import check_more
from minipipe.supervisor.moving import why_fixed
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
    why = why_fixed(segment)
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
