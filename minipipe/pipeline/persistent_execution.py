"""A persistent pipeline in worker processes: pass after pass with the same workers."""

from __future__ import annotations

from typing import Any

from minipipe.errors import LifecycleError
from minipipe.pipeline.at_exit import died_of, note_left
from minipipe.pipeline.execution import check_end_is_read
from minipipe.pipeline.process_execution import ProcessExecution

PASS = "pass"


class PersistentExecution(ProcessExecution):
    """In worker processes that stay between passes, until `close` or `stop`."""

    is_persistent = True
    _is_read = False  # a loop has begun to read this pass

    @property
    def _is_idle(self) -> bool:
        """Whether no pass is on."""
        return self._run.passes.is_over

    def next_pass(self, *, to_read: bool) -> None:
        if not self._is_idle and to_read and not self._is_read:
            self._is_read = True
            return
        if not self._is_idle and not to_read and self._output is not None:
            raise LifecycleError(
                "run() while a pass is on that puts out items: read them by a loop "
                "(`for item in pline:`), which begins a pass by itself"
            )
        self.wait_pass(None)
        self._is_read = to_read
        if self._output is not None:
            self._output.begin(self._run.passes.last + 1)
        self._run.passes.ask()

    def wait_pass(self, timeout_s: float | None) -> None:
        if self._output is not None and not self._is_idle and not self._is_read:
            check_end_is_read(self._graph)
        self._wait(timeout_s, self._run.passes.wait, PASS)
        if self.ended:
            self._raise()

    # ---------------------------------------------------------------- reading
    def _wait_at_end(self) -> None:
        self._wait(None, self._run.passes.wait, PASS)

    def leave(self, *, waits: bool = False) -> BaseException | None:
        self.abandon()
        if waits:
            self._run.passes.wait()
        return self._run.failure if self.ended else None

    def abandon(self) -> BaseException | None:
        if self._is_ours and not self._is_idle:
            if self._output is not None:
                self._output.exhausted = True
            self._run.passes.leave()
            note_left(self._interrupted_line)
        return None

    def line_between_passes(self) -> str | None:
        return self._interrupted_line() if self._is_idle and not self.ended else None

    def forget(self) -> None:
        if self._is_ours and not self.ended:
            self._left = True
            if self._output is not None and not self._is_idle:
                self.stop(drain=False, wait=False)
            else:
                self._run.passes.no_more()

    # ---------------------------------------------------------------- the end
    def close(self, timeout_s: float | None) -> dict[str, Any]:
        if self._is_ours and not self.ended:
            self._run.passes.no_more()
        return super().close(timeout_s)

    def _check_is_read(self) -> None:
        if self._is_idle:
            return
        if not self._is_read:
            check_end_is_read(self._graph)
        elif self._readers:
            super()._check_is_read()

    def end_with_interpreter(self) -> None:
        if self._is_ours and died_of() is None and (self._is_idle or self._output is None):
            self._run.passes.no_more()
            if self._output is not None:
                self._output.readers.clear()  # nobody need read what comes: nothing does
        super().end_with_interpreter()
