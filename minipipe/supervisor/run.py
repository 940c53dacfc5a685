"""One run: its processes, from the first to the last.

A thread of the caller's process, the conductor, waits for whatever happens (a message, a
death, a wish of the user's), asks `pure.lifecycle` what to do, and does that.
"""

from __future__ import annotations

import logging
import os
import random
import threading
import time
from collections import deque
from collections.abc import Iterable
from contextlib import ExitStack
from typing import Any

from minipipe.describe import in_a_line
from minipipe.errors import StartError, WireFormatError
from minipipe.graph import Graph
from minipipe.importing import travel_by_value
from minipipe.pure import lifecycle as life
from minipipe.pure.membership import SUPERVISOR, Peer
from minipipe.pure.stats import RunStats
from minipipe.shared import memory_limit_bytes, obstacle
from minipipe.stream import Node, wire
from minipipe.stream.link import Link
from minipipe.stream.node import WAIT_S
from minipipe.stream.page import OUTSIDE
from minipipe.supervisor.capture import capture
from minipipe.supervisor.crew import Crew
from minipipe.supervisor.descriptors import check_descriptors
from minipipe.supervisor.hearing import Hearing
from minipipe.supervisor.monitor import Monitor
from minipipe.supervisor.output import OutputPump
from minipipe.supervisor.rundir import RunDirectory
from minipipe.supervisor.telling import Telling
from minipipe.supervisor.watch import Watch
from minipipe.transport import Inbox, Transport, open_transport
from minipipe.worker.attendant import Attendant

logger = logging.getLogger("minipipe")

OUTPUT_S = 2.0  # the caller's stdout may be blocked; the run ends all the same
PHASES = ("starting", "starting", "running", "done", "gone")


