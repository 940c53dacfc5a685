"""What PipeLine and PipeSystem have in common before they run: segments become a checked graph."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any, Self

from minipipe.errors import reject_unknown
from minipipe.graph import Graph
from minipipe.graph.lengths import length_of
from minipipe.pipeline.build_options import checked_inline
from minipipe.pipeline.dead_letter_files import check_dead_letters
from minipipe.pipeline.observed import Observed
from minipipe.pipeline.persistent import check_persistent
from minipipe.process.logs import set_level
from minipipe.process.platforms import check_processes_work_here
from minipipe.segments.functor_code import refuse_lost
from minipipe.segments.options import check_ignored
from minipipe.segments.segment import Segment


class Buildable(Observed, ABC):
    """A pipeline that can be built, whatever it was declared as.

    Attributes:
        persistent: its workers stay for more passes over the data.
    """

    def __init__(self, *, persistent: bool = False) -> None:
        super().__init__()
        self.persistent = persistent
        self.monitor = False
        self._monitored = False
        self._inline = False
        self._ignored: tuple[type[BaseException], ...] | None = None

    @property
    @abstractmethod
    def pipes(self) -> list[Segment]:
        """All its segments."""

    def _before_run(self) -> None:
        """Brings the graph up to date with what may change between `build` and `run`."""

    @abstractmethod
    def _make_graph(self, monitor: bool) -> Graph:
        """The graph of what was declared.

        Raises:
            BuildError: it cannot run.
        """

    @abstractmethod
    def _before_build(self) -> None:
        """Forgets the last run.

        Raises:
            LifecycleError: it is on.
        """

    def build(
        self,
        log_lvl: str | int | None = None,
        monitor: bool = False,
        ignore_exceptions: Any = None,
        *,
        inline: bool | None = None,
        **unknown: Any,
    ) -> Self:
        """Checks the pipeline, starts nothing; returns it.

        Args:
            log_lvl: of the logger `minipipe`: "INFO", "WARNING", ... (default: warnings and one
                line about each run).
            monitor: logs how full all streams are, while it runs (level INFO).
            ignore_exceptions: replaces that of all segments.
            inline: run everything in this process and thread, for debugging (default: if the
                environment variable MINIPIPE_INLINE is set and not 0).  Objects are then the
                caller's own, and keep their state from pass to pass.

        Raises:
            BuildError: it cannot run as declared.
        """
        reject_unknown(unknown, ("log_lvl", "monitor", "ignore_exceptions", "inline"), "build")
        self._before_build()
        set_level(log_lvl)
        inline = checked_inline(inline)
        if not inline:
            check_processes_work_here()
        self._ignored = (
            None if ignore_exceptions is None else check_ignored(ignore_exceptions, "build")
        )
        self._inline = inline
        self._monitored = bool(monitor) or self.monitor
        graph = self._checked_graph()
        if inline:
            from minipipe.inline import tell_differences

            tell_differences(graph)
        else:
            for pipe in self.pipes:
                refuse_lost(pipe.functor_obj, pipe.where)
        return self

    def _checked_graph(self) -> Graph:
        self._graph = graph = self._make_graph(self._monitored)
        check_dead_letters(self.pipes)
        if self.persistent:
            check_persistent(graph)
        return graph

    def _build(self) -> None:
        self.build()

    @property
    def has_output(self) -> bool:
        """Whether something comes out of it that a loop reads; building first if need be."""
        if self._graph is None:
            self.build()
        assert self._graph is not None
        return self._graph.caller is not None

    def segments_by_name(self) -> dict[str, Segment]:
        """Its segments by the names that errors and `stats()` have, building first if need be.

        Raises:
            BuildError: it cannot run as declared.
        """
        if self._graph is None:
            self.build()
        assert self._graph is not None
        return {s.name: s.declared for s in self._graph.segments if s.declared is not None}

    def set_options(self, settings: Iterable[tuple[Segment, str, Any]]) -> Self:
        """Sets options of segments before a run, whatever they were declared with.

        Args:
            settings: a segment, the name of an option, and its value, for each.

        Raises:
            LifecycleError: it runs.
            OptionError: a segment has no such option, or that cannot have this value.
            BuildError: it cannot run with that.
        """
        from minipipe.segments.settings import set_option

        is_built = self._graph is not None
        self._before_build()
        for segment, option, value in settings:
            set_option(segment, option, value)
            self._was_set(segment, option)
        if is_built:
            self._checked_graph()
        return self

    def _was_set(self, segment: Segment, option: str) -> None:
        """An option holds now, wherever else it was declared."""

    def __len__(self) -> int:
        """How many items a pass gives if none is dropped, as for a progress bar (tqdm).

        Raises:
            TypeError: that is not known: the Source does not say how many it has (`length=`), or
                a segment makes any number of items of one.
        """
        graph = self._make_graph(self.monitor) if self._graph is None else self._graph
        length = length_of(graph)
        if length is None:
            raise TypeError(
                "nobody knows how many items this pipeline gives: its Source does not say how many "
                "it has (mp.Source(f, length=...) does), it ends in Sinks, or a segment makes any "
                "number of items of one"
            )
        return length

    def __bool__(self) -> bool:
        return True  # also if it gives nothing, or nobody knows how much

    @property
    def built(self) -> bool:
        return self._graph is not None
