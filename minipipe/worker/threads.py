"""Threads that call a functor, several items at once; what comes of the calls, one by one."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from minipipe.process.seeds import Randomness, current, use_in_thread
from minipipe.protocol.delivery.paths import Leaf
from minipipe.protocol.run.vital_signs import Activity
from minipipe.stream.under_way import CallTable
from minipipe.worker.functor_runner import FunctorRunner
from minipipe.worker.hooks import Hook, hooks_of
from minipipe.worker.spec import Task, WorkerSpec
from minipipe.worker.trace import thread_traces

if TYPE_CHECKING:
    from minipipe.observe.span_buffer import SpanBuffer


class Call:
    """One call of the functor.

    Attributes:
        about: whatever its maker wants to know of it.
        leaf: the identity of the item.
        result, error: what it came to; the error None if it has returned.
        took_s: how long it took.
        is_second: it is a second try.
    """

    __slots__ = ("about", "error", "function", "is_second", "item", "leaf", "result", "took_s")

    def __init__(self, function: Callable[..., Any], item: Any, leaf: Leaf, about: Any) -> None:
        self.function = function
        self.item = item
        self.leaf = leaf
        self.about = about
        self.result: Any = None
        self.error: BaseException | None = None
        self.took_s = 0.0
        self.is_second = False


def call_threads(runner: FunctorRunner, task: Task, spec: WorkerSpec) -> CallThreads:
    """The threads of a worker, which its node hears of."""
    node = runner.node
    node.page.threads = task.threads
    made = CallThreads(
        task.threads,
        node.page.table,
        hooks_of(spec),
        current(),
        runner.leave_if_forked,
        thread_traces(spec, node, task.threads),
    )
    node.reception.wakers = made.filenos
    return made


class CallThreads:
    """The threads of one worker.

    Args:
        count: how many.
        table: where they show what they are at.
        hooks: what is done around each call.
        randomness: that of the worker.
        forked: what to do with an error that comes out of a functor in a child that it forked.
        spans: where each of them writes down its calls, if anybody wants to know.
    """

    def __init__(
        self,
        count: int,
        table: CallTable,
        hooks: Sequence[Hook],
        randomness: Randomness,
        forked: Callable[[BaseException], None],
        spans: Sequence[SpanBuffer] = (),
    ) -> None:
        self._spans = spans
        self._table = table
        self._hooks = hooks
        self._forked = forked
        self._todo: SimpleQueue[Call | None] = SimpleQueue()
        self._finished: list[Call] = []
        self._lock = threading.Lock()  # over these, and the byte in the pipe
        self._calls = 0
        self._reader, self._writer = os.pipe()
        self._threads = [
            threading.Thread(
                target=self._serve,
                args=(place, randomness.of_thread(place)),
                name=f"minipipe-call-{place}",
                daemon=True,  # at a stop nobody waits for what they are at
            )
            for place in range(count)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def filenos(self) -> tuple[int, ...]:
        """What is readable when a call has come back."""
        return (self._reader,)

    @property
    def has_finished(self) -> bool:
        """Whether a call has come back that was not taken yet."""
        return bool(self._finished)

    def begin(self, call: Call) -> None:
        """Has it called, by the next thread that is free."""
        self._todo.put(call)

    def take(self) -> list[Call]:
        """The calls that have come back."""
        with self._lock:
            taken, self._finished = self._finished, []
            if taken:
                os.read(self._reader, 1)
        return taken

    def close(self) -> None:
        """Ends the threads, as they come back."""
        for _ in self._threads:
            self._todo.put(None)

    def _serve(self, place: int, randomness: Randomness) -> None:
        use_in_thread(randomness)
        pid, ident = os.getpid(), threading.get_ident()
        while (call := self._todo.get()) is not None:
            began_ns = time.monotonic_ns()
            self._calls += 1  # two threads may get the same number: for a look, not for the books
            about = {"call": self._calls, "began_ns": began_ns, "thread": ident}
            self._table.enter(place, call.leaf, **about)
            try:
                self._run(call)
            except BaseException as error:
                call.error = error
                self._forked(error)
            if os.getpid() != pid:
                os._exit(0)  # a child that the functor has forked: it is no worker
            self._table.leave(place)
            ended_ns = time.monotonic_ns()
            call.took_s = (ended_ns - began_ns) / 1e9
            if self._spans:
                origin, number, _ = call.leaf
                self._spans[place].add(Activity.BUSY, began_ns, ended_ns, number + 1, origin)
            with self._lock:
                # A byte is there if, and only if, a call is: one too many, and whoever waits would
                # find it readable, and no call, again and again.
                if not self._finished:
                    os.write(self._writer, b"\0")
                self._finished.append(call)
            call = None  # what it holds is not kept until the next one

    def _run(self, call: Call) -> None:
        origin, number, path = call.leaf
        for hook in self._hooks:
            hook.before(origin, number, path)
        try:
            call.result = call.function(call.item)
        finally:
            for hook in self._hooks:
                hook.after(origin, number, path)
