"""Slots are lent to peers of this host only: to all others arrays travel inside messages."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from minipipe.protocol.delivery.membership import Membership, Peer
from minipipe.protocol.run.events import Member
from minipipe.protocol.run.lifecycle import Bound, Lifecycle, SendInit, SendJoin
from minipipe.stream import Node, records
from minipipe.stream.arrived import Arrived
from minipipe.stream.shipment import release_settled
from tests.stream.harness import Line

HERE, THERE = 2, 3  # two Sinks, on two hosts
MEMORY_BYTES = 64 * 1024 * 1024
LARGE = np.arange(100_000.0)


@dataclass
class Sample:
    """An item with arrays in it."""

    name: str
    arrays: list[Any]


@pytest.fixture
def line() -> Iterator[Line]:
    made = Line([], sinks=2, hosts={THERE: "elsewhere"}, memory_bytes=MEMORY_BYTES)
    made.introduce()
    for node in made.nodes:
        node.serve()
        node.flush(0.0, idle=True)
    made.source.serve()
    yield made
    for node in made.nodes[1:]:
        made.inlet(node).discard()
    ledger = made.outlet(made.source).ledger
    assert ledger is not None
    ledger.acknowledge([(0, ledger.next_number)])
    release_settled(ledger)
    made.close()


def sent_to(line: Line, sink: int, item: Any) -> tuple[Node, Arrived]:
    """The node of a Sink, and the parcel that it got, the only one that has credit."""
    outlet, node = line.outlet(line.source), line.nodes[sink - 1]
    for other in (HERE, THERE):
        window = 5 if other == sink else 0
        grant = records.Grant(outlet.spec.stream, 0, 0, window, 10, 1)
        line.tell(line.source, grant, sender=other)
    line.source.serve()
    outlet.room = 0
    assert outlet.ready
    outlet.add(item)
    outlet.added(1.0, 1.0, 1)
    outlet.flush()
    node.serve()
    return node, line.inlet(node).queue[0]


ITEMS = [LARGE, Sample("a", [LARGE, LARGE[:10], LARGE]), {"x": [LARGE, b"bytes"], "y": (1, "z")}]


@pytest.mark.parametrize("item", ITEMS, ids=["array", "dataclass", "dict"])
def test_a_peer_of_this_host_gets_references(line: Line, item: Any) -> None:
    _, parcel = sent_to(line, HERE, item)
    assert parcel.leases
    assert parcel.size_bytes - len(parcel.body) >= LARGE.nbytes and not parcel.frames


@pytest.mark.parametrize("item", ITEMS, ids=["array", "dataclass", "dict"])
def test_a_peer_of_another_host_gets_the_arrays_themselves(line: Line, item: Any) -> None:
    node, parcel = sent_to(line, THERE, item)
    assert not parcel.leases
    assert sum(map(len, parcel.frames)) >= LARGE.nbytes
    line.source.memory.close()  # it could not have looked there
    (got,) = line.inlet(node).next_batch().items
    assert type(got) is type(item)
    if isinstance(item, Sample):
        assert got.name == item.name
        assert all(map(np.array_equal, got.arrays, item.arrays))
    elif isinstance(item, dict):
        assert np.array_equal(got["x"][0], LARGE) and (got["x"][1], got["y"]) == (
            b"bytes",
            (1, "z"),
        )
    else:
        assert np.array_equal(got, item)


def test_what_is_sent_again_to_another_host_is_taken_out_of_its_slots(line: Line) -> None:
    sent_to(line, HERE, LARGE)
    line.tell(line.source, records.Fence(0, 1, ((HERE, HERE + 1),), (THERE,), ()))
    line.tell(line.nodes[THERE - 1], records.Fence(0, 1, ((HERE, HERE + 1),), (THERE,), ()))
    line.nodes[THERE - 1].serve()
    line.nodes[THERE - 1].flush(0.0, idle=True)
    grant = records.Grant(line.outlet(line.source).spec.stream, 0, 0, 5, 10, 1)
    line.tell(line.source, grant, sender=THERE)
    line.source.serve()
    line.source.flush(0.0, idle=True)
    node = line.nodes[THERE - 1]
    node.serve()
    parcel = line.inlet(node).queue[0]
    assert not parcel.leases and parcel.frames
    assert np.array_equal(line.inlet(node).next_batch().items[0], LARGE)


def test_who_is_not_known_is_not_local() -> None:
    membership = Membership(1, "here")
    membership.join(Peer(2, 0, "inproc://a", "here"))
    membership.join(Peer(3, 0, "inproc://b", "there"))
    assert [membership.is_local(ident) for ident in (2, 3, 4)] == [True, False, False]


def test_workers_are_told_which_host_each_of_them_is_on() -> None:
    members = [
        Member(1, 0, is_source=True, sends_to=frozenset([0])),
        Member(2, 1, receives_from=frozenset([0])),
    ]
    lifecycle = Lifecycle(members)
    lifecycle.handle(Bound(1, "inproc://1", "here"), 0.0)
    actions = lifecycle.handle(Bound(2, "inproc://2", "there"), 0.0)
    told = {action.worker: action for action in actions if isinstance(action, SendInit | SendJoin)}
    init, join = told[2], told[1]
    assert isinstance(init, SendInit) and isinstance(join, SendJoin)
    assert init.peers == (Peer(1, 0, "inproc://1", "here"),)
    assert join.peer == Peer(2, 1, "inproc://2", "there")
