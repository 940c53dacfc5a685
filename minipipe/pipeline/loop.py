"""The loop over a pipeline's output."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any

from minipipe.pipeline.execution import Execution
from minipipe.process.describe import in_a_line
from minipipe.process.logs import logger
from minipipe.protocol.delivery.delivered import Identity
from minipipe.supervisor.caller import Output


class Loop:
    """One pass over a pipeline's output; leaving it early stops the run.

    Of a persistent pipeline it ends the pass alone.

    Args:
        pipeline: what is to live as long as this; its end would be that of the run.

    Attributes:
        is_over: nothing more comes by it.
    """

    def __init__(self, execution: Execution, pipeline: object = None) -> None:
        self._execution = execution
        self._pipeline = pipeline
        self.is_over = False

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        __tracebackhide__ = True  # in a notebook, and by pytest
        if self.is_over:
            raise StopIteration
        try:
            return self._execution.take()
        except StopIteration:
            self.is_over = True
            raise

    @property
    def output(self) -> Output | None:
        """What reads the open end of the run here; None inline, where items are made on demand."""
        return getattr(self._execution, "_output", None)

    @property
    def pass_(self) -> int:
        """The number of the pass."""
        return self._execution.pass_

    @property
    def is_through(self) -> bool:
        """Whether all of the pass came by it: neither was it left, nor the run stopped."""
        return self._execution.is_through

    @property
    def last(self) -> Identity:
        """Whose the item is that was taken last, and its number; inline, nobody asks for that."""
        output = self.output
        return (0, 0) if output is None else output.taken.last(output.position)

    def close(self) -> None:
        """Stops the run, or the pass, if it has not ended; nothing more comes."""
        if self.is_over:
            return
        self.is_over = True
        failure = self._execution.leave(waits=True)
        if failure is not None:
            raise failure

    def __del__(self, is_finalizing: Callable[[], bool] = sys.is_finalizing) -> None:
        # (What the interpreter's end finds in the script has ended by then, and the modules here
        # may have nothing in them any more.)
        if self.is_over or is_finalizing():
            return
        failure = self._execution.abandon()
        if failure is not None:  # nobody may be there to catch it; close() raises it as well
            logger.error("after the loop was left, %s", in_a_line(failure))
