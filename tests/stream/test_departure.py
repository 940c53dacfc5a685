"""A worker that leaves in mid-run, step by step: what it waits for, and what the others say."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest

import minipipe as mp
from minipipe.graph import Part, line_graph
from minipipe.protocol.delivery.membership import Peer
from minipipe.protocol.delivery.paths import ROOT
from minipipe.stream import Node, records, wire
from minipipe.stream.outbox import DIRECT
from minipipe.stream.page import Page
from minipipe.transport import Transport, open_transport
from tests.stream.harness import RUN, Line

SOURCE, LEAVER, COLLEAGUE, SINK = range(4)  # of the nodes; their idents are one higher


def same(x: object) -> object:
    return x


@pytest.fixture
def line() -> Iterator[Line]:
    made = Line([(same, 2)], buffer_size=2)
    made.introduce()
    settle(made.nodes)
    yield made
    made.close()


def settle(nodes: list[Node]) -> None:
    """Lets all that is under way arrive."""
    for _ in range(4):
        for node in nodes:
            node.serve()
            node.flush(0.0, idle=True)


def tell(transport: Transport, node: Node, record: NamedTuple) -> None:
    """Says it to a node, as the supervisor."""
    transport.connect(node.inbox.address).send([wire.Writer(RUN, 0).write([record])])


def waits_until(node: Node, others: list[Node]) -> Callable[[Callable[[], bool]], None]:
    """A `block` that lets the others do something only where there is something to wait for."""

    def block(until: Callable[[], bool]) -> None:
        for _ in range(20):
            if until():
                return
            node.flush(0.0, idle=True)
            settle(others)
            node.serve()
        raise AssertionError("it waits for ever")

    return block


def test_nothing_more_comes_when_every_producer_has_sent_its_last(line: Line) -> None:
    leaver, source = line.nodes[LEAVER], line.nodes[SOURCE]
    line.tell(leaver, records.Retire((1,)))
    leaver.serve()
    assert not leaver.orders.leaving
    line.tell(source, records.Retiring(LEAVER + 1))
    settle([source, leaver])
    assert leaver.orders.leaving


def test_a_producer_that_is_dead_or_gone_need_not_say_so(line: Line) -> None:
    leaver = line.nodes[LEAVER]
    line.tell(leaver, records.Retire((1, 7, 8)))
    line.tell(leaver, records.Last(), sender=1)
    line.tell(leaver, records.Gone(7))
    leaver.serve()
    assert not leaver.orders.leaving
    line.tell(leaver, records.Fence(0, 1, ((8, 9),), (), ()))
    leaver.serve()
    assert leaver.orders.leaving


def test_one_that_leaves_is_sent_nothing_more_and_what_was_chosen_for_it_goes_elsewhere(
    line: Line,
) -> None:
    source = line.nodes[SOURCE]
    outlet = line.outlet(source)
    assert outlet.ready
    for item in range(2):
        outlet.add(item)  # more than a parcel: somebody is chosen
    line.tell(source, records.Retiring(LEAVER + 1))
    source.serve()
    outlet.flush()
    settle(line.nodes)
    assert line.inlet(line.nodes[LEAVER]).queued_items == 0
    assert line.inlet(line.nodes[COLLEAGUE]).queued_items == 2


def test_it_goes_when_what_waits_in_it_was_sent_and_all_was_taken_up(line: Line) -> None:
    leaver, sink = line.nodes[LEAVER], line.nodes[SINK]
    outlet, inlet = line.outlet(leaver), line.inlet(sink)
    line.tell(leaver, records.Retire(()))
    leaver.serve()
    for number in range(2):  # as many as there is credit for
        outlet.set_origin(1, 0, ROOT)
        assert outlet.ready
        outlet.add(number, number)
    outlet.flush()
    outlet.forget(())  # somebody has died or left: who gets the next one is chosen again
    outlet.add(2, 2)
    outlet.flush()
    assert outlet.has_unsent
    arrived: list[int] = []

    def block(until: Callable[[], bool]) -> None:
        waits_until(leaver, [line.nodes[SOURCE], sink])(until_of(until))

    def until_of(until: Callable[[], bool]) -> Callable[[], bool]:
        def checked() -> bool:
            if inlet.queue and inlet.turn is None:
                turn = inlet.next_batch()
                arrived.extend(turn.numbers)
                turn.reached(turn.parcel.count)
                inlet.end()
            return until()

        return checked

    leaver.departure.say_bye(block)
    assert arrived == [0, 1, 2]
    assert leaver.departure._taken == {(SOURCE + 1, DIRECT), (SINK + 1, DIRECT)}


def test_at_the_end_of_the_run_it_waits_for_nobody(line: Line) -> None:
    leaver = line.nodes[LEAVER]
    line.tell(leaver, records.Retire((1,)))
    line.tell(leaver, records.Leave())
    leaver.serve()
    assert leaver.orders.leaving

    def block(until: Callable[[], bool]) -> None:
        assert until()

    leaver.departure.say_bye(block)


def test_behind_what_was_broadcast_goes_a_word_of_its_own() -> None:
    branches = mp.Broadcast([mp.Sink(print, "a"), mp.Sink(print, "b")])
    graph = line_graph([Part(s) for s in (mp.Source([1]), mp.Transform(same, "t"), branches)])
    transport = open_transport("inproc://departure")
    supervisor = transport.bind("s")
    wirings = [graph.wiring(s.index) for s in graph.segments]
    nodes = [
        Node(
            run=RUN,
            ident=ident,
            wiring=wiring,
            transport=transport,
            supervisor=supervisor.address,
            page=Page(),
        )
        for ident, wiring in enumerate(wirings, 1)
    ]
    leaver, others = nodes[1], [nodes[0], *nodes[2:]]
    counts = tuple((w.segment, 1) for w in wirings)
    for node in nodes:
        peers = [
            Peer(n.ident, n.wiring.segment, n.inbox.address, n.membership.host)
            for n in nodes
            if n is not node
        ]
        tell(transport, node, records.Init((), (), peers, (), counts))
    settle(nodes)
    (stream,) = leaver.outlets
    tell(transport, leaver, records.Retire(()))
    leaver.serve()
    leaver.departure.say_bye(waits_until(leaver, others))
    behind = {(ident, stream) for ident in (3, 4)}
    assert leaver.departure._taken == {*behind, *((ident, DIRECT) for ident in (1, 3, 4))}
    transport.close()
