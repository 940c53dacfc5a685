"""Workers on two hosts, which reach each other through gateways only."""

from __future__ import annotations

import itertools
import random
import tempfile
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import pytest

import minipipe as mp
from minipipe.errors import ItemTypeError, RecordError
from minipipe.protocol.delivery.membership import LOCAL_HOST, SUPERVISOR
from minipipe.stream import Node, records, wire
from minipipe.transport import NATIVE
from tests.conftest import wait_until
from tests.stream.gateways import Crossed, Gateways
from tests.stream.harness import RUN, Line
from tests.transport.conftest import zero_copy_is_warm  # noqa: F401 (a fixture)

THERE = "there"
MEMORY_BYTES = 64 * 1024 * 1024
LARGE = np.arange(100_000.0)
_numbers = itertools.count()

Make = Callable[..., Line]


def double(x: int) -> int:
    return 2 * x


@pytest.fixture(params=["inproc", "ipc"])
def make(request: pytest.FixtureRequest) -> Iterator[Make]:
    """Makes a line whose workers are on these hosts."""
    made: list[Line] = []
    with tempfile.TemporaryDirectory(prefix="mpt", dir="/tmp") as place:

        def line(transforms: list[Any], *, there: set[int], **options: Any) -> Line:
            bases = {host: f"inproc://{host}{next(_numbers)}" for host in (LOCAL_HOST, THERE)}
            if request.param == "ipc":
                bases = {h: f"ipc://{tempfile.mkdtemp(dir=place)}" for h in bases}
            gateways = Gateways(bases, trust=NATIVE)
            hosts = dict.fromkeys(there, THERE)
            options = {"memory_bytes": MEMORY_BYTES, "buffer_size": 10, **options}
            made.append(Line(transforms, hosts=hosts, gateways=gateways, **options))
            made[-1].introduce()
            settle(made[-1], lambda: all(node.membership.born for node in made[-1].nodes))
            return made[-1]

        yield line
        for each in made:
            each.close()


def settle(line: Line, until: Callable[[], bool]) -> None:
    """Lets messages arrive, and nobody work, until something is so."""

    def so() -> bool:
        for node in line.nodes:
            line.serve(node)
            node.flush(0.0, idle=True)
        return until()

    wait_until(so, "what a message is to bring about")


def knows(line: Line) -> None:
    """Lets everybody greet whom it puts to, and grant."""
    receivers = [node for node in line.nodes if node.inlets]
    settle(line, lambda: all(line.inlet(node).producers.by_ident for node in receivers))
    settle(line, lambda: all(line.outlet(n).ready for n in line.nodes if n.outlets))


def said(crossed: Crossed) -> list[NamedTuple]:
    """The records of a message between hosts."""

    class Anywhere:
        bound_address, trust = "anywhere", NATIVE

        def receive(self) -> None:
            """Nothing comes here."""

    return wire.read(crossed.message, Anywhere()).records()


def parcels(line: Line) -> list[Crossed]:
    """The messages between hosts that have items."""
    assert line.gateways is not None
    return [
        crossed
        for crossed in line.gateways.crossed
        if any(type(record) is records.Items for record in said(crossed))
    ]


def put(line: Line, *items: Any) -> None:
    """The Source sends these, a parcel each."""
    outlet = line.outlet(line.source)
    for item in items:
        settle(line, lambda: outlet.ready)
        outlet.add(item)
        outlet.added(1.0, 1.0, 1)
        outlet.flush()


def broadcast(line: Line, *items: Any) -> list[list[Any]]:
    """The Source sends these, a parcel each; what each of the others has got at the end."""
    got: list[list[Any]] = [[] for _ in line.nodes]

    def has_come(count: int) -> bool:
        for node, mine in zip(line.nodes, got, strict=True):
            mine += taken(line, node) if node.inlets else ()
        return all(len(mine) == count for mine in got[1:])

    for count, item in enumerate(items, 1):
        put(line, item)
        settle(line, lambda count=count: has_come(count))  # type: ignore[misc]
    return got[1:]


def taken(line: Line, node: Node) -> list[Any]:
    """What waits at a node, worked off."""
    inlet, items = line.inlet(node), []
    while inlet.queue:
        turn = inlet.next_batch()
        items += turn.items
        turn.reached(turn.parcel.count)
        node.report_turn(inlet)
        inlet.end()
    return items


