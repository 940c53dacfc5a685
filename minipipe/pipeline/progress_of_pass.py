"""How far the loop over a run's output is in its pass."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from minipipe.errors import StateError
from minipipe.graph import Graph
from minipipe.graph.resuming import resume_plan
from minipipe.protocol.delivery.delivered import Identity
from minipipe.protocol.run.beginning import Beginning, Progress
from minipipe.supervisor.caller import Output
from minipipe.supervisor.taken import Taken

if TYPE_CHECKING:
    from minipipe.supervisor.run import Run


def taken_by(run: Run, graph: Graph, begins: Beginning) -> Taken:
    """The books of the loop over this run's output."""
    return Taken(run.name_of, begins, in_order=resume_plan(graph).in_order)


def progress_of(
    run: Run,
    output: Output | None,
    begins: Beginning,
    without: Sequence[Identity],
    is_through: bool,
) -> Progress:
    """How far the loop is.

    Args:
        without: the last items that it has taken, as they are in nobody's hands yet.
        is_through: it has taken all of its pass.

    Raises:
        StateError: which items it has got cannot be told.
    """
    pass_ = run.passes.last
    if output is None:  # it was not even started
        return Progress(begins)
    if is_through and not without:
        return Progress(Beginning(pass_=pass_), is_over=True)
    taken, position = output.taken, output.position
    if taken.is_given_up:
        raise StateError(
            "so many items were dropped, or came so far out of order, that nobody has kept which "
            "of them came: give ordered=True to the segments that have several workers"
        )
    sources = {s.name for s in run.graph.segments if s.kind == "source"}
    dropped = sum(w.dropped for w in run.stats().workers if w.segment in sources)
    return Progress(
        Beginning(
            pass_,
            taken.count(position) - len(without),
            taken.numbers(position, without),
            by_position=not dropped,
            drawn=run.seeds.drawn,
        )
    )
