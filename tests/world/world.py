"""A whole run in one process: real workers, decisions and bookkeeping, a simulated network.

Each worker's main thread is a thread here, but only one of them moves at a time, and chance says
which: between any two of its sends or waits another one may come, a message arrive, a worker die.
Time is virtual.  One seed gives one course of events.
"""

from __future__ import annotations

import contextlib
import pickle
import random
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import cloudpickle

from minipipe.graph import Graph
from minipipe.protocol.delivery.membership import LOCAL_HOST, SUPERVISOR
from minipipe.protocol.delivery.paths import Leaf
from minipipe.protocol.run import lifecycle as life
from minipipe.protocol.run.events import MoveAsked
from minipipe.stream import Node, records, wire
from minipipe.stream.page import Page
from minipipe.supervisor.worker_handle import handles_of
from minipipe.worker.spec import Task, WorkerSpec
from minipipe.worker.work import WorkerMain
from tests.supervisor.fakes import FakeVitals
from tests.world.cargo import Cargo
from tests.world.gateways import SimGateway, gateway_address
from tests.world.net import Links, SimTransport

RUN = 77


class Killed(BaseException):
    """Raised in a worker's thread, which has died."""


class Worker:
    """One process: its thread, and what it has to say."""

    def __init__(self, world: World, member: life.Member, index: int, *, late: bool) -> None:
        self.world = world
        self.member = member
        self.index = index
        self.late = late
        self.name = f"w{member.id}"
        self.host = world.host_of(member.id)
        self.alive = True
        self.died = False  # in the middle of the run, or so it was said
        self.doomed = False  # it is at an item that kills it
        # The item in its functor when it died, and how many deaths at it it had heard of.
        self.last: tuple[Leaf | None, int] = (None, 0)
        self.ended = False
        self.error: BaseException | None = None
        self.page = Page()
        self.node: Node | None = None
        self._baton = threading.Semaphore(0)
        self.thread = threading.Thread(target=self._live, daemon=True)

    def step(self) -> None:
        """Lets others move; called in the worker's thread wherever they might."""
        if threading.current_thread() is not self.thread:
            return
        if not self.alive:  # what it still does while it unwinds has not happened
            raise Killed
        self.world.baton.release()
        self._baton.acquire()
        if not self.alive:
            raise Killed

    def move(self) -> None:
        """Lets this worker move until its next step; called by the world."""
        if not self.thread.is_alive() and not self.ended:
            self.thread.start()
        else:
            self._baton.release()
        self.world.baton.acquire()

    def kill(self) -> None:
        page = self.page  # as it is now: while its thread unwinds, it changes
        if page.number is not None:
            self.last = ((page.origin, page.number, page.outputs), page.deaths)
        self.alive = False
        if self.thread.is_alive():
            self.move()
            self.thread.join()
        self.ended = True

    def _live(self) -> None:
        self.world.current = self
        try:
            self._work()
        except Killed:
            pass
        except BaseException as error:
            self.error = error if self.alive else None
        finally:
            self.ended = True
            self.world.baton.release()

    def _work(self) -> None:
        world, segment = self.world, self.world.graph.segments[self.member.segment]
        declared = segment.declared
        assert declared is not None
        self.node = node = Node(
            run=RUN,
            ident=self.member.id,
            wiring=world.graph.wiring(segment.index),
            transport=SimTransport(world.links, self.name, self.step),
            supervisor=world.address,
            page=self.page,
            host=self.host,
            gateway=gateway_address(self.host) if world.gateways else "",
        )
        service_thread: Any = _NoAttendant()
        spec = WorkerSpec(
            run=RUN,
            ident=self.member.id,
            name=self.name,
            segment=segment.name,
            kind=segment.kind,
            index=self.index,
            num_workers=segment.n_processes,
            seed=self.member.id,
            common_seed=0,
            run_seed=None,
            wiring=node.wiring,
            base="",
            supervisor=world.address,
            names={},
            directory="",
            authkey=b"",
            is_late=self.late,
            shared_bytes=0,
            cwd=None,
            sys_path=(),
            argv=(),
        )
        _SimLife(self, spec, node, service_thread).live(
            lambda: Task(
                world.functor_of(self, declared.functor_obj),
                declared.init_kwargs,
                declared.ignore_exceptions,
                declared.term_flag,
                getattr(declared, "epochs", 1),
                getattr(declared, "strict", True),
                declared.read_only_functor,
                batching=declared.batching,
            )
        )
        node.block(lambda: node.orders.exiting, to_the_end=True)

    def attend(self) -> None:
        """What the service thread does during a functor, if chance has it be a long one."""
        node = self.node
        assert node is not None
        with node.handover.announce() as in_user_code:
            if not in_user_code:
                return
            node.serve()
            node.ends.sync_progress(in_user_code)
            node.flush(time.monotonic(), idle=True)