# ---------------------------------------------------------------------------- work is shared
def test_items_go_to_workers_of_all_hosts_and_come_from_them_once_each(make: Make) -> None:
    line = make([(double, 2)], sinks=2, items=200, there={3, 5})
    line.run(random.Random(1))
    assert sorted(line.got) == [2 * x for x in range(200)]
    assert all(line.inlet(node).items_in for node in line.nodes[1:])
    assert {crossed.host for crossed in parcels(line)} == {LOCAL_HOST, THERE}


def test_what_one_sends_to_workers_of_another_host_keeps_its_order(make: Make) -> None:
    line = make([], sinks=2, items=0, there={2, 3})
    knows(line)
    put(line, *range(6))
    assert line.gateways is not None
    line.source.send(2, records.Mark(0, 1))
    line.source.outbox.flush()
    settle(line, lambda: sum(line.inlet(node).queued_items for node in line.nodes[1:]) == 6)
    numbers = [said(crossed)[-1].runs[0] for crossed in parcels(line)]  # type: ignore[attr-defined]
    assert numbers == list(range(6))
    to_it = [said(crossed)[-1] for crossed in line.gateways.crossed if 2 in crossed.workers]
    assert type(to_it[-1]) is records.Mark


def test_the_supervisor_is_reached_from_everywhere(make: Make) -> None:
    line = make([], items=0, there={2})
    line.nodes[1].report(records.Wired())
    assert line.gateways is not None
    heard: list[Any] = []

    def comes() -> bool:
        line.serve(line.source)
        heard.append(line.supervisor.receive())
        return heard[-1] is not None

    wait_until(comes, "the report")
    # (The other one may have said something to this one since.)
    assert (THERE, LOCAL_HOST, (SUPERVISOR,)) in [one[:3] for one in line.gateways.crossed]
    message = wire.read(heard[-1], line.supervisor)
    assert (message.sender, message.records()) == (2, [records.Wired()])


# -------------------------------------------------------------------------------- broadcasts
def branches(count: int) -> mp.Broadcast:
    return mp.Broadcast([mp.Sink(print, f"k{number}") for number in range(count)])


def test_a_broadcast_crosses_once_for_all_workers_of_a_host(make: Make) -> None:
    line = make([], items=0, there={3, 4, 5}, branches=branches(4))
    knows(line)
    assert not line.source.outbox.awaiting
    assert broadcast(line, "a", "b", "c") == [["a", "b", "c"]] * 4
    assert [crossed.workers for crossed in parcels(line)] == [(3, 4, 5)] * 3


def test_nobody_far_away_is_waited_for_to_subscribe(make: Make) -> None:
    line = make([], items=0, there={2, 3}, branches=branches(2))
    settle(line, lambda: line.outlet(line.source).ready)
    assert not line.source.outbox.awaiting and not line.source.outbox.filenos()


def test_behind_a_broadcast_comes_the_last_word_to_one_that_leaves(make: Make) -> None:
    line = make([], items=0, there={2, 3}, branches=branches(2))
    knows(line)
    put(line, "a")
    line.tell(line.source, records.Retiring(2))
    assert line.gateways is not None
    crossed = line.gateways.crossed
    settle(line, lambda: any(type(said(one)[-1]) is records.Last for one in crossed))
    kinds = [type(said(one)[-1]) for one in crossed if one.host == THERE and 2 in one.workers]
    assert kinds[-2:] == [records.Items, records.Last]


def test_one_that_leaves_says_goodbye_to_each_of_another_host_by_one_channel(make: Make) -> None:
    line = make([(double, 1)], items=0, there={3, 4}, branches=branches(2))
    knows(line)
    leaver = line.nodes[1]
    line.tell(leaver, records.Retire(()))
    settle(line, lambda: leaver.orders.leaving)

    def block(until: Callable[[], bool]) -> None:
        settle(line, until)

    leaver.departure.say_bye(block)
    assert {peer for peer, _ in leaver.departure._taken} == {1, 3, 4}
    assert len(leaver.departure._taken) == 3


# ------------------------------------------------------------------------------------- deaths
def test_after_a_death_there_the_items_are_sent_again_to_who_lives(make: Make) -> None:
    line = make([], sinks=2, items=0, there={2, 3})
    knows(line)
    put(line, *range(6))
    dead = line.nodes.pop(1)
    for node in line.nodes:
        line.tell(node, records.Fence(0, 1, ((2, 3),), (3,), ()))
    (sink,) = line.nodes[1:]
    got: list[Any] = []

    def all_came() -> bool:
        got.extend(taken(line, sink))
        return len(got) >= 6

    settle(line, all_came)
    settle(line, lambda: line.outlet(line.source).settled)
    assert sorted(got) == list(range(6))
    dead.memory.close()


