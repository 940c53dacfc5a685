"""One region as a state machine over the pure modules, small enough to try every course of events.

The sender's books are `Ledger` and `Recovery`, the receivers' order is `Order`, who is dead and
which epoch it is `Membership`: the modules themselves, not models of them.  What stands here is the
rest of the rules (ARCHITECTURE.md): who says what to whom.  Credit is left out: it is independent.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from minipipe.protocol.delivery.intervals import runs_of
from minipipe.protocol.delivery.ledger import Ledger
from minipipe.protocol.delivery.membership import Membership, Peer
from minipipe.protocol.delivery.order import Order
from minipipe.protocol.delivery.paths import ROOT, Path, complete, promised_mask, under
from minipipe.protocol.delivery.recovery import Recovery

RUN, REGION = 1, 0
SUPERVISOR, SENDER, FIRST_RECEIVER, FIRST_WORKER = 0, 1, 10, 20

ALL = 2**62


@dataclass(frozen=True)
class Shape:
    """What to try.

    Attributes:
        items: how many the sender has.
        workers: how many stateless ones share them; 0: the sender sends to the receivers.
        receivers: how many.
        fork: "share" (each result to any one receiver), "switch" (to a set of receivers that each
            attempt chooses anew).
        functions: the receivers are function Sinks.
        ordered: the receivers take their items in order.
        drops: whether an attempt may give None.
        kills, falsely: how many die, and how many are declared dead and go on.
        without: a rule that is left out, to see that it is needed.
    """

    items: int = 1
    workers: int = 1
    receivers: int = 1
    fork: str = "share"
    functions: bool = False
    ordered: bool = False
    drops: bool = True
    kills: int = 1
    falsely: int = 0
    without: str = ""


@dataclass
class Worker:
    """A stateless one."""

    known: Membership
    queue: list[tuple[Any, ...]] = field(default_factory=list)


@dataclass
class Receiver:
    known: Membership
    queue: list[tuple[int, Path]] = field(default_factory=list)  # taken and not begun: functions
    order: Order[tuple[int, Path]] | None = None
    got: list[tuple[int, Path]] = field(default_factory=list)  # what its functor was given
    seen: set[int] = field(default_factory=set)
    closed: bool = False


@dataclass
class State:
    shape: Shape
    ledger: Ledger
    recovery: Recovery
    known: Membership  # the sender's
    workers: dict[int, Worker]
    receivers: dict[int, Receiver]
    links: dict[tuple[int, int], list[tuple[Any, ...]]] = field(default_factory=dict)
    closed: bool = False  # the sender has said CLOSE
    # The supervisor.
    epoch: int = 0
    dead: set[int] = field(default_factory=set)
    announced: set[int] = field(default_factory=set)
    unnoticed: list[int] = field(default_factory=list)
    starting: list[int] = field(default_factory=list)
    next_id: int = 0
    kills: int = 0
    falsely: int = 0
    # What has happened: for the check alone.
    killed: set[int] = field(default_factory=set)
    dropped: set[int] = field(default_factory=set)  # some attempt gave None

    # ------------------------------------------------------------------ helpers
    def send(self, source: int, target: int, *message: Any) -> None:
        if target not in self.killed:
            self.links.setdefault((source, target), []).append(message)

    @property
    def targets(self) -> list[int]:
        """To whom the sender, or a worker, may send what it has."""
        peers = self.known.peers
        if self.shape.workers:
            return sorted(p for p in peers if p >= FIRST_WORKER)
        return sorted(p for p in peers if FIRST_RECEIVER <= p < FIRST_WORKER)


def start(shape: Shape) -> State:
    """After the first handshake: everybody knows everybody."""
    receivers = range(FIRST_RECEIVER, FIRST_RECEIVER + shape.receivers)
    workers = range(FIRST_WORKER, FIRST_WORKER + shape.workers)

    def knows() -> Membership:
        known = Membership(RUN)
        known.init([(REGION, 0)], (), [Peer(i, 0, "") for i in (SENDER, *receivers, *workers)])
        return known

    ledger = Ledger(limit_bytes=1000, min_items=1000)
    return State(
        shape,
        ledger,
        Recovery(ledger),
        knows(),
        {i: Worker(knows()) for i in workers},
        {
            i: Receiver(knows(), order=Order(gapless=False) if shape.ordered else None)
            for i in receivers
        },
        announced={*receivers, *workers},
        next_id=FIRST_WORKER + shape.workers,
        kills=shape.kills,
        falsely=shape.falsely,
    )


# ------------------------------------------------------------------ what may happen next
def moves(state: State) -> Iterator[tuple[Any, ...]]:
    """Every step that is possible, as the name and the arguments of a function below."""
    for source, target in sorted(state.links):
        if can_arrive(state, target, state.links[source, target][0]):
            yield "arrive", source, target
    if (state.recovery.busy and not state.recovery.paused) or new_item_may_go(state):
        for target in state.targets:
            yield "send_item", target
    if may_close(state):
        yield ("close",)
    for ident, worker in sorted(state.workers.items()):
        if worker.queue and worker.queue[0][1] <= worker.known.epoch(REGION):
            yield from (("work", ident, choice) for choice in choices(state, worker))
    for ident, receiver in sorted(state.receivers.items()):
        if receiver.queue:
            yield "finish", ident
    for ident in mortal(state):
        if state.kills:
            yield from (("kill", ident, cut) for cut in cuts(state, ident))
        if state.falsely and ident not in state.dead and ident in state.announced:
            yield "declare_dead", ident
    for ident in state.unnoticed:
        yield "notice", ident
    for ident in state.starting:
        yield "announce", ident


def can_arrive(state: State, target: int, message: tuple[Any, ...]) -> bool:
    """A new worker hears nothing before INIT (rule 16)."""
    if target in state.workers and not state.workers[target].known.born:
        return message[0] == "init"
    return True


def new_item_may_go(state: State) -> bool:
    return not state.recovery.busy and state.ledger.next_number < state.shape.items


def may_close(state: State) -> bool:
    all_sent = state.ledger.next_number == state.shape.items and state.ledger.empty
    return all_sent and not state.closed and not state.recovery.busy


def mortal(state: State) -> list[int]:
    sinks = state.receivers if state.shape.functions else ()
    return sorted(i for i in (*state.workers, *sinks) if i not in state.killed)


def choices(state: State, worker: Worker) -> list[Any]:
    """What an attempt may come to: who gets the result, or which outputs, or nobody."""
    alive = sorted(p for p in worker.known.peers if FIRST_RECEIVER <= p < FIRST_WORKER)
    if state.shape.fork == "switch":
        outputs = range(state.shape.receivers)
        masks = [tuple(o for o in outputs if bits >> o & 1) for bits in range(1, 2 ** len(outputs))]
        return masks + [()] * state.shape.drops
    return [*alive, *[None] * state.shape.drops]


def cuts(state: State, ident: int) -> list[tuple[int, ...]]:
    """How much of what a worker has sent still arrives, for each of its links."""
    found: list[tuple[int, ...]] = [()]
    for source, target in sorted(state.links):
        if source == ident:
            lengths = range(len(state.links[source, target]) + 1)
            found = [(*cut, length) for cut in found for length in lengths]
    return found


# ------------------------------------------------------------------ the steps
def arrive(state: State, source: int, target: int) -> None:
    queue = state.links[source, target]
    message = queue.pop(0)
    if not queue:
        del state.links[source, target]
    if target == SENDER:
        _at_sender(state, source, message)
    elif target in state.receivers:
        _at_receiver(state, target, source, message)
    elif target in state.workers:
        _at_worker(state, target, source, message)


def _at_sender(state: State, source: int, message: tuple[Any, ...]) -> None:
    recovery = state.recovery
    if not state.known.admits(RUN, source):
        return  # rule 9: also a late confirmation of a dead Sink
    match message:
        case ("confirm", number, path):
            state.ledger.acknowledge([(number, number + 1)], path)
            _mark(state)
        case ("dropped", number, path, epoch):
            if epoch == recovery.epoch or state.shape.without == "epochs of drops":
                state.ledger.acknowledge([(number, number + 1)], path)
                _mark(state)
        case ("fence", epoch, dead, receivers):
            if state.known.fence(REGION, epoch, dead):
                recovery.lost(state.known.dead)
                waits_for = () if state.shape.without == "waiting for FENCED" else receivers
                recovery.fence(epoch, waits_for)
        case ("fenced", epoch, held):
            recovery.fenced(source, epoch, [([(n, n + 1)], path) for n, path in held])
        case ("join", ident):
            state.known.join(Peer(ident, 0, ""))
            if ident < FIRST_WORKER and state.closed:
                state.send(SENDER, ident, "close")


def _mark(state: State) -> None:
    if state.shape.ordered:
        for ident in sorted(state.receivers):
            state.send(SENDER, ident, "mark", state.ledger.mark)


def _at_worker(state: State, ident: int, source: int, message: tuple[Any, ...]) -> None:
    worker = state.workers[ident]
    known, waits = worker.known, state.shape.without != "waiting for FENCE"
    match message:
        case ("init", epoch, dead, peers):
            known.init([(REGION, epoch)], dead, [Peer(i, 0, "") for i in peers])
        case ("fence", epoch, dead, _):
            if known.fence(REGION, epoch, dead):
                worker.queue = [item for item in worker.queue if item[1] >= epoch]
        case ("join", peer):
            known.join(Peer(peer, 0, ""))
        case ("item", epoch, *_) if known.admits(RUN, source):
            if epoch > known.epoch(REGION) and not waits:
                known.epochs[REGION] = epoch
            if epoch >= known.epoch(REGION):
                worker.queue.append(message)


def _at_receiver(state: State, ident: int, source: int, message: tuple[Any, ...]) -> None:
    receiver = state.receivers[ident]
    known = receiver.known
    match message:
        case ("fence", epoch, dead, _):
            fresh = known.fence(REGION, epoch, dead)
            if fresh:
                held = () if state.shape.without == "held" else tuple(receiver.queue)
                state.send(ident, SENDER, "fenced", epoch, held)
        case ("init", epoch, dead, peers):
            known.init([(REGION, epoch)], dead, [Peer(i, 0, "") for i in peers])
        case ("join", peer):
            known.join(Peer(peer, 0, ""))
        case ("mark", mark):
            assert receiver.order is not None
            receiver.order.marked(mark)
            _take_in_order(receiver)
        case ("close",):
            receiver.closed = True
            if receiver.order is not None:
                receiver.order.marked(ALL)
                _take_in_order(receiver)
        case ("item", epoch, number, path, _):
            late = epoch < known.epoch(REGION) or not known.admits(RUN, source)
            if state.shape.without == "epochs of items":
                late = False
            elif state.shape.without == "epochs, repeats dropped instead":
                late = number in receiver.seen
            if late:
                return
            receiver.seen.add(number)
            assert not receiver.closed, f"item {number} after CLOSE"
            if state.shape.functions:
                receiver.queue.append((number, path))
                return
            if receiver.order is not None:
                receiver.order.add([(number, number + 1)], _outputs(path), (number, path))
                _take_in_order(receiver)
            else:
                receiver.got.append((number, path))
            state.send(ident, SENDER, "confirm", number, path)


def _outputs(path: Path) -> tuple[int, ...]:
    return tuple(step[0] for step in path)


def _take_in_order(receiver: Receiver) -> None:
    assert receiver.order is not None
    while (piece := receiver.order.pop()) is not None:
        receiver.got.append(piece.parcel)


def send_item(state: State, target: int) -> None:
    """The sender sends the next item: one again, as long as there is one, or a new one."""
    recovery = state.recovery
    again = recovery.next() if recovery.busy else None
    if again is not None:
        done = tuple(sorted(again.done))
        state.send(SENDER, target, "item", recovery.epoch, again.first, ROOT, done)
        recovery.sent(again.first + 1)
    elif new_item_may_go(state):
        number = state.ledger.open(1, 1, None)
        state.send(SENDER, target, "item", recovery.epoch, number, ROOT, ())


def close(state: State) -> None:
    state.closed = True
    for ident in state.receivers:
        if ident in state.known.peers:
            state.send(SENDER, ident, "close")


def work(state: State, ident: int, choice: Any) -> None:
    """A worker calls its functor, and sends what came of it."""
    worker = state.workers[ident]
    _, epoch, number, path, done = worker.queue.pop(0)
    if state.shape.fork != "switch":
        if choice is None:
            state.dropped.add(number)
            state.send(ident, SENDER, "dropped", number, path, epoch)
        else:
            state.send(ident, choice, "item", epoch, number, path, done)
        return
    promised = promised_mask(path, done)
    if state.shape.without == "promised mask":
        promised = None
    mask = choice if promised is None else promised
    if not mask:
        state.dropped.add(number)
        state.send(ident, SENDER, "dropped", number, path, epoch)
    for output in mask:
        leaf = (*path, (output, mask))
        if complete(leaf, done):
            continue
        receiver = FIRST_RECEIVER + output
        if output in choice:
            state.send(ident, receiver, "item", epoch, number, leaf, tuple(under(leaf, done)))
        else:
            state.dropped.add(number)
            state.send(ident, SENDER, "dropped", number, leaf, epoch)


def finish(state: State, ident: int) -> None:
    """A function Sink has returned."""
    receiver = state.receivers[ident]
    number, path = receiver.queue.pop(0)
    receiver.got.append((number, path))
    state.send(ident, SENDER, "confirm", number, path)


# ------------------------------------------------------------------ deaths
def kill(state: State, ident: int, cut: tuple[int, ...]) -> None:
    state.kills -= 1
    state.killed.add(ident)
    links = sorted(link for link in state.links if link[0] == ident)
    for link, length in zip(links, cut, strict=True):
        state.links[link] = state.links[link][:length]
    for link in list(state.links):
        if link[1] == ident or not state.links[link]:
            del state.links[link]
    if ident in state.workers:
        state.workers[ident].queue.clear()
    else:
        state.receivers[ident].queue.clear()
    if ident not in state.dead:
        state.unnoticed.append(ident)


def declare_dead(state: State, ident: int) -> None:
    state.falsely -= 1
    _bury(state, ident)


def notice(state: State, ident: int) -> None:
    state.unnoticed.remove(ident)
    if ident not in state.dead:
        _bury(state, ident)


def _bury(state: State, ident: int) -> None:
    """The supervisor takes in a death (rule 11)."""
    state.epoch += 1
    state.dead.add(ident)
    was_announced = ident in state.announced
    state.announced.discard(ident)
    if not was_announced and ident in state.starting:
        state.starting.remove(ident)
    receivers = tuple(sorted(i for i in state.announced if i < FIRST_WORKER))
    dead = tuple(runs_of(sorted(state.dead)))
    for member in (SENDER, *sorted(state.announced)):
        state.send(SUPERVISOR, member, "fence", state.epoch, dead, receivers)
    new = state.next_id if ident >= FIRST_WORKER else ident + state.shape.receivers
    if ident >= FIRST_WORKER:
        state.next_id += 1
        state.workers[new] = Worker(Membership(RUN))
    else:
        state.receivers[new] = Receiver(Membership(RUN))
    state.starting.append(new)


def announce(state: State, ident: int) -> None:
    """A new worker is ready (rule 16)."""
    state.starting.remove(ident)
    peers = (SENDER, *sorted(state.announced))
    state.send(SUPERVISOR, ident, "init", state.epoch, tuple(runs_of(sorted(state.dead))), peers)
    for member in peers:
        state.send(SUPERVISOR, member, "join", ident)
    state.announced.add(ident)


STEPS = {
    step.__name__: step
    for step in (arrive, send_item, close, work, finish, kill, declare_dead, notice, announce)
}


# ------------------------------------------------------------------ what must hold
def check(state: State) -> None:
    """At every step: nothing twice; of a switch nothing of two choices; in order."""
    given: dict[int, list[Path]] = {}
    for ident, receiver in state.receivers.items():
        if state.shape.functions and (ident in state.killed or ident in state.dead):
            continue  # what it has done may be done again
        for number, path in receiver.got:
            given.setdefault(number, []).append(path)
        if state.shape.ordered:
            numbers = [number for number, _ in receiver.got]
            assert numbers == sorted(numbers), f"out of order: {numbers}"
    for number, paths in given.items():
        assert len(set(paths)) == len(paths), f"item {number} twice: {paths}"
        masks = {path[0][1] for path in paths if path}
        assert len(masks) <= 1, f"item {number} of two choices: {paths}"


def check_end(state: State) -> None:
    """Where nothing can happen any more: all is there, everybody knows that it has ended."""
    assert state.closed, "a deadlock: the sender has not closed"
    living = {i: r for i, r in state.receivers.items() if i not in state.killed | state.dead}
    assert all(receiver.closed for receiver in living.values()), "a receiver does not end"
    given = {number for r in state.receivers.values() for number, _ in r.got}
    lost = set(range(state.shape.items)) - given - state.dropped
    assert not lost, f"lost: {lost}"


def without(shape: Shape, rule: str) -> Shape:
    return replace(shape, without=rule)