class _NoAttendant:
    failure: BaseException | None = None

    def watch(self, now_s: float, due_s: float) -> None:
        """Chance has it serve."""


class _SimLife(WorkerMain):
    def __init__(self, worker: Worker, *args: Any) -> None:
        super().__init__(*args)
        self._worker = worker

    def _interrupt_on_stop(self) -> None:
        """There are no signals here."""


class World:
    """One run of a graph.

    Args:
        graph: all its segments are declared ones (no loop of the caller's).
        seed: of the course of events.
        kills: how many workers are killed, at most.
        kill_rate: how probable a death is at each move.
        falsely: how many live workers are declared dead, at most, and go on working.
        scales: how often another number of workers is wished for in a stateless Transform, or
            others in the places of some of them.
        attended: how probable it is that the service thread serves during a call of a functor.
        deadly: which items kill the workers of segments that leave poison out.  (Else the
            supervisor is not told at which item a worker has died, so nothing is poison.)
        cargo: what makes an item of the number that the functors know, and a number again of it.
        hosts: how many machines the workers are on, of which the supervisor's is one.
    """

    def __init__(
        self,
        graph: Graph,
        seed: int,
        *,
        kills: int = 0,
        kill_rate: float = 0.01,
        falsely: int = 0,
        scales: int = 0,
        attended: float = 0.3,
        mortal: Callable[[life.Member], bool] = lambda member: member.restarts,
        deadly: Callable[..., bool] | None = None,
        cargo: Cargo | None = None,
        hosts: int = 1,
    ) -> None:
        self.cargo = cargo
        self.seed = seed
        self.hosts = [LOCAL_HOST, *(f"host{number}" for number in range(1, hosts))]
        self.graph = graph
        self.rng = random.Random(seed)
        self.kills = kills
        self.kill_rate = kill_rate
        self.falsely = falsely
        self.scales = scales
        self.hurries = bool(scales and seed % 2)  # but for what goes from one that leaves to others
        self.joined = self.left = 0  # how many have, without a death
        self.attended = attended
        self.mortal = mortal
        self.deadly = deadly
        self.set_aside: list[tuple[int, ...]] = []  # segment, and identity
        self.crash_suspects = 0  # the most items that one message has charged
        self.links = Links()
        several = self.hosts if hosts > 1 else []
        self.gateways = [SimGateway(self.links, host) for host in several]
        self.baton = threading.Semaphore(0)
        self.now_s = 1000.0
        self.current: Worker | None = None
        self.transport = SimTransport(self.links, "supervisor", lambda: None)
        self.inbox = self.transport.bind("s")
        self.address = self.inbox.address
        hands = handles_of(graph, lambda member: FakeVitals())
        for hand in hands.values():
            hand.close()
        self.workers = {
            ident: Worker(self, hand.member, hand.index, late=False)
            for ident, hand in hands.items()
        }
        self.lifecycle = life.Lifecycle([hand.member for hand in hands.values()])
        self.unnoticed: list[Worker] = []
        self.condemned: list[Worker] = []  # to be killed, which has not reached them yet
        self.zombies: list[Worker] = []
        self.results: dict[str, list[Any]] = {}
        self.deaths = 0
        self.moves = 0
        self._outlets: dict[int, Any] = {}
        self._writer = wire.Writer(RUN, SUPERVISOR)

    def host_of(self, worker: int) -> str:
        """Where chance has put a worker."""
        return random.Random(f"{self.seed} {worker}").choice(self.hosts)

    # ------------------------------------------------------------------ functors
    def functor_of(self, worker: Worker, functor: Any) -> Any:
        """The functor, in which others may come between."""
        if self.cargo is not None:
            functor = self.cargo.carrying(functor)
        if hasattr(functor, "run") or not callable(functor):
            return cloudpickle.loads(cloudpickle.dumps(functor))  # as a process would have it
        if worker.node is not None and not worker.node.wiring.inlets:
            return functor

        def stepping(*items: Any) -> Any:
            worker.step()
            if self.rng.random() < self.attended:
                worker.attend()
            while self.deadly and worker.member.skips_poison and self.deadly(*items):
                worker.doomed = True
                worker.step()
            result = functor(*items)
            worker.step()
            return result

        return stepping

    # ---------------------------------------------------------------- the course of events
    def run(self, limit: int = 60_000) -> None:
        """Goes on until the run has ended.

        Raises:
            AssertionError: it does not end, or a worker has made a mistake.
        """
        with self._virtual_time():
            while not self.lifecycle.finished:
                self.moves += 1
                if self.moves > limit:
                    raise AssertionError(f"the run does not end: {self.state()}")
                self.now_s += self.rng.choice((0.0, 0.0001, 0.0005, 0.002, 0.01))
                self._maybe_kill()
                self._maybe_carry_out()
                self._maybe_scale()
                self._one_move()
            for worker in [*self.workers.values(), *self.zombies]:
                if not worker.ended:
                    worker.kill()
        for worker in [*self.workers.values(), *self.zombies]:
            if worker.error is not None:
                raise worker.error

    def state(self) -> str:
        """What everybody does, for the message of a failure."""
        lines = [f"{self.links.under_way.keys()}"]
        for worker in self.workers.values():
            node = worker.node
            if node is None or worker.ended:
                continue
            inlets = {s: (len(i.queue), i.turn is not None) for s, i in node.inlets.items()}
            open_items = {r: v.ledger.open_items for r, v in node.recoveries.items()}
            lines.append(
                f"{worker.name} {self.graph.segments[worker.member.segment].name} "
                f"{self.lifecycle.phase(worker.member.id)} {inlets} {open_items}"
            )
        return "\n".join(lines)

    def _one_move(self) -> None:
        choices: list[Callable[[], None]] = []
        links = self.links.ready()
        if links:
            choices += [self._arrive] * 3
        movers = [w for w in [*self.workers.values(), *self.zombies] if not w.ended]
        if movers:
            choices += [lambda: self.rng.choice(movers).move()] * 2
        if self.inbox.queue:
            choices.append(self._hear)
        if self.unnoticed:
            choices.append(self._notice)
        choices.append(lambda: self._handle(life.Tick()))
        self.rng.choice(choices)()
        for worker in movers:
            if worker.ended and worker.error is not None:
                raise worker.error

    def _arrive(self) -> None:
        ready = self.links.ready()
        if self.rng.random() < 0.98:
            ready = [link for link in ready if not self._is_slow(*link)]
        self.links.arrive(self.rng.choice(ready or self.links.ready()))

    def _is_slow(self, sender: str, address: str) -> bool:
        """Whether it is to be seen that one that leaves waits for what it has sent to others."""
        states = self.lifecycle._workers
        mine = [i for i, worker in self.workers.items() if worker.name == sender]
        leaves = any(states[i].is_retiring for i in mine if i in states)
        return self.hurries and leaves and address != self.address

    def _maybe_carry_out(self) -> None:
        """Kills whom the supervisor wants killed, a while later: it may be ready by then."""
        for worker in list(self.condemned):
            if self.rng.random() < 0.02:
                self.condemned.remove(worker)
                worker.kill()
                self._handle(life.Died(worker.member.id, RuntimeError("killed")))

    def _maybe_kill(self) -> None:
        for worker in list(self.workers.values()):
            if worker.doomed and not worker.ended and self.rng.random() < 0.2:
                self._kill(worker)
        if self.kills and self.rng.random() < self.kill_rate:
            for _ in range(self.rng.choice((1, 1, 1, 2, 3))):
                mortal = [w for w in self.workers.values() if self._may_die(w)]
                if mortal and self.kills:
                    self.kills -= 1
                    self._kill(self.rng.choice(mortal))
        if self.falsely and self.rng.random() < self.kill_rate:
            mortal = [w for w in self.workers.values() if self._may_die(w)]
            if mortal:
                self.falsely -= 1
                worker = self.rng.choice(mortal)
                del self.workers[worker.member.id]
                worker.died = True
                self.zombies.append(worker)
                self._handle(life.Died(worker.member.id, RuntimeError("declared dead")))

    def _maybe_scale(self) -> None:
        elastic = [s.index for s in self.graph.segments if s.kind == "transform" and s.stateless]
        if self.scales and elastic and self.rng.random() < 0.01:
            self.scales -= 1
            segment = self.rng.choice(elastic)
            if self.rng.random() < 0.3:  # a machine wants to go that has some of these on it
                there = [i for i, w in self.workers.items() if w.member.segment == segment]
                self._handle(MoveAsked(tuple(i for i in there if self.rng.random() < 0.6)))
            else:
                self._handle(life.ScaleAsked(segment, self.rng.randint(1, 4)))

    def _may_die(self, worker: Worker) -> bool:
        return not worker.ended and self.mortal(worker.member) and not self.lifecycle.finished

    def _kill(self, worker: Worker) -> None:
        self.deaths += 1
        worker.died = True
        worker.kill()
        if worker.error is not None:
            raise worker.error
        self.links.cut(worker.name, lambda count: self.rng.randint(0, count))
        self.unnoticed.append(worker)

    def _notice(self) -> None:
        worker = self.unnoticed.pop(self.rng.randrange(len(self.unnoticed)))
        about = worker.last if self.deadly else (None, 0)
        self._handle(life.Died(worker.member.id, RuntimeError("killed"), *about))

    # ------------------------------------------------------------------ the supervisor
    def _hear(self) -> None:
        message = self.inbox.queue.popleft()
        told = wire.read(message, self.inbox)
        if told.sender not in self.workers:
            return
        for record in told.records():
            self._take(told.sender, record)

    def _take(self, sender: int, record: NamedTuple) -> None:
        match record:
            case records.Bound(address):
                self._outlets[sender] = self.transport.connect(address)
                self._handle(life.Bound(sender, address, self.workers[sender].host))
            case records.Wired():
                self._handle(life.Wired(sender))
            case records.Done(result):
                if result:
                    name = self.graph.segments[self.workers[sender].member.segment].name
                    self.results.setdefault(name, []).append(pickle.loads(result))
                self._handle(life.Done(sender))
            case records.Failed(blob):
                failure = pickle.loads(blob)
                raise AssertionError(f"{failure.doing}: {failure.trace}")
            case records.Rest():
                self._handle(life.Rested(sender, *record))
            case records.Ended():
                self._handle(life.SegmentEnded(sender))
            case records.Resent():
                self._handle(life.Resent(sender, *record))

    def _handle(self, event: life.Event) -> None:
        for action in self.lifecycle.handle(event, self.now_s):
            self._do(action)

    def _do(self, action: life.Action) -> None:
        match action:
            case life.SendInit(worker, peers, epochs, dead, crash_suspects, workers):
                self._tell(worker, records.Init(epochs, dead, peers, crash_suspects, workers))
            case life.SendJoin(worker, peer):
                self._tell(worker, records.Join(*peer))
            case life.SendFence(worker, region, epoch, dead, receivers, crash_suspects):
                self.crash_suspects = max(self.crash_suspects, len(crash_suspects))
                fence = records.Fence(region, epoch, dead, receivers, crash_suspects)
                self._tell(worker, fence)
            case life.Spawn(member, instead_of, is_additional):
                before = next(
                    w for w in [*self.workers.values(), *self.zombies] if w.member.id == instead_of
                )
                if not is_additional:
                    self.workers.pop(instead_of, None)
                self.joined += is_additional
                self.workers[member.id] = Worker(self, member, before.index, late=True)
            case life.SendCount(worker, segment, workers):
                self._tell(worker, records.Count(segment, workers))
            case life.SendRetire(worker, producers):
                self._tell(worker, records.Retire(producers))
            case life.SendRetiring(worker, consumer):
                self._tell(worker, records.Retiring(consumer))
            case life.SendGone(worker, gone):
                self._tell(worker, records.Gone(gone))
            case life.Dismiss(worker):
                gone = self.workers.pop(worker, None)
                if gone is not None and not gone.ended:  # of its sockets' contents the rest is lost
                    self.left += 1
                    gone.kill()
                    self.links.cut(gone.name, lambda count: self.rng.randint(0, count))
            case life.SendStart(worker):
                self._tell(worker, records.Start())
            case life.SendDrain(worker):
                self._tell(worker, records.Drain())
            case life.SendLeave(worker):
                self._tell(worker, records.Leave())
            case life.SendStop(worker, outcome):
                self._tell(worker, records.Stop(outcome.value))
            case life.SendExit(worker):
                self._tell(worker, records.Exit())
                # Nobody waits for its last word here: that it is gone is known at once.
                self._handle(life.Died(worker, RuntimeError("left")))
            case life.SetAside(item, segment):
                self.set_aside.append((segment, *item[1:]))
            case life.LogDeath() | life.Acquit() | life.Finish():
                pass
            case life.Kill(worker):
                doomed = self.workers[worker]
                if not (doomed.late and doomed.member.restarts):
                    raise AssertionError(f"worker {worker} had to be killed: {self.state()}")
                self.condemned.append(doomed)  # it was not ready yet, and is not needed any more

    def _tell(self, worker: int, record: NamedTuple) -> None:
        if worker in self.workers and not self.workers[worker].alive:
            return
        self._outlets[worker].send([self._writer.write([record])])

    @contextlib.contextmanager
    def _virtual_time(self) -> Iterator[None]:
        real = time.monotonic
        time.monotonic = lambda: self.now_s
        try:
            yield
        finally:
            time.monotonic = real
