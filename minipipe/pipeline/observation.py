"""All that watches one run for its user: the view of its progress, the verdict at its end."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from minipipe.errors import OptionError
from minipipe.graph import Graph
from minipipe.observe.metrics import LOOPBACK, Server, serve
from minipipe.observe.trace_wish import begin_trace_file
from minipipe.observe.verdict import Verdict
from minipipe.pipeline.execution import summary
from minipipe.pipeline.insight import Insight, segment_facts
from minipipe.pipeline.progress import progress_of
from minipipe.process.logs import SUMMARY, logger
from minipipe.protocol.run.stats import RunStats
from minipipe.supervisor.run_options import RunOptions

if TYPE_CHECKING:
    from minipipe.supervisor.run import Run


class Observation:
    """Watches one run.

    Args:
        stats: its counters now.
        options: what the user has wished to see of it.

    Raises:
        MissingExtraError: something that is wished for is not installed.
        OptionError: the port for its metrics is taken, or its trace cannot be written.
    """

    def __init__(self, graph: Graph, stats: Callable[[], RunStats], options: RunOptions) -> None:
        self._stats = stats
        self._insight = Insight(graph)
        self._view = progress_of(stats, self._insight, options.progress)
        self._server: Server | None = None
        if options.metrics_port is not None:
            has_hosts = options.hosting is not None
            self._server = serve(stats, segment_facts(graph), options.metrics_port, has_hosts)
        if isinstance(options.trace, str):
            try:
                begin_trace_file(options.trace)
            except OptionError:
                self.end()
                raise

    def begin(self) -> None:
        """All processes of the run were asked for."""
        if self._server is not None:
            logger.info("metrics: http://%s:%d/metrics", LOOPBACK, self._server.port)
        if self._view is not None:
            self._view.start()

    def end(self) -> None:
        """It is over: what is said of it from here on is about what was."""
        self._insight.end()
        if self._view is not None:
            self._view.end()
        if self._server is not None:
            server, self._server = self._server, None
            server.close()

    @property
    def metrics_port(self) -> int | None:
        """Where its metrics are served now, if they are."""
        return None if self._server is None else self._server.port

    def bulletin(self, began_at: float) -> bytes:
        """What others are told who ask how it is (`minipipe top`)."""
        from minipipe.observe.bulletin import Bulletin

        stats, insight = self._stats(), self._insight
        made = Bulletin(
            os.getpid(),
            script(),
            began_at,
            insight.facts,
            insight.total,
            stats,
            str(insight.verdict(stats) or ""),
        )
        return made.to_json()

    def tell(self, how: str) -> None:
        """Logs the end of the run: one line about it, and one about what has limited it."""
        logger.log(SUMMARY, "%s", summary(how, self._stats()))
        if (found := self.verdict()) is not None:
            logger.log(SUMMARY, "%s", found)

    def verdict(self) -> Verdict | None:
        """What limits it, or has limited it; None: nothing, or too little is known."""
        return self._insight.verdict(self._stats())


def observe(run: Run, graph: Graph, options: RunOptions) -> Observation:
    """Watches a run that is made and not started; gives it back if that cannot be.

    Raises: as `Observation` does.
    """
    try:
        observation = Observation(graph, run.stats, options)
    except BaseException:
        run.end_unstarted()
        raise
    run.enquiries.answer = partial(observation.bulletin, run.began_at)
    return observation


def script() -> str:
    """The program that this process runs: its path, or what stands for one."""
    path = getattr(sys.modules["__main__"], "__file__", None) or sys.argv[0]
    return f"python {path}".strip() if path in ("", "-c", "-m", "-") else str(path)
