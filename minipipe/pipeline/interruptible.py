"""Waiting for a run, or a pass of it, that a signal may end early."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from minipipe.pipeline.execution import not_ended
from minipipe.pipeline.termination import Terminated
from minipipe.protocol.run.lifecycle import Outcome
from minipipe.protocol.run.stats import RunStats

if TYPE_CHECKING:
    from minipipe.supervisor.caller import Output
    from minipipe.supervisor.run import Run

Until = Callable[[float | None], bool]


class Interruptible:
    """A run, as its signals reach it.

    Attributes:
        hurried: a signal handler of the user's has ended the script.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._interrupted = self._terminated = self.hurried = False
        self._left = False  # nobody holds the loop any more
        self._stopped = False  # on somebody's wish, and without draining: nobody needs to read
        self._output: Output | None = None
        self._is_cut = False  # its pass, which is the last one then

    @property
    def is_through(self) -> bool:
        return self._output is not None and self._output.at_end and not self._is_cut

    def _cut(self) -> None:
        # Drained, it comes to an end like any other; but its Sources would have had more.
        self._is_cut = self._is_cut or self._output is None or not self._output.at_end

    def terminate(self) -> None:
        """SIGTERM: stops it; a second one does not wait for anybody."""
        self._run.stop(outcome=Outcome.INTERRUPTED, kill=self._terminated)
        self._terminated = True

    def hurry(self) -> None:
        """A signal handler of the user's ends the script: stops it, the second time at once."""
        self._run.stop(kill=self.hurried)
        self.hurried = self._stopped = True

    @property
    def outcome(self) -> str:
        return self._run.outcome.value if self._run.ended else ""

    @property
    def token(self) -> str | None:
        return self._run.token

    def stats(self) -> RunStats:
        return self._run.stats()

    def _wait(self, timeout_s: float | None, until: Until | None = None, what: str = "run") -> None:
        """Waits for the end; a Ctrl-C ends the run, a second one does not wait for anybody.

        Args:
            until: waits for so many seconds for something else than the end of the run.
            what: the name of that.
        """
        until = until or self._run.wait
        until_s = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            try:
                left_s = None if until_s is None else max(0.0, until_s - time.monotonic())
                if not until(left_s):
                    raise not_ended(what, timeout_s, self.stats())
                break
            except Terminated:
                until_s, until = None, self._run.wait  # `terminate` has stopped it
            except SystemExit:
                self.hurry()  # the script's end waits for it
                raise
            except KeyboardInterrupt:
                until_s, until = None, self._run.wait
                kill = self._interrupted or self._left
                self._run.stop(outcome=Outcome.INTERRUPTED, kill=kill)
                self._interrupted = True
        if self._run.ended:
            self._at_end()

    def _at_end(self) -> None:
        """The run has ended, and somebody knows."""
        raise NotImplementedError
