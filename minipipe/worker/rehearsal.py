"""What every worker does at its start, done in the zygote before: its workers are born knowing it.

Python makes much of a program only when that runs first: checks of records, caches, the quick
forms of its own instructions.  Each worker would make that anew, in memory that it has to copy
before: with a hundred of them on two cores, a good part of the time until the first item.
"""

from __future__ import annotations

import itertools
import time

from minipipe.protocol.delivery.membership import SUPERVISOR, Peer
from minipipe.protocol.wiring import InletSpec, OutletSpec, Role, Wiring
from minipipe.stream import Node, records, wire
from minipipe.stream.memory import Memory
from minipipe.stream.page import Page
from minipipe.transport import InprocTransport
from minipipe.worker import pickled_functor  # noqa: F401  # by which every functor comes

RUN = 1
MEMORY_BYTES = 1 << 20
ITEMS = 3
ROUNDS = 3  # more win little, and a run of a few workers pays for them, too

_names = itertools.count()


def rehearse() -> None:
    """Imports, looks up and tries what each worker would, without a socket or a thread."""
    for form in records.FORMS.values():
        if form.cls.__module__ == records.__name__:  # those that workers read
            form.prepare()
    for _ in range(ROUNDS):
        play()


def play() -> int:
    """Sends a few items from one node to another; gives how many have arrived."""
    transport = InprocTransport(f"inproc://rehearsal{next(_names)}")
    nodes: list[Node] = []
    try:
        address = transport.bind("s").address
        for ident, wiring in enumerate((_SOURCE, _SINK), 1):
            nodes.append(_node(ident, wiring, transport, address))
        source, sink = nodes
        _introduce(transport, source, sink)
        _introduce(transport, sink, source)
        for _ in range(2):  # first who is there, then how much each may send
            _serve(*nodes)
        _send(source)
        _serve(sink)
        taken = _take(sink)
        _serve(*nodes)
        return taken
    finally:
        transport.close()
        for node in nodes:
            node.memory.close()


def _node(ident: int, wiring: Wiring, transport: InprocTransport, supervisor: str) -> Node:
    return Node(
        run=RUN,
        ident=ident,
        wiring=wiring,
        transport=transport,
        supervisor=supervisor,
        page=Page(),
        memory=Memory(MEMORY_BYTES),
    )


def _introduce(transport: InprocTransport, node: Node, other: Node) -> None:
    peer = Peer(other.ident, other.wiring.segment, other.inbox.address)
    init = records.Init((), (), (peer,), (), ((0, 1), (1, 1)))
    write, outlet = wire.Writer(RUN, SUPERVISOR).write, transport.connect(node.inbox.address)
    outlet.send([write([init])])
    outlet.send([write([records.Start()])])


def _serve(*nodes: Node) -> None:
    for node in nodes:
        node.serve()
        node.flush(time.monotonic(), idle=True)


def _send(source: Node) -> None:
    (outlet,) = source.outlets.values()
    for number in range(ITEMS):
        if outlet.ready:
            outlet.add(number)
            outlet.added(0.0, 0.0, 1)
            outlet.flush()


def _take(sink: Node) -> int:
    (inlet,) = sink.inlets.values()
    taken = 0
    while inlet.queue:
        turn = inlet.next_batch()
        taken += turn.parcel.count
        turn.reached(turn.parcel.count)
        sink.report_turn(inlet)
        inlet.end()
    return taken


_FIRST, _SECOND = frozenset({0}), frozenset({1})
_SOURCE = Wiring(
    segment=0,
    inlets=(),
    outlets=(
        OutletSpec(
            stream=0,
            name="rehearsal",
            region=0,
            groups=(_SECOND,),
            receivers=_SECOND,
            is_sender=True,
            ledger_bytes=1 << 20,
            holders=_SECOND,
        ),
    ),
)
_SINK = Wiring(
    segment=1,
    inlets=(
        InletSpec(
            stream=0,
            name="rehearsal",
            region=0,
            role=Role.STATEFUL,
            feeders="rehearsal",
            producers=_FIRST,
            closers=_FIRST,
            region_senders=_FIRST,
            rivals=_SECOND,
            buffer_size=None,
        ),
    ),
    outlets=(),
)
