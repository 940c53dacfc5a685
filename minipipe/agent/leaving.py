"""When an agent that was told to leave does so: in good order, or at once."""

from __future__ import annotations

import logging

logger = logging.getLogger("minipipe")

ONCE_S = 0.5  # what comes within this is one signal: some send it to a process and to its group
# A run that is out of reach can take nothing over: who would wait for it is killed, after 30 s by
# Kubernetes, without having ended its workers.
OUT_OF_REACH_S = 5.0


class Leaving:
    """What is wished, and what the run has said to it.

    Attributes:
        why: it is wished; "": it is not.
        has_asked: the run knows.
        may: the run has said that nobody comes any more.
    """

    def __init__(self) -> None:
        self.why = ""
        self.has_asked = self.may = False
        self._since_s = 0.0
        self._out_since_s: float | None = None

    def wish(self, why: str, now_s: float) -> bool:
        """It is to leave; True: at once, as that was said before."""
        if not self.why:
            self.why, self._since_s = why, now_s
            return False
        return now_s - self._since_s >= ONCE_S

    def asks(self, workers: int) -> bool:
        """Whether the run is to be told, which was not done yet."""
        if self.has_asked:
            return False
        self.has_asked = True
        if workers:
            logger.warning(
                "%s: it leaves when its workers (%d) go on elsewhere, or have ended; once more, "
                "and it leaves at once",
                *(self.why, workers),
            )
        return True

    def is_due(self, now_s: float, *, stays: bool, is_connected: bool) -> bool:
        """Whether it goes now.

        Args:
            stays: it still has workers, or something of theirs is on its way to another agent.
            is_connected: to the run.
        """
        if is_connected:
            self._out_since_s = None
            return self.may and not stays
        if self._out_since_s is None:
            self._out_since_s = now_s
        return now_s - self._out_since_s >= OUT_OF_REACH_S
