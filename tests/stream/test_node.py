"""Nodes: exactly once in any schedule, and deaf to what does not belong."""

from __future__ import annotations

import random
from collections.abc import Iterator

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minipipe.errors import WireFormatError
from minipipe.protocol.delivery.headcount import Headcount
from minipipe.protocol.delivery.membership import Peer
from minipipe.stream import StopRun, records, wire
from tests.stream.harness import RUN, Line


@pytest.fixture
def line() -> Iterator[Line]:
    made = Line([(lambda x: x, 1)])
    yield made
    made.close()


@given(
    seed=st.integers(0, 10**6),
    workers=st.lists(st.integers(1, 3), max_size=2),
    sinks=st.integers(1, 3),
    buffer_size=st.sampled_from([None, 1, 2, 5]),
    items=st.integers(0, 60),
    modulus=st.integers(1, 4),
)
@settings(max_examples=40, deadline=None)
def test_every_item_arrives_exactly_once_or_was_dropped_in_any_schedule(
    seed: int, workers: list[int], sinks: int, buffer_size: int | None, items: int, modulus: int
) -> None:
    keep = lambda x: x if modulus == 1 or x % modulus else None  # noqa: E731
    line = Line([(keep, n) for n in workers], sinks, buffer_size, items)
    line.introduce()
    line.run(random.Random(seed))
    kept = [x for x in range(items) if not workers or keep(x) is not None]
    assert sorted(line.got) == kept
    ledger = line.outlet(line.source).ledger
    assert ledger is not None
    assert (ledger.empty, ledger.open_items, ledger.open_bytes) == (True, 0, 0)
    assert ledger.next_number == items
    line.close()


def test_in_order_between_one_producer_and_one_consumer(line: Line) -> None:
    line.introduce()
    line.run(random.Random(1))
    assert line.got == list(range(10))


def test_nothing_is_taken_in_before_init(line: Line) -> None:
    sink = line.nodes[2]
    line.tell(sink, records.Close(0), sender=1)
    sink.serve()
    assert not line.inlet(sink).closed_by
    line.introduce()
    sink.serve()
    assert line.inlet(sink).closed_by == {1}  # it was kept, and taken in afterwards


def test_an_end_is_not_lost_that_comes_before_the_word_of_who_says_it(line: Line) -> None:
    source, sink = line.source, line.nodes[2]
    line.tell(sink, records.Init((), (), (), (), line.workers))
    line.tell(sink, records.Close(0), sender=source.ident)
    sink.serve()
    assert not line.inlet(sink).ended
    # Of another one: that changes nothing.
    line.tell(sink, records.Join(2, 1, line.nodes[1].inbox.address, "local"))
    sink.serve()
    assert not line.inlet(sink).ended
    line.tell(sink, records.Join(source.ident, 0, source.inbox.address, "local"))
    sink.serve()
    assert line.inlet(sink).closed_by == {source.ident} and line.inlet(sink).ended


def test_the_end_of_the_next_pass_is_not_lost_that_comes_before_it_has_begun(line: Line) -> None:
    source, sink = line.source, line.nodes[2]
    line.introduce()
    sink.serve()
    line.tell(sink, records.Close(0, 1), records.Close(0, 2), sender=source.ident)
    sink.serve()
    assert not line.inlet(sink).closed_by
    sink.passes.begin(1)  # the one before was left, or is at its end here
    assert line.inlet(sink).closed_by == {source.ident} and line.inlet(sink).ended
    sink.passes.begin(3)
    assert not line.inlet(sink).closed_by  # that of a pass that is over is dropped
    line.tell(sink, records.Close(0, 3), sender=source.ident)
    sink.serve()
    assert line.inlet(sink).closed_by == {source.ident}


def test_messages_of_another_run_are_dropped(line: Line) -> None:
    line.introduce()
    sink = line.nodes[2]
    sink.serve()
    line.tell(sink, records.Close(0), sender=1, run=RUN + 1)
    sink.serve()
    assert not line.inlet(sink).closed_by


