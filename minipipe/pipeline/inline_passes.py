"""A persistent pipeline inline: pass after pass in the caller's process and thread."""

from __future__ import annotations

from typing import Any

from minipipe.errors import LifecycleError
from minipipe.pipeline.at_exit import end
from minipipe.pipeline.execution import check_end_is_read, summary
from minipipe.pipeline.inline_execution import InlineExecution
from minipipe.process.logs import SUMMARY, logger


class InlinePasses(InlineExecution):
    """In the caller's process and thread, when the caller asks; functors stay between passes."""

    is_persistent = True
    _is_read = False  # a loop has begun to read this pass
    _is_idle = False  # no pass is on

    def next_pass(self, *, to_read: bool) -> None:
        if not self._is_idle and to_read and not self._is_read:
            self._is_read = True
            return
        if not self._is_idle and not to_read and self._graph.caller is not None:
            raise LifecycleError(
                "run() while a pass is on that puts out items: read them by a loop "
                "(`for item in pline:`), which begins a pass by itself"
            )
        self.wait_pass(None)
        self._taken = self._before = 0
        self.is_through = False
        self.pass_ += 1
        self._items = self._run.steps()
        self._is_read, self._is_idle = to_read, False

    def wait_pass(self, timeout_s: float | None) -> None:
        if not self._is_idle:
            self._drive(timeout_s)
            self._is_idle = True

    def take(self) -> Any:
        try:
            return super().take()
        except StopIteration:
            self._is_idle = True
            raise

    def _tell_forgotten(self) -> None:
        if self._run.ended:
            super()._tell_forgotten()

    def leave(self, *, waits: bool = False) -> BaseException | None:
        if not self._run.ended and not self._is_idle:
            self._is_idle = True
            try:
                self._items.close()
            except Exception as error:
                if error is not self._run.failure:
                    raise
        return self._run.failure

    def forget(self) -> None:
        end(self)
        if not self._run.ended:
            self.leave()
            self._run.end()

    def close(self, timeout_s: float | None) -> dict[str, Any]:
        end(self)
        if self._run.failure is not None:
            raise self._run.failure
        if not self._run.ended:
            if not self._is_idle and self._graph.caller is not None:
                check_end_is_read(self._graph)
            self.wait_pass(timeout_s)
            self._run.end()
            self._tell_forgotten()
            logger.log(SUMMARY, "%s", summary("finished", self.stats()))
        return self.results

    def stop(self, *, drain: bool, wait: bool) -> None:
        super().stop(drain=drain and not self._is_idle, wait=wait)

    def _end(self) -> None:
        self._run.wish = "stop"
        self.leave()
        if not self._run.ended:
            self._run.end()

    def end_with_interpreter(self) -> None:
        if self._is_idle or self._graph.caller is None:
            self.close(None)
