"""The loader's workers: a pipeline of nothing but a Source, whose workers are told what to yield.

They stay from pass to pass. The graph has no join, no Transform and no order of its own: what comes
next is for `dealing` to know.
"""

from __future__ import annotations

import os
from typing import Any

from minipipe.errors import LifecycleError
from minipipe.graph import Graph
from minipipe.graph.parts import GraphSegment, GraphStream
from minipipe.pipeline.loop import Loop
from minipipe.pipeline.runnable import Runnable
from minipipe.segments.kinds import Source
from minipipe.segments.segment import Segment
from minipipe.torch.datasets.channel import Switchboard
from minipipe.torch.datasets.deadline import Deadline
from minipipe.torch.datasets.fetching import Manner
from minipipe.torch.datasets.orders import Answer, Begin, Fetch, Rest
from minipipe.torch.datasets.worker import Loaded, LoaderWorker

NAME = "loader worker"


class _Fan(Runnable):
    """Several workers of a Source, and the caller's loop, which takes from all of them.

    Args:
        window: How many answers of each worker may wait for the loop.
    """

    def __init__(self, source: Source, window: int) -> None:
        super().__init__()
        self._source = source
        self._window = window

    @property
    def pipes(self) -> list[Segment]:
        return [self._source]

    def _make_graph(self, monitor: bool) -> Graph:
        source, workers = self._source, self._source.n_processes
        made = GraphSegment(0, source.name, source.kind, source, workers, None, (), (0,))
        window = self._window * workers
        caller = GraphSegment(1, "(caller)", "caller", None, 1, window, (0,), ())
        return Graph((made, caller), (GraphStream(0, "batches", (0,), (1,)),))

    @property
    def runs(self) -> bool:
        return self._running()


class LoaderWorkers:
    """The workers, and how they are reached.

    Args:
        count: How many.
        manner: How they make batches.
        prefetch: How many batches each may have ahead of the loop.
        inherited: The dataset and what goes with it, if it cannot travel.
        names: Modules that it needs.
    """

    def __init__(
        self,
        count: int,
        manner: Manner,
        prefetch: int,
        inherited: Loaded | None,
        names: tuple[Any, ...],
    ) -> None:
        self._pid = os.getpid()
        self._count = count
        self._board = Switchboard(count)
        self._functor = LoaderWorker(self._board.address, manner, inherited, names)
        # No worker is asked for more than `prefetch`: nobody is to wait for credit as well, nor to
        # be blocked by what came too late of a pass that was left.
        self._fan = _Fan(Source(self._functor, NAME, n_processes=count), 4 * prefetch + 4)
        self._loop: Loop | None = None

    def start(self) -> None:
        """Starts them; returns when all are there.

        Raises:
            Exception: Why they cannot be started.
        """
        self._fan.build(inline=False)
        self._loop = iter(self._fan)
        try:
            self._board.connect(self._check)
        except BaseException:
            self.close()
            raise

    def start_again(self, inherited: Loaded) -> None:
        """Ends them, and starts others that inherit the dataset as it is now."""
        loop, self._loop = self._loop, None
        self._board.hang_up()
        if loop is not None:
            loop.close()
        self._functor.inherited = inherited
        self.start()

    def _check(self) -> None:
        if not self._fan.runs:
            self.take()  # raises what has ended it

    def begin(self, order: Begin, descriptor: int | None) -> None:
        """All of them begin a pass."""
        for worker in range(self._count):
            self._board.send(worker, order, descriptor)

    def fetch(self, worker: int, order: Fetch) -> None:
        """One of them is to make a batch."""
        self._board.send(worker, order)

    def rest(self, pass_: int) -> None:
        """The pass is over, or was left: what was asked for and not begun is not made."""
        if self.is_ours:
            for worker in range(self._count):
                self._board.send(worker, Rest(pass_))

    def take(self, deadline: Deadline | None = None) -> Answer:
        """Returns the next answer of any of them.

        Raises:
            Exception: What has ended their run.
        """
        assert self._loop is not None
        try:
            if deadline is None:
                return Answer._make(next(self._loop))
            with deadline:
                return Answer._make(next(self._loop))
        except StopIteration:
            if deadline is not None and deadline.has_passed:
                raise TimeoutError from None
            raise LifecycleError("the workers of the loader were stopped from outside") from None

    def at(self, worker: int) -> int | None:
        """The number of the batch that a worker is at, or was when it died."""
        return self._board.at(worker)

    @property
    def has_answer(self) -> bool:
        """Whether an answer has come, so that `take` does not wait."""
        output: Any = getattr(self._loop, "output", None)
        return output is not None and bool(output.is_ready)

    def keep_private(self) -> None:
        """What comes from now on lies in private mappings (`supervisor.caller`)."""
        output: Any = getattr(self._loop, "output", None)
        if output is not None:
            output.keep_private()

    def stop(self) -> None:
        """Ends their run, from any thread, without waiting for it."""
        self._fan.stop()

    @property
    def is_ours(self) -> bool:
        """Whether this process has them, and not one that was forked from it."""
        return self._pid == os.getpid()

    @property
    def runs(self) -> bool:
        """Whether they are at work, or wait for some."""
        return self.is_ours and self._loop is not None and self._fan.runs

    def close(self) -> None:
        """Ends them, and waits for that. May be called again."""
        loop, self._loop = self._loop, None
        if not self.is_ours:
            return
        self._board.close()
        if loop is not None:
            loop.close()

    def __del__(self) -> None:
        if hasattr(self, "_board") and self.is_ours:
            self._board.close()  # and the loop, which nobody holds any more, stops its run
