"""The loop over a pipeline's output."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from minipipe.pipeline.execution import Execution
from minipipe.process.describe import in_a_line
from minipipe.process.logs import logger


class Loop:
    """One pass over a pipeline's output; leaving it early stops the run."""

    def __init__(self, execution: Execution) -> None:
        self._execution = execution
        self._left = False

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        if self._left:
            raise StopIteration
        return self._execution.take()

    def close(self) -> None:
        """Stops the run, if it has not ended; nothing more comes."""
        self._left = True
        failure = self._execution.leave(waits=True)
        if failure is not None:
            raise failure

    def __del__(self) -> None:
        failure = self._execution.abandon()
        if failure is not None:  # nobody may be there to catch it; close() raises it as well
            logger.error("after the loop was left, %s", in_a_line(failure))