class Run:
    """One pass of a pipeline through its processes.

    Args:
        graph: what to run.
        ignore_exceptions: replaces that of all segments, if given.
        grace_s: how long the `local_term` of a healthy worker may take after a stop.
        seed: of the workers' random generators; None: another one in each run.
        shared_bytes: what arrays in shared memory may come to; None: a quarter of the memory of
            the machine, or of the container.

    Raises:
        StartError: a functor can neither be pickled nor inherited, or there are too few file
            descriptors.
    """

    def __init__(
        self,
        graph: Graph,
        *,
        ignore_exceptions: tuple[type[BaseException], ...] | None,
        grace_s: float,
        seed: int | None,
        shared_bytes: int | None = None,
    ) -> None:
        self.graph = graph
        self.failure: BaseException | None = None
        self.outcome = life.Outcome.FAILED
        self.began_at = time.time()
        self.caller: Node | None = None
        self._began_s = time.monotonic()
        self._took_s = 0.0
        self._start_error: BaseException | None = None
        self._ended = threading.Event()
        self._launched = threading.Event()
        self._wishes: deque[life.StopAsked] = deque()
        self._events: deque[life.Event] = deque()
        check_descriptors(graph)
        travel_by_value()
        seed = random.SystemRandom().getrandbits(32) if seed is None else seed
        declared = [s.declared for s in graph.segments if s.declared is not None]
        flags = [segment.term_flag for segment in declared if segment.term_flag is not None]
        captured = {
            s.index: capture(
                s,
                s.declared,
                s.declared.ignore_exceptions if ignore_exceptions is None else ignore_exceptions,
                flags,
                seed=seed,
            )
            for s in graph.segments
            if s.declared is not None
        }
        self._id = random.SystemRandom().getrandbits(62)
        self._crew = Crew(graph, captured, seed, _shared_bytes(shared_bytes))
        self._hearing = Hearing(self._id, graph, self._crew, self._connect)
        self._watch = Watch(self._crew, self._crew.kill)
        self._monitor = Monitor(graph, self._crew)
        self._telling = Telling(graph, self._crew, grace_s)
        self._lifecycle = life.Lifecycle(
            [hand.member for hand in self._crew.hands.values()], grace_s=grace_s
        )
        writer = wire.Writer(self._id, SUPERVISOR)
        self._links = {ident: Link(writer) for ident in self._crew.hands}
        self.attendant: Attendant | None = None
        self._transport: Transport | None = None
        self._pump = OutputPump()
        self._wake_read, self._wake_write = os.pipe()
        self._wake_lock = threading.RLock()  # a signal handler may stop() in the middle of a stop()
        self._wake_closed = False
        self._thread = threading.Thread(target=self._conduct, name="minipipe-run", daemon=True)

    # ------------------------------------------------------- the caller's side
    def start(self) -> None:
        """Starts it; returns when every worker's process was asked for.

        Raises:
            StartError, TransportError: that was not possible; nothing is left.
        """
        self._thread.start()
        self._launched.wait()
        if self._start_error is not None:
            self.wait()
            raise self._start_error

    @property
    def own(self) -> tuple[threading.Thread, ...]:
        """The threads that make the run end: they must never wait for that."""
        return tuple(t for t in (self._thread, self._pump, self.attendant) if t is not None)

    @property
    def ended(self) -> bool:
        return self._ended.is_set()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Waits for the end of everything; False if `timeout_s` came first."""
        return self._ended.wait(timeout_s)

    def stop(
        self,
        *,
        drain: bool = False,
        outcome: life.Outcome = life.Outcome.STOPPED,
        kill: bool = False,
        cause: BaseException | None = None,
    ) -> None:
        """Wishes for the end; does not wait.  Any thread, also a signal handler."""
        self._wishes.append(life.StopAsked(drain, outcome, cause, kill))
        self._wake()

    def _wake(self) -> None:
        with self._wake_lock:  # or the number might be another file's by now
            if not self._wake_closed:
                os.write(self._wake_write, b"!")

    def _close_wake(self) -> None:
        with self._wake_lock:
            self._wake_closed = True
            os.close(self._wake_read)
            os.close(self._wake_write)

    @property
    def results(self) -> dict[str, Any]:
        """What the workers' `local_term` returned, by worker name, without None."""
        hands = self._crew.hands.values()
        return {hand.name: hand.result for hand in hands if hand.result is not None}

    def stats(self) -> RunStats:
        """What every worker has done so far."""
        state = "ended" if self.ended else "stopping" if self._lifecycle.stopping else "running"
        took_s = self._took_s if self.ended else time.monotonic() - self._began_s
        return RunStats(
            state,
            took_s,
            tuple(
                hand.stats(PHASES[self._lifecycle.phase(hand.ident)])
                for hand in self._crew.hands.values()
            ),
        )

    # ------------------------------------------------------------ the conductor
    def _conduct(self) -> None:
        directory: RunDirectory | None = None
        try:
            self._telling.directory = directory = RunDirectory()
            base = f"ipc://{directory.path}"
            self._transport = open_transport(base)
            inbox = self._transport.bind("s")
            self._pump.start()
            self._join_in(inbox)
            for report in self._crew.launch(
                run=self._id,
                base=base,
                supervisor=inbox.address,
                directory=directory.path,
                pump=self._pump,
            ):
                self._hear(self._hearing.of_process(report))
            self._launched.set()
            self._loop(inbox)
            self.outcome = self._lifecycle.outcome or life.Outcome.FAILED
            self.failure = self._lifecycle.cause
        except BaseException as error:  # nobody else is here to be told
            self.failure = error
            if not self._launched.is_set():
                self._start_error = error
        finally:
            self._end(directory)

    def _end(self, directory: RunDirectory | None) -> None:
        """Whatever has happened: nothing of the run is there afterwards, and nobody waits."""
        with ExitStack() as last:  # in reverse order, each one even if another one fails
            last.callback(self._launched.set)
            last.callback(self._close_wake)
            last.callback(self._ended.set)
            last.callback(self._close_hands)
            if directory is not None:
                last.callback(directory.remove)
            last.callback(self._pump.end, OUTPUT_S)
            if self._transport is not None:
                last.callback(self._transport.close)
            if self.caller is not None:
                last.callback(self._close_caller)
            if self.attendant is not None:
                last.callback(self.attendant.stop)
            last.callback(self._crew.end)

    def _close_caller(self) -> None:
        """Closes the caller's sockets, at a moment when the caller's thread does not use them."""
        node = self.caller
        assert node is not None and self._transport is not None
        node.stopped = node.stopped or "ended"  # a reader that waits sees it, within WAIT_S
        until_s = time.monotonic() + 2 * WAIT_S
        while True:
            with node.lock:
                node.attended += 1
                if node.away or time.monotonic() > until_s:
                    self._transport.close()
                    node.memory.close()
                    return
            time.sleep(0.001)

    def _close_hands(self) -> None:
        for hand in self._crew.hands.values():
            hand.close()
        self._took_s = time.monotonic() - self._began_s

    def _join_in(self, inbox: Inbox) -> None:
        """The caller's loop takes part like any worker, in this process."""
        assert self._transport is not None
        segment = self.graph.caller
        if segment is None:
            return
        hand = next(h for h in self._crew.hands.values() if h.member.is_caller)
        self.caller = Node(
            run=self._id,
            ident=hand.ident,
            wiring=self.graph.wiring(segment.index),
            transport=self._transport,
            supervisor=inbox.address,
            page=hand.page,
        )
        self.caller.report(wire.BOUND, self.caller.inbox.address)
        self.caller.report(wire.WIRED)
        # Until the loop asks for an item, it is the attendant who serves.
        self.caller.page.item = OUTSIDE
        self.attendant = Attendant(self.caller)
        self.attendant.arm()
        self.attendant.start()

    def _loop(self, inbox: Inbox) -> None:
        while not self._lifecycle.finished:
            deadline_s = self._lifecycle.deadline_s
            timeout_s = None if deadline_s is None else max(0.0, deadline_s - time.monotonic())
            monitored_s = self._monitor.due_in_s(time.monotonic())
            if monitored_s is not None:
                timeout_s = monitored_s if timeout_s is None else min(timeout_s, monitored_s)
            if self._lifecycle.started and not self._lifecycle.stopping:
                watched_s = self._watch.due_in_s(time.monotonic())
                timeout_s = watched_s if timeout_s is None else min(timeout_s, watched_s)
            if self._events or self._wishes:
                timeout_s = 0.0
            readable = inbox.wait(timeout_s, [self._wake_read, *self._crew.filenos()])
            if self._wake_read in readable:
                os.read(self._wake_read, 4096)
            while (buffers := inbox.receive()) is not None:
                try:
                    self._hear(self._hearing.of_message(wire.read(buffers)))
                except WireFormatError as error:
                    logger.warning("the supervisor dropped a message: %s", error)
            for report in self._crew.reports(readable):
                self._hear(self._hearing.of_process(report))
            while self._wishes:
                self._handle(self._wishes.popleft())
            while self._events:
                self._handle(self._events.popleft())
            self._handle(life.Tick())
            if self._lifecycle.started:
                self._monitor.tell(time.monotonic())
                if not self._lifecycle.stopping:
                    self._watch.look(time.monotonic())

    def _handle(self, event: life.Event) -> None:
        for action in self._lifecycle.handle(event, time.monotonic()):
            self._do(action)

    def _hear(self, events: Iterable[life.Event]) -> None:
        for event in events:
            self._handle(event)

    def _connect(self, worker: int, address: str) -> None:
        assert self._transport is not None
        self._links[worker].open(self._transport.connect(address))

    # ----------------------------------------------------------- what is done
    def _do(self, action: life.Action) -> None:
        match action:
            case life.SendInit(worker, peers, epochs, dead, charged):
                self._tell(worker, wire.INIT, epochs, dead, [_peer(p) for p in peers], charged)
            case life.SendFence(worker, region, epoch, dead, receivers, charged):
                self._tell(worker, wire.FENCE, region, epoch, dead, receivers, charged)
            case life.TellLater(cause):
                logger.warning("then, %s", in_a_line(cause))
            case life.TellCut(worker):
                self._telling.cut(worker)
            case life.SetAside(item, segment):
                self._telling.set_aside(item, segment)
            case life.Spawn(member, instead_of):
                self._replace(member, instead_of)
            case life.TellDeath(worker, items):
                self._telling.death(worker, items)
            case life.SendJoin(worker, peer):
                self._tell(worker, wire.JOIN, *_peer(peer))
            case life.SendStart(worker):
                self._tell(worker, wire.START)
            case life.SendDrain(worker):
                self._tell(worker, wire.DRAIN)
            case life.SendLeave(worker):
                self._tell(worker, wire.LEAVE)
            case life.SendStop(worker, outcome):
                self._tell(worker, wire.STOP, outcome.value)
                if self._is_caller(worker):  # it has nothing to save, and may never look
                    self._events.append(life.Done(worker))
            case life.SendExit(worker):
                self._tell(worker, wire.EXIT)
                if self._is_caller(worker):
                    self._events.append(life.Died(worker, RuntimeError("left")))
            case life.Kill(worker, hard):
                if self._is_caller(worker):
                    self._events.append(life.Died(worker, RuntimeError("left")))
                else:
                    self._crew.kill(worker, hard=hard)
            case life.Finish():
                pass

    def _replace(self, member: life.Member, dead: int) -> None:
        """Starts a worker in the place of a dead one."""
        self._crew.hands[dead].close("died")
        self._links[member.id] = Link(wire.Writer(self._id, SUPERVISOR))
        try:
            for report in self._crew.replace(dead, member):
                self._events.extend(self._hearing.of_process(report))
            self._watch.replaced(dead, member.id)
        except StartError as error:
            self._events.append(life.Failed(member.id, error))
            self._events.append(life.Died(member.id, error))

    def _is_caller(self, worker: int) -> bool:
        return self._crew.hands[worker].member.is_caller

    def _tell(self, worker: int, *record: Any) -> None:
        link = self._links[worker]
        link.add(record)
        link.flush()


def _shared_bytes(wanted: int | None) -> int:
    """What arrays in shared memory may come to; says so once where there can be none."""
    why = obstacle()
    if why is None:
        return memory_limit_bytes() // 4 if wanted is None else wanted
    if not _told:
        _told.append(why)
        logger.warning("large arrays travel inside messages, which is slower: %s", why)
    return 0


_told: list[str] = []


def _peer(peer: Peer) -> tuple[int, int, str]:
    return (peer.id, peer.segment, peer.address)
