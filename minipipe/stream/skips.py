"""What a worker has skipped and not reported yet: of most items no more than their number.

A functor may fail for each of a million items a second. A report of each would fill the memory of
the supervisor, which could not read them as fast as several workers write them.
"""

from __future__ import annotations

from minipipe.protocol.run.budget import LAST
from minipipe.protocol.run.thinning import Sampling
from minipipe.stream import records


class Skips:
    """Items of one worker.

    Attributes:
        ignored: which of the exceptions that are ignored are reported with their text.
        failures: which of the failures within a budget are reported with their traceback.
        waits: there is something to report.
    """

    def __init__(self) -> None:
        self.ignored = Sampling(1)
        self.failures = Sampling(LAST)
        self.waits = False
        self._ignored = 0
        self._unnumbered = 0
        self._failed: dict[tuple[int, tuple[int, ...]], list[int]] = {}

    def ignore(self) -> None:
        """One more item was skipped that the budget does not count."""
        self._ignored += 1
        self.waits = True

    def fail(self, origin: int, number: int | None, path: tuple[int, ...]) -> None:
        """One more item has failed, out of the segment's budget.

        Args:
            path: which outputs it went through.
        """
        self.waits = True
        if number is None:
            self._unnumbered += 1
            return
        runs = self._failed.setdefault((origin, path), [])
        if runs and runs[-1] == number:
            runs[-1] = number + 1
        else:
            runs += (number, number + 1)

    def take(self, text: str = "", failure: bytes = b"") -> records.Skipped:
        """All that waits, as a record for the supervisor.

        Args:
            text: what the last ignored exception said, if that is to be reported.
            failure: the last failure, as a report, likewise.
        """
        failed = [(*key, runs) for key, runs in self._failed.items()]
        record = records.Skipped(self._ignored, text, self._unnumbered, failed, failure)
        self._ignored = self._unnumbered = 0
        self._failed = {}
        self.waits = False
        return record
