"""Shows how far a run is, while it goes on: a live view on a terminal, else a line at times."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from minipipe.observe.progress import Progress, in_words
from minipipe.process.describe import in_a_line
from minipipe.process.logs import SUMMARY, logger
from minipipe.protocol.run.stats import RunStats

if TYPE_CHECKING:
    from minipipe.observe.live import LiveView
    from minipipe.pipeline.insight import Insight

FIRST_S = 1.0  # what is over sooner shows nothing
EVERY_S = 0.25
LINE_S = 10.0  # between lines, where there is no terminal
END_S = 2.0  # the terminal may be blocked; the run ends all the same


class ProgressThread(threading.Thread):
    """Looks at the counters a few times a second; whatever happens to it, the run goes on.

    Args:
        stats: the counters now; their state is "ended" when nothing more is to be shown.
        insight: judges them.
        live: whether there is a terminal for a view that is drawn anew all the time.
    """

    def __init__(self, stats: Callable[[], RunStats], insight: Insight, *, live: bool) -> None:
        super().__init__(name="minipipe-progress", daemon=True)
        self._stats = stats
        self._insight = insight
        self._live = live
        self._progress = Progress(insight.total)
        self._over = threading.Event()

    def end(self) -> None:
        """Takes the view away, and waits for that."""
        self._over.set()
        if self.is_alive() and threading.current_thread() is not self:
            self.join(END_S)

    def run(self) -> None:
        view = None
        try:
            view = self._view()
            wait_s = FIRST_S if view is not None else LINE_S
            while not self._over.wait(wait_s):
                stats = self._stats()
                if stats.state == "ended":
                    return
                self._show(view, stats)
                wait_s = EVERY_S if view is not None else LINE_S
        except Exception as error:  # of any kind: a closed stderr, a terminal that is gone
            logger.warning("progress is not shown any more: %s", in_a_line(error))
        finally:
            if view is not None:
                view.end()

    def _view(self) -> LiveView | None:
        if not self._live:
            return None
        try:
            from minipipe.observe.live import LiveView

            return LiveView(sys.stderr)
        except ImportError:
            return None  # lines will do

    def _show(self, view: LiveView | None, stats: RunStats) -> None:
        sight = self._progress.look(self._insight.loads(stats), stats.seconds)
        if view is None:
            logger.log(SUMMARY, "%s", in_words(sight))
        elif _has_bars():
            view.end()  # somebody draws bars of their own, and the two would not go together
        else:
            view.show(sight, str(self._insight.verdict(stats) or ""))


def progress_of(
    stats: Callable[[], RunStats], insight: Insight, wish: bool | None
) -> ProgressThread | None:
    """The thread that shows a run, if one is to.

    Args:
        wish: of the user; None: if there is a terminal to show it on.
    """
    live = _is_terminal() and not _has_bars()
    if wish is False or (wish is None and not live):
        return None
    return ProgressThread(stats, insight, live=live)


def _is_terminal() -> bool:
    """Whether stderr is one that can be drawn on."""
    try:
        return sys.stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb"
    except (AttributeError, ValueError):  # there is none, or it is closed
        return False


def _has_bars() -> bool:
    """Whether tqdm shows something."""
    tqdm = sys.modules.get("tqdm.std")
    return bool(tqdm is not None and len(getattr(tqdm.tqdm, "_instances", ())))
