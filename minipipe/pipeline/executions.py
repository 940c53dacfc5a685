"""Which kind of execution a run has: in processes or inline, of one pass or of many."""

from __future__ import annotations

from minipipe.errors import OptionError
from minipipe.graph import Graph
from minipipe.pipeline.execution import Execution
from minipipe.supervisor.run_options import RunOptions


def execution_of(
    graph: Graph,
    ignored: tuple[type[BaseException], ...] | None,
    options: RunOptions,
    *,
    inline: bool,
    pipeline: int,
) -> Execution:
    """An execution that is still to be started.

    Args:
        ignored: replaces what all segments ignore, if given.
        pipeline: the id of what is run.

    Raises:
        OptionError: other machines are to join a run that is inline.
    """
    # Each of them only when it is asked for: it stands on much that the other one does not need.
    if inline and options.hosting is not None:
        raise OptionError(
            f"bind={options.hosting.bind!r} of run, and the pipeline is built inline: all of it "
            "runs in this thread, so there is nothing to join; leave bind= away, or build it "
            "without inline=True (and without MINIPIPE_INLINE in the environment)"
        )
    if inline:
        from minipipe.pipeline.inline_execution import InlineExecution
        from minipipe.pipeline.inline_passes import InlinePasses

        kind = InlinePasses if options.persistent else InlineExecution
        return kind(graph, ignored, options)
    from minipipe.pipeline.persistent_execution import PersistentExecution
    from minipipe.pipeline.process_execution import ProcessExecution

    processes = PersistentExecution if options.persistent else ProcessExecution
    return processes(graph, ignored, options, pipeline=pipeline)
