"""`PipeLine`: segments one behind the other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from minipipe.errors import BuildError, LifecycleError, OptionError, reject_unknown
from minipipe.graph import Graph, Part, line_graph
from minipipe.pipeline.persistent import checked_persistent
from minipipe.pipeline.runnable import Runnable
from minipipe.segments.broadcast import Broadcast
from minipipe.segments.legacy import segments_and_monitor
from minipipe.segments.options import check_buffer, check_processes
from minipipe.segments.segment import Segment


class PipeLine(Runnable):
    """A linear pipeline of segments, each in processes of its own.

        pline = mp.PipeLine()
        pline.add(mp.Source(loader))
        pline.add(mp.Transform(transform), n_processes=2)
        pline.add(mp.Sink(save))
        pline.build()
        pline.run()                # starts it
        results = pline.close()    # waits for its end; raises what went wrong

    Without a Sink at its end, it is read by a loop: `for item in pline:`.

    If it is persistent, its workers stay between passes over the data, until `close()`:

        pline = mp.PipeLine([mp.Source(files), mp.Transform(load, n_processes=4)], persistent=True)
        for epoch in range(10):
            for item in pline:     # one pass: the Source is iterated anew
                ...
        results = pline.close()

    Functors are made once, and `local_term` is called once, at `close()`; a Source is iterated
    again in each pass, and Regulators hear of the end of each (`EndOfStream`).  A loop that is left
    early ends its pass, and nothing else.  With a Sink at its end, each `run()` is a pass, and
    `wait()` waits for its end.  `mp.get_worker_info().pass_` is its number.

    Args:
        segments: to add, in order.
        monitor: logs how full the streams are while it runs.
        persistent: workers stay for more passes.
    """

    def __init__(
        self,
        segments: Sequence[Segment | Broadcast] = (),
        monitor: bool = False,
        *,
        persistent: bool = False,
        **unknown: Any,
    ) -> None:
        reject_unknown(unknown, ("segments", "monitor", "persistent"), "PipeLine")
        super().__init__(persistent=checked_persistent(persistent))
        segments, monitor = segments_and_monitor(segments, monitor)
        self.monitor = bool(monitor)
        if isinstance(segments, Segment | Broadcast) or not isinstance(segments, Iterable):
            raise BuildError(f"mp.PipeLine takes a list of segments, got {segments!r}")
        self._parts: list[Part] = []
        for segment in segments:
            self.add(segment)

    @property
    def segments(self) -> list[Segment | Broadcast]:
        """What was added, in order."""
        return [part.declared for part in self._parts]

    @property
    def pipes(self) -> list[Segment]:
        return list(_flat(self.segments))

    def add(
        self,
        pipe: Segment | Broadcast,
        n_processes: int | None = None,
        buffer_size: int | None = None,
        **unknown: Any,
    ) -> PipeLine:
        """Adds a segment, or a Broadcast, at the end; returns the pipeline.

        Args:
            pipe: the segment.
            n_processes: how many processes run it (default: the segment's own, 1).
            buffer_size: how many items may wait for each (default: the segment's own, automatic).

        Raises:
            LifecycleError: the pipeline is built.
            OptionError: an impossible value.
            BuildError: not a segment.
        """
        if isinstance(pipe, type) and issubclass(pipe, Segment):
            raise BuildError(f"add takes a segment, got the class: write mp.{pipe.__name__}(...)")
        if not isinstance(pipe, Segment | Broadcast):
            raise BuildError(
                f"add takes a segment, got {pipe!r}: wrap it in mp.Source, mp.Transform or mp.Sink"
            )
        reject_unknown(unknown, ("n_processes", "buffer_size"), f"add of {pipe.where}")
        if self._graph is not None:
            raise LifecycleError(
                f"the pipeline is {self._state()}, so {pipe.where} cannot be added: "
                "add all segments before build()"
            )
        if isinstance(pipe, Broadcast) and (n_processes, buffer_size) != (None, None):
            raise OptionError(
                f"a {pipe.where} runs in no process itself: give n_processes and buffer_size to "
                "the segments in it, as in mp.Broadcast([mp.Sink(train, n_processes=2), ...])"
            )
        if n_processes is not None:
            check_processes(n_processes, pipe.where)
        check_buffer(buffer_size, pipe.where)
        for segment in _flat([pipe]):
            _check_in_line(segment)
        self._parts.append(Part(pipe, n_processes, buffer_size))
        return self

    def _was_set(self, segment: Segment, option: str) -> None:
        for i, part in enumerate(self._parts):  # `add` may have been given it
            if part.declared is segment and option == "n_processes":
                self._parts[i] = replace(part, n_processes=None)
            elif part.declared is segment and option == "buffer_size":
                self._parts[i] = replace(part, buffer_size=None)

    def _make_graph(self, monitor: bool) -> Graph:
        return line_graph(self._parts, monitor=monitor)


def _flat(parts: Sequence[Segment | Broadcast]) -> Iterator[Segment]:
    for part in parts:
        if isinstance(part, Segment):
            yield part
        else:
            for _, branch in part.branches:
                yield from _flat(branch)


def _check_in_line(segment: Segment) -> None:
    streams = (*segment.upstreams, *segment.downstreams)
    if streams:
        raise BuildError(
            f"{segment.where} has streams of its own ({streams[0].name!r}), which a PipeLine "
            "makes itself: leave them away, or use mp.PipeSystem"
        )
    if segment.kind != "source":
        segment.check_call(1)
