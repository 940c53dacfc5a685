"""One run: its processes, from the first to the last.

Its thread, the conductor, waits for what happens, asks `protocol.run.lifecycle`, and does that.
"""

from __future__ import annotations

import random
import threading
import time
from contextlib import ExitStack
from typing import Any

from minipipe.graph import Graph
from minipipe.process.importing import travel_by_value
from minipipe.process.standard_streams import keep_their_numbers
from minipipe.protocol.delivery.paths import Outputs
from minipipe.protocol.item_seeds import RunSeeds
from minipipe.protocol.run import lifecycle as life
from minipipe.protocol.run.stats import RunStats
from minipipe.stream import Node
from minipipe.supervisor.caller_node import close_caller, join_in, node_of_caller
from minipipe.supervisor.capturing import capture_all
from minipipe.supervisor.conductor import Conductor
from minipipe.supervisor.descriptors import check_descriptors
from minipipe.supervisor.effects import Effects
from minipipe.supervisor.enquiries import Enquiries
from minipipe.supervisor.item_names import item_of
from minipipe.supervisor.monitor import Monitor
from minipipe.supervisor.observers import tracing_of
from minipipe.supervisor.opening import let_others_join
from minipipe.supervisor.output import OutputPump
from minipipe.supervisor.passes import Passes
from minipipe.supervisor.preloading import check_found
from minipipe.supervisor.processes import WorkerProcesses
from minipipe.supervisor.run_log import RunLog
from minipipe.supervisor.run_options import RunOptions
from minipipe.supervisor.rundir import DirectoryWatch, RunDirectory
from minipipe.supervisor.shared_limit import shared_limit_bytes
from minipipe.supervisor.wake import Wake
from minipipe.supervisor.watchdog import Watchdog
from minipipe.supervisor.worker_messages import WorkerMessages
from minipipe.transport import NATIVE, Transport, open_transport
from minipipe.worker.service_thread import ServiceThread

OUTPUT_S = 2.0  # the caller's stdout may be blocked; the run ends all the same
PHASES = ("starting", "starting", "running", "done", "gone")


