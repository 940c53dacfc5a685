"""Peers of another host: arrays in slots come to them by gateways, in slots of their own host."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from minipipe.protocol.delivery.membership import LOCAL_HOST, Membership, Peer
from minipipe.protocol.run.events import Member
from minipipe.protocol.run.lifecycle import Bound, Lifecycle, SendInit, SendJoin
from minipipe.shm import find_slot, supported
from minipipe.stream import Node, records
from minipipe.stream.arrived import Arrived
from minipipe.stream.shipment import release_settled
from minipipe.transport import LOCAL, NATIVE
from tests.stream.gateways import Gateways
from tests.stream.harness import Line

HERE, THERE = 2, 3  # two Sinks, on two hosts
ELSEWHERE = "elsewhere"
MEMORY_BYTES = 64 * 1024 * 1024
LARGE = np.arange(100_000.0)
_numbers = itertools.count()


@dataclass
class Sample:
    """An item with arrays in it."""

    name: str
    arrays: list[Any]


class Hosts:
    """A Source on one host, a Sink on each of two, and their gateways."""

    def __init__(self, limit_bytes: int, *, native: bool) -> None:
        bases = {host: f"inproc://{host}{next(_numbers)}" for host in (LOCAL_HOST, ELSEWHERE)}
        self.gateways = Gateways(bases, NATIVE if native else LOCAL, limit_bytes)
        self.there = self.gateways.slots[ELSEWHERE].lifting
        options: Any = {"memory_bytes": MEMORY_BYTES, "gateways": self.gateways}
        self.line = Line([], sinks=2, hosts={THERE: ELSEWHERE}, **options)
        self.line.introduce()
        self.tell()

    def tell(self) -> None:
        """Everybody says what he has to say, and hears it."""
        for _ in range(3):
            for node in self.line.nodes:
                self.line.serve(node)
                node.flush(0.0, idle=True)

    def send(self, sink: int, item: Any, *, writes: Any = None) -> None:
        """Sends it to a Sink, the only one that has credit.

        Args:
            writes: what the functor does after it has put the item.
        """
        line = self.line
        outlet = line.outlet(line.source)
        for other in (HERE, THERE):
            window = 5 if other == sink else 0
            grant = records.Grant(outlet.spec.stream, 0, 0, window, 10, 1)
            line.tell(line.source, grant, sender=other)
        line.source.serve()
        outlet.room = 0
        assert outlet.ready
        outlet.add(item)
        if writes is not None:
            line.source.memory.isolate_sent_arrays()
            writes()
        outlet.added(1.0, 1.0, 1)
        outlet.flush()

    def sent_to(self, sink: int, item: Any) -> tuple[Node, Arrived]:
        """The node of a Sink, and the parcel that it got."""
        self.send(sink, item)
        node = self.line.nodes[sink - 1]
        self.line.serve(node)
        return node, self.line.inlet(node).queue[0]

    def settle(self) -> None:
        """All items are dropped where they are, and at their sender."""
        for node in self.line.nodes[1:]:
            self.line.inlet(node).discard()
            node.memory.reader.drain()
        ledger = self.line.outlet(self.line.source).ledger
        assert ledger is not None
        ledger.acknowledge([(0, ledger.next_number)])
        release_settled(ledger)

    def close(self) -> None:
        self.settle()
        self.line.close()


@pytest.fixture(params=["native", "pickled"])
def hosts(request: pytest.FixtureRequest) -> Iterator[Hosts]:
    if not supported():
        pytest.skip("shared memory slots do not work here")
    made = Hosts(MEMORY_BYTES, native=request.param == "native")
    yield made
    made.close()


ITEMS = [LARGE, Sample("a", [LARGE, LARGE[:10], LARGE]), {"x": [LARGE, b"bytes"], "y": (1, "z")}]
each_item = pytest.mark.parametrize("item", ITEMS, ids=["array", "dataclass", "dict"])


def check(got: Any, item: Any) -> None:
    assert type(got) is type(item)
    if isinstance(item, Sample):
        assert got.name == item.name
        assert all(map(np.array_equal, got.arrays, item.arrays))
    elif isinstance(item, dict):
        assert np.array_equal(got["x"][0], LARGE)
        assert (got["x"][1], got["y"]) == (b"bytes", (1, "z"))
    else:
        assert np.array_equal(got, item)


@each_item
def test_a_peer_of_this_host_gets_references(hosts: Hosts, item: Any) -> None:
    _, parcel = hosts.sent_to(HERE, item)
    assert parcel.leases
    assert parcel.size_bytes - len(parcel.body) >= LARGE.nbytes and not parcel.frames
    assert not hosts.there.size_bytes


@each_item
def test_a_peer_of_another_host_gets_slots_of_the_gateway_there(hosts: Hosts, item: Any) -> None:
    node, parcel = hosts.sent_to(THERE, item)
    assert parcel.leases and not any(map(len, parcel.frames))
    assert parcel.size_bytes >= LARGE.nbytes
    assert LARGE.nbytes <= hosts.gateways.crossed[-1].size_bytes < 1.01 * LARGE.nbytes
    hosts.line.source.memory.close()  # it could not look there
    (got,) = hosts.line.inlet(node).next_batch().items
    check(got, item)


@each_item
def test_at_the_limit_arrays_travel_in_the_message(item: Any) -> None:
    hosts = Hosts(0, native=True)
    node, parcel = hosts.sent_to(THERE, item)
    assert not hosts.there.size_bytes and not parcel.frames
    hosts.line.source.memory.close()
    (got,) = hosts.line.inlet(node).next_batch().items
    check(got, item)
    hosts.close()


def test_the_gateway_keeps_a_slot_until_its_receiver_has_it(hosts: Hosts) -> None:
    node, _ = hosts.sent_to(THERE, LARGE)
    assert hosts.there.held_bytes >= LARGE.nbytes
    node.flush(0.0, idle=True)
    hosts.gateways.move()
    assert not hosts.there.held_bytes
    (got,) = hosts.line.inlet(node).next_batch().items
    hosts.there.tend(1e9)
    hosts.there.tend(2e9)
    assert hosts.there.size_bytes and np.array_equal(got, LARGE)  # the receiver has it still
    del got
    hosts.line.inlet(node).abandon()
    hosts.settle()
    hosts.there.tend(3e9)
    hosts.there.tend(4e9)
    assert not hosts.there.size_bytes


def test_what_a_receiver_drops_it_has_as_well(hosts: Hosts) -> None:
    node = hosts.line.nodes[THERE - 1]
    node.membership.mark_dead([(1, 2)])
    with pytest.raises(IndexError):  # of one that is dead
        hosts.sent_to(THERE, LARGE)
    assert hosts.there.held_bytes
    node.flush(0.0, idle=True)
    hosts.gateways.move()
    assert not hosts.there.held_bytes


def test_what_is_kept_for_a_receiver_that_dies_is_let_go(hosts: Hosts) -> None:
    hosts.sent_to(THERE, LARGE)
    assert hosts.there.held_bytes
    hosts.there.forget([THERE])
    assert not hosts.there.held_bytes
    hosts.there.forget([THERE])


def test_what_is_written_later_does_not_cross(hosts: Hosts) -> None:
    memory = hosts.line.source.memory
    assert memory.pool is not None
    array = memory.pool.empty(200_000, np.uint8)
    assert array is not None
    array[:] = 1
    hosts.send(THERE, [array], writes=lambda: array.fill(2))
    array[:] = 3
    hosts.gateways.move()
    array[:] = 4
    node = hosts.line.nodes[THERE - 1]
    node.serve()
    ((got,),) = hosts.line.inlet(node).next_batch().items
    assert set(got.tobytes()) == {1} and set(array.tobytes()) == {4}


def test_of_a_slot_that_is_gone_nothing_was_received(hosts: Hosts) -> None:
    node = hosts.line.nodes[THERE - 1]
    hosts.send(THERE, LARGE)
    hosts.line.source.memory.close()  # as when it dies
    hosts.gateways.move()
    node.serve()
    inlet = hosts.line.inlet(node)
    assert not inlet.queue and inlet.producers.by_ident[1].arrived == 1
    assert not hosts.there.held_bytes


def test_an_array_that_came_from_another_host_is_passed_on_from_its_slot(hosts: Hosts) -> None:
    node, _ = hosts.sent_to(THERE, LARGE)
    (got,) = hosts.line.inlet(node).next_batch().items
    place = find_slot(got[5:])
    assert place is not None and place.offset >= 5 * LARGE.itemsize


def test_what_is_sent_again_to_another_host_is_taken_out_of_its_slots(hosts: Hosts) -> None:
    line = hosts.line
    hosts.sent_to(HERE, LARGE)
    line.tell(line.source, records.Fence(0, 1, ((HERE, HERE + 1),), (THERE,), ()))
    line.tell(line.nodes[THERE - 1], records.Fence(0, 1, ((HERE, HERE + 1),), (THERE,), ()))
    hosts.tell()
    grant = records.Grant(line.outlet(line.source).spec.stream, 0, 0, 5, 10, 1)
    line.tell(line.source, grant, sender=THERE)
    hosts.tell()
    (got,) = line.inlet(line.nodes[THERE - 1]).next_batch().items
    assert np.array_equal(got, LARGE)


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
