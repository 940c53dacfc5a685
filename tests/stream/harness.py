"""Nodes of a whole pipeline in one thread, over the in-process transport, step by step."""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import minipipe as mp
from minipipe.graph import Part, line_graph
from minipipe.protocol.delivery.membership import LOCAL_HOST, Peer
from minipipe.stream import Inlet, Node, Outlet, Role, records, wire
from minipipe.stream.memory import Memory
from minipipe.stream.page import Page
from minipipe.transport import Buffer, open_transport
from minipipe.transport import Outlet as Connection
from tests.stream.gateways import Gateways

RUN = 77
_names = itertools.count()


class Line:
    """A linear pipeline whose workers are stepped by the test.

    Args:
        base: of the transport; None: one in this process.
        hosts: by worker, the machine that it is said to run on, if that is another one.
        memory_bytes: what the slots of each worker may come to.
        branches: what the line ends with instead of a Sink.
        gateways: of these machines, which then have transports of their own.
    """

    def __init__(
        self,
        transforms: list[tuple[Callable[[Any], Any], int]],
        sinks: int = 1,
        buffer_size: int | None = None,
        items: int = 10,
        *,
        base: str | None = None,
        hosts: Mapping[int, str] | None = None,
        memory_bytes: int | None = None,
        branches: mp.Broadcast | None = None,
        gateways: Gateways | None = None,
    ) -> None:
        self.hosts = hosts or {}
        self.gateways = gateways
        self._outlets: dict[str, Connection] = {}
        segments = [
            mp.Source(range(items)),
            *(mp.Transform(f) for f, _ in transforms),
            mp.Sink(print) if branches is None else branches,
        ]
        counts = [1, *(n for _, n in transforms), sinks]
        parts = [Part(s, n, buffer_size) for s, n in zip(segments, counts, strict=True)]
        self.graph = line_graph(parts)
        if gateways is None:
            self.transport = open_transport(base or f"inproc://line{next(_names)}")
        else:
            self.transport = gateways.transports[LOCAL_HOST]
        self.supervisor = self.transport.bind("s")
        self.functions = [f for f, _ in transforms]
        self.pending = iter(range(items))
        self.ended = False
        self.got: list[Any] = []
        self.clock = time.monotonic()  # which tickets go by; a step takes longer than it takes
        self.nodes: list[Node] = []
        for segment in self.graph.segments:
            for _ in range(segment.n_processes):
                ident = len(self.nodes) + 1
                host = self.hosts.get(ident, LOCAL_HOST)
                self.nodes.append(
                    Node(
                        run=RUN,
                        ident=ident,
                        wiring=self.graph.wiring(segment.index),
                        transport=self.transport if not gateways else gateways.transports[host],
                        supervisor=self.supervisor.address,
                        page=Page(),
                        memory=Memory(memory_bytes),
                        host=host,
                        gateway=gateways.address(host) if gateways else "",
                    )
                )

    def introduce(self) -> None:
        """INIT to all, as the supervisor does it."""
        for node in self.nodes:
            peers = [
                Peer(n.ident, n.wiring.segment, n.inbox.address, n.membership.host)
                for n in self.nodes
                if n is not node
            ]
            self.tell(node, records.Init((), (), peers, (), self.workers))

    @property
    def workers(self) -> list[tuple[int, int]]:
        """How many of each segment there are."""
        return [(s.index, s.n_processes) for s in self.graph.segments]

    def tell(self, node: Node, *said: NamedTuple, sender: int = 0, run: int = RUN) -> None:
        self.post(node, [wire.Writer(run, sender).write(said)])

    def post(self, node: Node, message: list[Buffer]) -> None:
        """Sends a message to the inbox of a node."""
        address = node.inbox.address
        if address not in self._outlets:
            self._outlets[address] = self.transport.connect(address)
        self._outlets[address].send(message)

    @property
    def source(self) -> Node:
        return self.nodes[0]

    def outlet(self, node: Node) -> Outlet:
        return next(iter(node.outlets.values()))

    def inlet(self, node: Node) -> Inlet:
        return next(iter(node.inlets.values()))

    def serve(self, node: Node) -> None:
        """Takes in what has come for a worker, by the gateways, too."""
        if self.gateways is not None:
            self.gateways.move()
        node.serve()

    def step(self, node: Node) -> None:
        """What a worker does when it has the processor: serves, works off one parcel, flushes."""
        self.clock = max(self.clock + 0.003, time.monotonic())
        self.serve(node)
        if node is self.source:
            self._yield_some(node)
        else:
            self._work(node)
        node.flush(self.clock, idle=True)

    def _yield_some(self, node: Node) -> None:
        outlet = self.outlet(node)
        ledger = outlet.ledger
        assert ledger is not None
        while outlet.ready and not self.ended:
            item = next(self.pending, None)
            if item is None:
                self.ended = True
                break
            outlet.add(item)
            outlet.added(self.clock, self.clock, 1)
        outlet.flush()
        if self.ended and ledger.empty and outlet.last_closed < 0:
            node.peers.close_region(outlet, 0)

    def _work(self, node: Node) -> None:
        inlet = self.inlet(node)
        if not inlet.queue or inlet.turn is not None:
            return
        outlet = next(iter(node.outlets.values()), None)
        if outlet is not None and not outlet.ready:
            return
        turn = inlet.next_batch()
        parcel = turn.parcel
        if outlet is not None:
            outlet.set_origin(parcel.origin, parcel.epoch, parcel.path)
        for number, item in zip(turn.numbers, turn.items, strict=True):
            if outlet is None:
                self.got.append(item)
                continue
            while not outlet.ready:  # a worker would block here
                node.flush(self.clock, idle=True)
                for other in self.nodes:
                    if other is not node and other is not self.source:
                        self.step(other)
                node.serve()
            result = self.functions[node.wiring.segment - 1](item)
            if result is None:
                turn.drops.append(number)
            else:
                outlet.add(result, number)
                outlet.added(self.clock, self.clock, 1)
        turn.reached(turn.parcel.count)
        node.report_turn(inlet)
        inlet.end()

    def finished(self) -> bool:
        receivers = [n for n in self.nodes if n.inlets]
        return self.outlet(self.source).last_closed >= 0 and all(
            self.inlet(n).ended for n in receivers if self.inlet(n).spec.role is not Role.STATELESS
        )

    def run(self, rng: random.Random, limit: int = 20_000) -> None:
        for _ in range(limit):
            if self.finished():
                return
            self.step(rng.choice(self.nodes))
        raise AssertionError("the pipeline did not end")

    def close(self) -> None:
        if self.gateways is not None:
            self.gateways.close()
        self.transport.close()
        for node in self.nodes:
            node.memory.close()