def test_messages_of_the_dead_are_dropped(line: Line) -> None:
    sink = line.nodes[2]
    peers = [Peer(2, 1, line.nodes[1].inbox.address)]
    line.tell(sink, records.Init((), ((1, 2),), peers, (), line.workers))
    line.tell(sink, records.Close(0), sender=1)
    sink.serve()
    assert not line.inlet(sink).closed_by


def test_a_confirmation_of_any_epoch_counts_and_a_drop_of_this_one_only() -> None:
    line = Line([(lambda x: x, 1)], buffer_size=5)
    line.introduce()
    for _ in range(3):
        for node in line.nodes[:2]:
            node.serve()
            node.flush(0.0, idle=True)
    line.step(line.source)
    source = line.source
    source.membership.epochs[0] = 1
    ledger = line.outlet(source).ledger
    assert ledger is not None
    assert ledger.open_items >= 2
    before = ledger.open_items
    line.tell(source, records.Dropped(0, 0, (0, 1), ()), sender=2)
    source.serve()
    assert ledger.open_items == before
    line.tell(source, records.Confirm(0, 0, (0, 1), ()), sender=3)
    source.serve()
    assert ledger.open_items == before - 1
    line.tell(source, records.Dropped(0, 1, (1, 2), ()), sender=2)
    source.serve()
    assert ledger.open_items == before - 2
    line.close()


def test_a_grant_that_comes_twice_or_late_does_no_harm(line: Line) -> None:
    line.introduce()
    for node in line.nodes:
        node.serve()
        node.flush(0.0, idle=True)
    source = line.source
    stream = line.outlet(source).spec.stream
    for taken, window in ((0, 4), (0, 4), (0, 2)):
        line.tell(source, records.Grant(stream, taken, taken, window, 10, 1), sender=2)
    source.serve()
    assert line.outlet(source).consumers.groups[0].room_items(2) == 2


def test_what_is_no_message_is_dropped_and_said(line: Line, caplog) -> None:
    line.introduce()
    sink = line.nodes[2]
    outlet = line.transport.connect(sink.inbox.address)
    outlet.send([b"\xc1garbage"])
    outlet.send([b""])
    sink.serve()
    assert caplog.text.count("dropped a message") == 2


def test_another_wire_version_is_named(line: Line) -> None:
    with pytest.raises(WireFormatError, match="wire version 99, this process speaks 2"):
        wire.read([msgpack.packb((99, 1, 1, []))], line.nodes[0].inbox)


def test_a_wait_ends_with_the_run(line: Line) -> None:
    line.introduce()
    sink = line.nodes[2]
    line.tell(sink, records.Stop("stopped"))
    with pytest.raises(StopRun):
        sink.block(lambda: False)
    assert sink.orders.stopped == "stopped"


@pytest.mark.parametrize(
    "items", [[1, 2.5], [2**63], [-(2**63) - 1, 4], [True, 2], ["a", 1], [0.5]]
)
def test_numbers_of_any_kind_and_size_arrive_as_they_left(items: list[object]) -> None:
    line = Line([])
    line.introduce()
    line.pending = iter(items)
    line.run(random.Random(3))
    assert [(type(x), x) for x in line.got] == [(type(x), x) for x in items]
    line.close()


def test_producers_hear_at_once_what_they_may_send_when_there_are_more_or_fewer_of_them() -> None:
    line = Line([(lambda x: x, 1)], buffer_size=8)
    line.introduce()
    for _ in range(3):
        for node in line.nodes:
            node.serve()
            node.flush(0.0, idle=True)
    sink, inlet = line.nodes[2], line.inlet(line.nodes[2])
    assert inlet.grants(idle=True) == []
    for producers, window in ((2, 4), (3, 3), (2, 4)):  # 3 is no news by itself, beside 4
        sink.ends.count(Headcount({0: 1, 1: producers, 2: 1}))
        assert [said.grant.window for said in inlet.grants(idle=False)] == [window]
        assert inlet.grants(idle=False) == []
    line.close()
