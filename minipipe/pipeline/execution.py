"""One pass of a pipeline, as `PipeLine` drives it: in processes, or inline."""

from __future__ import annotations

from typing import Any, Protocol

from minipipe.errors import LifecycleError, MiniPipeError
from minipipe.graph import Graph
from minipipe.protocol.run.stats import RunStats


class RunTimeoutError(MiniPipeError, TimeoutError):
    """`close(timeout_s=...)` came before the run's end; the run goes on."""


class Execution(Protocol):
    """One pass."""

    began_at: float

    @property
    def ended(self) -> bool: ...
    @property
    def results(self) -> dict[str, Any]: ...
    def take(self) -> Any:
        """The next item of the output; StopIteration at its end; raises what went wrong."""

    def leave(self, *, waits: bool = False) -> BaseException | None:
        """The loop over the output was left early; what then failed, if anything did.

        Args:
            waits: for the end, whichever thread this is (not where garbage is collected).
        """

    def abandon(self) -> BaseException | None:
        """The same of a loop that is collected as garbage, so without waiting for anything.

        What the run then comes to, `wait_if_left` says.
        """

    def wait_if_left(self) -> None:
        """If the loop over the output was left, waits for what is still to end of it."""

    def close(self, timeout_s: float | None) -> dict[str, Any]:
        """Waits for the end; raises what went wrong; returns the results."""

    def is_in_functor(self) -> bool:
        """Whether the code that asks was called by a functor of this pass, in this process."""

    def stop(self, *, drain: bool, wait: bool) -> None: ...
    def stats(self) -> RunStats: ...


def check_has_output(graph: Graph) -> None:
    """Raises `LifecycleError` where nothing comes out of a pipeline that a loop could read."""
    if graph.caller is None:
        last = next(s for s in reversed(graph.segments) if s.kind == "sink")
        raise LifecycleError(
            f"the pipeline ends in sink {last.name!r}, so nothing comes out to iterate over: "
            "leave the Sink away, or use run() and close()"
        )


def check_end_is_read(graph: Graph) -> None:
    """Raises `LifecycleError` where nobody reads what a pipeline puts out."""
    if graph.caller is not None:
        stream = graph.streams[graph.caller.inputs[0]]
        last = graph.segments[stream.producers[0]].name
        raise LifecycleError(
            f"what {last!r} puts out has no consumer: add a Sink, or iterate over the pipeline "
            "(`for item in pline:`); the run was stopped"
        )


def summary(how: str, stats: RunStats) -> str:
    """A run in one line."""
    parts: list[str] = []
    for name in dict.fromkeys(w.segment for w in stats.workers):
        workers = stats.segment(name)
        items_in = sum(w.items_in for w in workers)
        items_out = sum(w.items_out for w in workers)
        dropped = sum(w.dropped for w in workers)
        words = [f"{items_in} in"] if items_in else []
        words += [f"{items_out} out"] if items_out else []
        words += [f"{dropped} dropped"] if dropped else []
        parts.append(f"{name} {', '.join(words) or 'no items'}")
    return f"{how} after {stats.seconds:.1f} s: {'; '.join(parts)}"
