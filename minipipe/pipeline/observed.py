"""What can be seen of a pipeline, at any time: its drawing, its counters, what limits it."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minipipe.errors import LifecycleError
from minipipe.graph import Graph
from minipipe.pipeline.execution import Execution
from minipipe.protocol.run.stats import RunStats

if TYPE_CHECKING:
    from graphviz import Digraph

    from minipipe.observe.timeline import Timeline
    from minipipe.observe.verdict import Verdict


class Observed(ABC):
    """A pipeline, as far as it is looked at."""

    def __init__(self) -> None:
        self._graph: Graph | None = None
        self._execution: Execution | None = None

    @abstractmethod
    def _build(self) -> None:
        """Builds it as it is declared, if nobody has."""

    def diagram(self, draw_streams: bool = False) -> Digraph:
        """A drawing of the pipeline, building first if need be; needs the extra `diagram`.

        Args:
            draw_streams: streams are nodes of their own.

        Raises:
            MissingExtraError: the Python package graphviz is not installed.
        """
        from minipipe.pipeline.diagram import draw

        if self._graph is None:
            self._build()
        assert self._graph is not None
        return draw(self._graph, draw_streams=draw_streams)

    @property
    def results(self) -> dict[str, Any]:
        """What `local_term` returned, by worker name; without the workers that returned None."""
        self._wait_if_left()
        return self._execution.results if self._execution is not None else {}

    @property
    def token(self) -> str | None:
        """What lets other machines join this run: `minipipe agent --join TOKEN` (it is a secret).

        None: it has not begun, or without `bind=`.
        """
        return None if self._execution is None else self._execution.token

    def stats(self) -> RunStats:
        """What every worker has done so far in this run, or did in the last one.

        Raises:
            LifecycleError: there was no run.
        """
        if self._execution is None:
            raise LifecycleError(f"stats() of a pipeline that is {self._state()}: call run() first")
        return self._execution.stats()

    def verdict(self) -> Verdict | None:
        """What limits this run so far, or has limited the last one; None: nothing, or it is too
        early to say (before half a second, or 20 items).

        Raises:
            LifecycleError: there was no run.
        """
        if self._execution is None:
            raise LifecycleError(
                f"verdict() of a pipeline that is {self._state()}: call run() first"
            )
        return self._execution.verdict()

    def timeline(self) -> Timeline | None:
        """What every worker has done when in this run so far, or in the last one; times in ns.

        None: `run(trace=...)` has not asked for it.

        Raises:
            LifecycleError: there was no run.
        """
        if self._execution is None:
            raise LifecycleError(
                f"timeline() of a pipeline that is {self._state()}: call run() first"
            )
        return self._execution.timeline()

    def report(self, path: str | os.PathLike[str]) -> Path:
        """Writes what is known of this run so far, or of the last one, to a file.

        Args:
            path: of a page (.html: the graph, by how busy each segment is; the verdict; the
                timeline, if `run(trace=...)` has asked for it; the statistics), which needs no
                network; or of a picture of the timeline (.png, .svg, .pdf; extra `viz`).

        Returns:
            The absolute path of that file.

        Raises:
            LifecycleError: there was no run; or its timeline is to be drawn, which nobody has
                asked for.
            OptionError: that is no such path, or cannot be written.
            MissingExtraError: matplotlib is not installed.
        """
        from minipipe.pipeline.report import checked, write_report

        checked(path)
        if self._execution is None or self._graph is None:
            raise LifecycleError(
                f"report() of a pipeline that is {self._state()}: call run() first"
            )
        return write_report(path, self._graph, self._execution)

    def _wait_if_left(self) -> None:
        """Waits for the end of a run whose loop was left, as that itself does not."""
        if self._execution is not None:
            self._execution.wait_if_left()

    def _running(self) -> bool:
        return self._execution is not None and not self._execution.ended

    def _state(self) -> str:
        if self._graph is None:
            return "not built"
        if self._execution is None:
            return "built"
        return "running" if self._running() else "finished"
