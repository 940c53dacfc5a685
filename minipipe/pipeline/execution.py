"""One pass of a pipeline, as `PipeLine` drives it: in processes, or inline."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from minipipe.errors import LifecycleError, MiniPipeError
from minipipe.graph import Graph
from minipipe.observe.verdict import Verdict
from minipipe.protocol.delivery.delivered import Identity
from minipipe.protocol.run.beginning import Progress
from minipipe.protocol.run.stats import RunStats
from minipipe.supervisor.caller import Output

if TYPE_CHECKING:
    from minipipe.observe.timeline import Timeline


class RunTimeoutError(MiniPipeError, TimeoutError):
    """`close(timeout_s=...)` came before the run's end; the run goes on."""


class Execution(Protocol):
    """One run: of one pass, unless the pipeline is persistent."""

    began_at: float

    def start(self) -> None:
        """Begins; raises why that was not possible."""

    @property
    def is_persistent(self) -> bool:
        """Whether it is a `PassExecution`."""

    @property
    def pass_(self) -> int:
        """The number of the pass that is on, or was the last."""

    @property
    def is_through(self) -> bool:
        """Whether the loop over the output has got all of its pass, and nobody has cut that."""

    @property
    def ended(self) -> bool: ...
    @property
    def outcome(self) -> str:
        """How it has ended, a value of `Outcome`; "" before that."""

    @property
    def token(self) -> str | None:
        """What lets other machines join; None: nobody can."""

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

    def progress(self, without: Sequence[Identity] = ()) -> Progress:
        """How far the loop over the output is in its pass.

        Args:
            without: the last items that it has taken, as they are in nobody's hands yet.

        Raises:
            StateError: which items it has got cannot be told.
        """

    def is_in_functor(self) -> bool:
        """Whether the code that asks was called by a functor of this pass, in this process."""

    def stop(self, *, drain: bool, wait: bool) -> None: ...
    def stats(self) -> RunStats: ...
    def timeline(self) -> Timeline | None:
        """What every worker has done when so far; None: `trace=` has not asked for it."""

    def verdict(self) -> Verdict | None:
        """What limits it; None: nothing, or too little is known."""


class PassExecution(Execution, Protocol):
    """A run of a persistent pipeline: of as many passes as are asked for."""

    def next_pass(self, *, to_read: bool) -> None:
        """Begins a pass, when the one before has ended, whose failure this raises.

        Args:
            to_read: by a loop, which takes the pass that is on if no other loop has.

        Raises:
            LifecycleError: a pass is on that puts out items, and `to_read` is not.
        """

    def wait_pass(self, timeout_s: float | None) -> None:
        """Waits for the end of the pass; raises what went wrong."""

    def forget(self) -> None:
        """Nobody has the pipeline any more: it ends, with the pass that is on.

        From where garbage is collected, so nothing is waited for.
        """


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


def check_is_left(output: Output, *, is_stopped: bool) -> None:
    """Raises `LifecycleError` where a loop of this thread would have to read what comes."""
    if output.is_read_here and not is_stopped:
        raise LifecycleError(
            "close() while a loop over the pipeline is at work in this thread, so that "
            "nobody would read what comes: leave the loop (break), or stop(); "
            "the run was stopped"
        )


def not_ended(what: str, timeout_s: float | None, stats: RunStats) -> RunTimeoutError:
    """What to raise where somebody waits no longer for the end of a run, or of a pass."""
    again = "close()" if what == "run" else "wait()"
    return RunTimeoutError(
        f"the {what} has not ended within {timeout_s} s and goes on: call {again} "
        f"again to wait, or stop() to end it\n{stats}"
    )


def torn(by: BaseException) -> LifecycleError:
    """What to raise where an item was lost half way, as something was raised in between."""
    return LifecycleError(
        f"the run was stopped in the middle: {type(by).__name__} was raised "
        "while the loop waited for an item (by a signal handler?)"
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