def test_a_broadcast_names_none_of_the_dead(make: Make) -> None:
    line = make([], items=0, there={2, 3, 4}, branches=branches(3))
    knows(line)
    put(line, "a")
    dead = line.nodes.pop(2)  # kept: its sockets, if they were collected here, would linger
    dead.memory.close()
    for node in line.nodes:
        line.tell(node, records.Fence(0, 1, ((3, 4),), (2, 4), ()))
    settle(line, lambda: all(node.membership.epoch(0) == 1 for node in line.nodes))
    fanout = line.source.outbox._fanouts[line.outlet(line.source).spec.stream]
    (link,) = fanout.links_to([2, 4], everybody=False)
    assert link[1] == [2, 4]
    link[0].add(records.Mark(0, 0))
    link[0].flush()
    assert line.gateways is not None
    crossed = line.gateways.crossed

    def whom_it_names() -> list[tuple[int, ...]]:
        return [one.workers for one in crossed if type(said(one)[-1]) is records.Mark]

    settle(line, lambda: whom_it_names() == [(2, 4)])


# ----------------------------------------------------------------- what may come from elsewhere
class Odd:
    """An item that has no form of its own."""

    def __init__(self) -> None:
        self.parts = [1]

    def __reduce__(self) -> Any:
        return Odd, ()


def test_an_item_without_a_native_form_is_refused_where_it_is_made(make: Make) -> None:
    line = make([], items=0, there=set())
    with pytest.raises(ItemTypeError) as raised:
        line.outlet(line.source).add({"x": [Odd()]})
    assert str(raised.value) == (
        f"item['x'][0] of type {__name__}.Odd cannot be sent: its class has no form of its own; "
        "between hosts nothing is pickled, unless run(bind=..., allow_pickle=True) says so"
    )


def test_arrays_that_are_broadcast_cross_once_and_lie_in_slots_on_both_hosts(make: Make) -> None:
    arrays = [np.full(125_000, float(n)) for n in range(3)]
    line = make([], items=0, there={3, 4, 5, 6}, branches=branches(5))
    knows(line)
    put(line, arrays)
    near, *far = line.nodes[1:]
    settle(line, lambda: all(line.inlet(node).queue for node in (near, *far)))
    (crossed,) = parcels(line)
    assert 3_000_000 <= crossed.size_bytes < 3_010_000 and crossed.workers == (3, 4, 5, 6)
    assert line.gateways is not None
    lifting = line.gateways.slots[THERE].lifting
    assert lifting.size_bytes < 4_000_000
    line.source.memory.close()  # nobody there looks into this host
    for node in far:
        (parcel,) = line.inlet(node).queue
        assert parcel.leases and not any(map(len, parcel.frames))
        ((*got,),) = line.inlet(node).next_batch().items
        assert all(map(np.array_equal, got, arrays))
        del got
    settle(line, lambda: not lifting.held_bytes)
    for node in (near, *far):
        line.inlet(node).discard()
        node.memory.reader.drain()
    for late_s in (1e9, 2e9):
        lifting.tend(late_s)
    assert not lifting.size_bytes


@pytest.mark.parametrize("publisher", ["", "p"], ids=["inbox", "publisher"])
def test_nobody_is_sent_to_an_address_that_is_none_of_the_run(make: Make, publisher: str) -> None:
    line = make([], items=0, there=set())
    sink = line.nodes[1]
    stream = line.outlet(line.source).spec.stream
    elsewhere = "inproc://elsewhere/1"
    address = elsewhere if not publisher else sink.inbox.address
    hello = records.Hello(stream, 0, address, publisher and elsewhere, with_everybody=False)
    line.tell(sink, hello, sender=9)
    with pytest.raises(RecordError, match=r"record HELLO of .* an address that is none of"):
        settle(line, lambda: False)


def test_a_pickle_is_refused_whoever_sends_it(make: Make) -> None:
    line = make([], items=0, there={1})
    knows(line)
    stream = line.outlet(line.source).spec.stream
    classes = (b"0" * 16, b"a definition")
    record = records.Items(stream, 0, 1, (0, 1), (), (), (), (), (), classes, b"")
    line.post(line.nodes[1], [wire.Writer(RUN, 1).write([record])])
    with pytest.raises(RecordError, match="the definition of a class, and this socket accepts no"):
        settle(line, lambda: False)
