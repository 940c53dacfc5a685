"""The end of `with pline:`, by itself or by an exception."""

from __future__ import annotations

import weakref

from minipipe.pipeline.execution import Execution
from minipipe.pipeline.loop import Loop


def end_of_block(
    execution: Execution, made: weakref.ref[Loop] | None, error: BaseException | None
) -> None:
    """Closes the run, or stops it if somebody has left it.

    Args:
        made: the loop over the output, if there was one, and as long as somebody holds it.
        error: what the block was left by.
    """
    loop = None if made is None else made()
    if execution.is_persistent:
        if error is not None:
            execution.abandon()
            execution.stop(drain=False, wait=True)
            return
        if loop is not None:
            loop.close()
        execution.close(None)
    elif error is not None:
        execution.leave()
    elif loop is not None and not execution.ended:
        failure = execution.leave()
        if failure is not None:
            raise failure
    elif loop is None and made is not None:
        execution.wait_if_left()
        if execution.ended:  # a loop that ran out has closed, one left early has stopped
            execution.close(None)
    else:
        execution.close(None)