class Run:
    """One pass of a pipeline through its processes.

    Args:
        graph: what to run.
        options: what the user has wished.
        ignore_exceptions: replaces that of all segments, if given.
        pipeline: the id of what is run.

    Raises:
        StartError: a functor can neither be pickled nor inherited, or descriptors are too few.
    """

    def __init__(
        self,
        graph: Graph,
        options: RunOptions,
        *,
        ignore_exceptions: tuple[type[BaseException], ...] | None,
        pipeline: int = 0,
    ) -> None:
        self.graph = graph
        self.failure: BaseException | None = None
        self.outcome = life.Outcome.FAILED
        self.began_at = time.time()
        self.caller: Node | None = None
        self.token: str | None = None  # by which other machines join
        self._began_s, self._took_s = time.monotonic(), 0.0
        self._start_error: BaseException | None = None
        self._ended = threading.Event()
        keep_their_numbers()
        check_descriptors(graph)
        check_found(options.preload or ())
        travel_by_value()
        drawn = random.SystemRandom().getrandbits(32)
        self.seeds = seeds = RunSeeds(options.seed, options.begins.drawn_or(drawn))
        captured = capture_all(graph, options, ignore_exceptions, seeds)
        self._id = random.SystemRandom().getrandbits(62)
        self.tracing = tracing_of(graph, options.trace)
        with ExitStack() as undo:
            shared_bytes = shared_limit_bytes(options.shared_bytes)
            about = (graph, captured, seeds, shared_bytes, pipeline, options, self.tracing)
            self._make(undo, graph, WorkerProcesses(*about), options)
            undo.pop_all()

    def _make(
        self, undo: ExitStack, graph: Graph, processes: WorkerProcesses, options: RunOptions
    ) -> None:
        """Makes what it consists of; `undo`: gives back what was made, if the rest is not."""
        self._processes = processes
        undo.callback(self._close_handles)
        undo.callback(processes.end)
        watchdog = Watchdog(self._processes)
        self._effects = effects = Effects(self._id, self._processes, watchdog)
        about = (self._id, graph, self._processes, effects.connect, effects.letters)
        effects.messages = messages = WorkerMessages(*about)
        self._lifecycle = life.Lifecycle(
            [handle.member for handle in self._processes.handles.values()],
            grace_s=options.grace_s,
            is_persistent=options.persistent,
            first_pass=options.begins.pass_,
        )
        self.passes = Passes(self.post, options.begins.pass_)
        self.service_thread: ServiceThread | None = None
        self._transport: Transport | None = None
        self._pump = OutputPump(lambda error: self.post(life.Broke(error)))
        undo.callback(self._pump.end, 0.0)
        self._wake = Wake()
        undo.callback(self._wake.close)
        self.enquiries = Enquiries()
        self._conductor = Conductor(
            lifecycle=self._lifecycle,
            processes=self._processes,
            effects=self._effects,
            messages=messages,
            watchdog=watchdog,
            observers=[
                RunLog(graph, self._processes, options.grace_s),
                Monitor(graph, self._processes, self._lifecycle),
                *((self.passes,) if self.tracing is None else (self.passes, self.tracing)),
            ],
            enquiries=self.enquiries,
            wake=self._wake.fd,
        )
        self._thread = threading.Thread(target=self._conduct, name="minipipe-run", daemon=True)

    # ------------------------------------------------------- the caller's side
    def start(self) -> None:
        """Starts it; returns when every worker's process was asked for.

        Raises:
            StartError, TransportError: that was not possible; nothing is left.
        """
        self._thread.start()
        self._effects.launched.wait()
        if self._start_error is not None:
            self.wait()
            raise self._start_error

    def end_unstarted(self) -> None:
        """Ends it, if its thread could not be started: nobody else would."""
        if not self.ended and self._thread not in threading.enumerate():
            self._end(None)

    @property
    def own(self) -> tuple[threading.Thread, ...]:
        """The threads that make the run end: they must never wait for that."""
        return tuple(t for t in (self._thread, self._pump, self.service_thread) if t is not None)

    @property
    def ended(self) -> bool:
        return self._ended.is_set()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Waits for the end of everything; False if `timeout_s` came first."""
        try:
            return self._ended.wait(timeout_s)
        except RuntimeError as error:
            # A signal's exception came amid the condition's own clean-up, which then hides it.
            if isinstance(error.__context__, KeyboardInterrupt | SystemExit):
                raise error.__context__ from None
            raise

    def stop(
        self,
        *,
        drain: bool = False,
        outcome: life.Outcome = life.Outcome.STOPPED,
        kill: bool = False,
        cause: BaseException | None = None,
    ) -> None:
        """Wishes for the end; does not wait.  Any thread, also a signal handler."""
        self.post(life.StopAsked(drain, outcome, cause, kill))

    def post(self, event: life.Event) -> None:
        """Hands an event to the conductor.  Any thread, also a signal handler."""
        self._conductor.posted.append(event)
        self._wake.wake()

    def is_inherited(self, segment: int) -> bool:
        """Whether a segment's workers have its functor by fork from this process."""
        return self._processes.captured[segment].pickled is None

    @property
    def results(self) -> dict[str, Any]:
        """What the workers' `local_term` returned, by worker name, without None."""
        handles = self._processes.handles.values()
        return {handle.name: handle.result for handle in handles if handle.result is not None}

    def name_of(self, worker: int) -> str:
        """A worker's name, by its id."""
        return self._processes.handles[worker].name

    def item_of(self, origin: int, number: int, outputs: Outputs) -> str:
        """An item's identity in words."""
        return item_of(self._processes.handles, origin, number, outputs)

    def stats(self) -> RunStats:
        """What every worker has done so far."""
        state = "ended" if self.ended else "stopping" if self._conductor.stopping else "running"
        workers = self._processes.stats(lambda ident: PHASES[self._lifecycle.phase(ident)])
        took_s = self._took_s if self.ended else time.monotonic() - self._began_s
        return RunStats(state, took_s, workers, self._processes.hosts.links)

    # ------------------------------------------------------------ the conductor
    def _conduct(self) -> None:
        directory: RunDirectory | None = None
        try:
            self._effects.suspect_files.directory = directory = RunDirectory()
            base = f"ipc://{directory.path}"
            trust = NATIVE if self._processes.options.is_plain else None
            self._transport = self._effects.transport = open_transport(base, trust=trust)
            inbox = self._transport.bind("s")
            self._pump.start()
            gateway, self.token = let_others_join(self._processes, directory.path, inbox.address)
            if self.graph.caller is not None:
                self.caller = node_of_caller(
                    run=self._id,
                    graph=self.graph,
                    processes=self._processes,
                    transport=self._transport,
                    supervisor=inbox.address,
                    gateway=gateway,
                )
                self.service_thread = ServiceThread(self.caller)
                join_in(self.caller, self.service_thread)
            self._processes.prepare(
                run=self._id,
                base=base,
                supervisor=inbox.address,
                directory=directory.path,
                pump=self._pump,
                gateway=gateway,
            )
            self._processes.not_for_children = self.enquiries.open(directory.path)
            self._conductor.loop(inbox, DirectoryWatch(directory))
            self.outcome = self._lifecycle.outcome or life.Outcome.FAILED
            self.failure = self._lifecycle.cause
            self._conductor.note_if_given_up()
        except BaseException as error:  # nobody else is here to be told
            self.failure = error
        finally:
            if not self._effects.launched.is_set():
                self._start_error = self.failure
            self._end(directory)

    def _end(self, directory: RunDirectory | None) -> None:
        """Whatever has happened: nothing of the run is there afterwards, and nobody waits."""
        try:
            self._clear(directory)
        except Exception as error:  # of any kind: there is nobody else whom it could be told to
            self.failure = error if self.failure is None else self.failure
        finally:
            self._ended.set()
            self.passes.end()
            self._wake.close()
            self._effects.launched.set()

    def _clear(self, directory: RunDirectory | None) -> None:
        with ExitStack() as last:  # in reverse order, each one even if another one fails
            last.callback(self._close_handles)
            if directory is not None:
                last.callback(directory.remove)
            last.callback(self._pump.end, OUTPUT_S)
            if self._transport is not None:
                last.callback(self._transport.close)
                if self.caller is not None:
                    last.callback(close_caller, self.caller, self._transport)
            if self.service_thread is not None:
                last.callback(self.service_thread.stop)
            last.callback(self._processes.end)
            last.callback(self.enquiries.end)

    def _close_handles(self) -> None:
        for handle in self._processes.handles.values():
            handle.close()
        self._took_s = time.monotonic() - self._began_s
