"""What PipeLine and PipeSystem have in common about states: where a loop is, and going on."""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from minipipe.graph import Graph
from minipipe.pipeline.buildable import Buildable
from minipipe.protocol.delivery.delivered import Identity
from minipipe.protocol.run.beginning import Beginning, Progress
from minipipe.supervisor.run_options import RunOptions


class Resumable(Buildable):
    """A pipeline with a state."""

    def __init__(self, *, persistent: bool = False) -> None:
        super().__init__(persistent=persistent)
        self._options: RunOptions | None = None  # of the run
        self._resumed: dict[str, Any] | None = None  # the state that the next run goes on from

    @abstractmethod
    def _check_not_running(self, call: str) -> None:
        """Raises `LifecycleError` if it runs."""

    def state_dict(self, *, ahead: Sequence[Identity] = ()) -> dict[str, Any]:
        """Returns where the loop over this pipeline is: the pass, the items that it got, the seed.

        Plain values, for `torch.save`, pickle or JSON.  What was made and not delivered is not
        among it.  A pass that was left early, or stopped, is under way still, until the next one
        begins.  To be called by the thread that reads, between two items.

        Args:
            ahead: for loaders: the last items that were taken, and are in nobody's hands yet.

        Raises:
            StateError: the loop is in the middle of a pass, and no run could go on there: without a
                seed, with a Sink, or where a segment with state takes what comes in an order that
                is a matter of timing.  It says what to do.
        """
        from minipipe.pipeline.state import from_dict, to_dict

        graph = self._built_graph()
        seed = None if self._options is None else self._options.seed
        if self._resumed is not None:
            begins, seed = from_dict(self._resumed, graph, inline=self._inline)
            progress = Progress(begins)
        elif self._execution is None:
            progress = Progress(Beginning())
        else:
            progress = self._execution.progress(ahead)
            if progress.is_over:
                goes_on = self.persistent and self._running()
                next_pass = progress.at.pass_ + 1 if goes_on else 0
                progress = Progress(Beginning(next_pass), is_over=True)
        return to_dict(graph, progress, seed, inline=self._inline)

    def load_state_dict(self, state_dict: dict[str, Any], *, seed: int | None = None) -> None:
        """The next run goes on where the one of this state was, with the same seed.

        Nothing that was delivered comes again, and what comes has the random numbers that it would
        have had.  Sources go past what was delivered by its position, where they have one
        (sequences, `mp.Files` and the like), else by yielding it: no Transform sees it.  Only
        where a segment with state is in between, all is done once more, up to the loop.

        Args:
            seed: for loaders: the one that the next run will have, if that is known.

        Raises:
            LifecycleError: it runs.
            StateError: it is no state, not all of one, or that of another pipeline, or seed; both
                sides are named, and nothing has changed.
        """
        from minipipe.pipeline.state import from_dict, seed_of

        self._wait_if_left()
        self._check_not_running("load_state_dict()")
        state = copy.deepcopy(state_dict)
        begins, known = from_dict(state, self._built_graph(), inline=self._inline)
        if known is not None or begins != Beginning():  # that of a new one goes with any seed
            seed_of(seed, known)
        self._resumed = state

    def begin_at(self, pass_: int) -> None:
        """For loaders: the next run begins with the pass of this number."""
        from minipipe.pipeline.state import to_dict

        progress = Progress(Beginning(pass_))
        self._resumed = to_dict(self._built_graph(), progress, None, inline=self._inline)

    def _built_graph(self) -> Graph:
        if self._graph is None:
            self._build()
        assert self._graph is not None
        return self._graph

    def _going_on(self, options: RunOptions) -> RunOptions:
        """The options of a run that goes on from a state, if there is one.

        Raises:
            StateError: it cannot, with these.
        """
        if self._resumed is None:
            return options
        from minipipe.pipeline.state import from_dict, seed_of

        begins, seed = from_dict(self._resumed, self._built_graph(), inline=self._inline)
        if begins.delivered or (self.persistent and seed is not None):
            options = replace(options, seed=seed_of(options.seed, seed))
        return replace(options, begins=begins)
