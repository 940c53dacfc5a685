"""What a bundle leaves by: as a whole, or not at all; and what is left over at the end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np

from minipipe.codec import Encoder
from minipipe.protocol.delivery.bundles import Bundling
from minipipe.protocol.delivery.ledger import Ledger
from minipipe.protocol.delivery.recovery import Again, Recovery
from minipipe.protocol.flow.credit import Grant
from minipipe.protocol.wiring import OutletSpec
from minipipe.stream.bundling import BundlingOutlet
from minipipe.stream.memory import Memory
from minipipe.stream.shipment import Shipment, release_settled

SIZE = 4
SHIPPED = (
    *("stream", "epoch", "origin", "runs", "path", "keys"),
    *("contents", "done", "select", "members", "bundle_size"),
)
Sent = tuple[int, list[tuple[int, int]], list[tuple[int, int]], Any]  # to whom; bundles, items


class Outgoing:
    """An outlet with two consumers, and what it has sent."""

    def __init__(
        self, *, sender: bool = True, drops_last: bool = False, encoder: Encoder | None = None
    ) -> None:
        self.sent: list[Sent] = []
        self.shipments: list[Shipment] = []
        spec = OutletSpec(
            *(0, "s", 0, (frozenset({1}),), frozenset({1}), sender, 10**6),
            bundling=Bundling(SIZE, drops_last, frozenset({1})),
        )
        recovery = Recovery(Ledger(limit_bytes=10**6, min_items=1)) if sender else None
        made = Encoder() if encoder is None else encoder
        self.outlet = BundlingOutlet(spec, 1, made, self._dispatch, recovery)
        self.outlet.consumers.groups[0].add(7)

    def _dispatch(
        self,
        spec: OutletSpec,
        targets: Sequence[int],
        shipment: Shipment,
        everybody: bool,
        wanted: int,
    ) -> None:
        self.shipments.append(Shipment(*(getattr(shipment, name) for name in SHIPPED)))
        said = (targets[0], shipment.runs, list(shipment.members), shipment.contents)
        self.sent.append(said)

    def grant(self, window: int, consumer: int = 7) -> None:
        self.outlet.consumers.granted(consumer, Grant(0, 0, window, 0.0), 0.0)

    def add(self, *items: Any) -> None:
        for item in items:
            assert self.outlet.ready
            self.outlet.add(item)
            self.outlet.added(1.0, 1.0, 1)


def test_a_bundle_that_is_not_full_waits_for_its_other_items() -> None:
    out = Outgoing()
    out.grant(10)
    out.add(0, 1, 2)
    out.outlet.flush()
    assert not out.sent
    assert not out.outlet.has_unsent
    assert out.outlet.next_number == 3
    out.add(3, 4, 5)
    out.outlet.flush()
    assert out.sent == [(7, [(0, 1)], [(0, 4)], (0, 1, 2, 3))]
    assert out.outlet.next_number == 6
    assert out.outlet.items_out == 4


def test_the_last_bundle_goes_when_there_is_no_more() -> None:
    out = Outgoing()
    out.grant(10)
    out.add(*range(6))
    assert out.outlet.end() == 0
    out.outlet.flush()
    assert out.sent == [(7, [(0, 2)], [(0, 6)], (0, 1, 2, 3, 4, 5))]
    ledger = out.outlet.ledger
    assert ledger is not None
    ledger.acknowledge([(0, 2)])
    assert out.outlet.settled


def test_a_shorter_one_at_the_end_may_be_left_out_and_its_slots_are_given_back() -> None:
    memory = Memory(64 * 1024 * 1024)
    try:
        out = Outgoing(drops_last=True, encoder=Encoder(lender=memory.lender))
        out.grant(10)
        out.add(*(np.full(100_000, i, np.uint8) for i in range(6)))
        held = [token.kind.held for token in cast("list[Any]", out.outlet._pending.tokens)]
        assert out.outlet.end() == 2
        out.outlet.flush()
        assert [runs for _, runs, _, _ in out.sent] == [[(0, 1)]]
        ledger = out.outlet.ledger
        assert ledger is not None
        ledger.acknowledge([(0, 1)])
        release_settled(ledger)
        assert out.outlet.settled
        assert [slot.count for slot in held] == [0] * len(held)
        assert len(held) >= 2
    finally:
        memory.close()


def test_credit_is_counted_in_bundles_and_room_in_items() -> None:
    out = Outgoing()
    out.grant(2)
    assert out.outlet.ready
    assert out.outlet.room == 2 * SIZE
    out.add(*range(7))
    assert out.outlet.room == 1
    out.add(7)
    assert [runs for _, runs, _, _ in out.sent] == [[(0, 2)]]
    assert not out.outlet.ready
    out.grant(3)
    assert out.outlet.ready
    assert out.outlet.room == SIZE


def test_a_consumer_that_is_gone_leaves_what_was_begun_to_another_one() -> None:
    out = Outgoing()
    out.grant(1)
    out.add(0, 1)
    out.outlet.consumers.groups[0].add(8)
    out.outlet.forget({7})
    assert not out.outlet.ready
    out.grant(2, consumer=8)
    out.add(2, 3, 4)
    out.outlet.flush()
    assert out.sent == [(8, [(0, 1)], [(0, 4)], (0, 1, 2, 3))]
    assert out.outlet.room == SIZE - 1


def test_a_part_of_a_parcel_is_sent_again_bundle_by_bundle() -> None:
    out = Outgoing()
    out.grant(10)
    out.add(*range(10))
    out.outlet.end()
    out.outlet.flush()
    ledger = out.outlet.ledger
    assert ledger is not None
    (entry,) = ledger.outstanding(0)
    assert out.outlet.send_again(Again(entry, 1, 3, frozenset())) == 2
    again = cast("Shipment", out.shipments[-1])
    assert (again.runs, again.select, again.members) == ([(1, 3)], ((4, 10),), ((4, 10),))


def test_a_relay_passes_on_what_is_left_of_each_bundle() -> None:
    out = Outgoing(sender=False)
    out.grant(10)
    for numbers in ([9, 11], [0, 1, 2, 3], [4]):
        assert out.outlet.ready
        for number in numbers:
            out.outlet.append(100 + number, 0, number)
        out.outlet.added(1.0, 1.0, 1)
    out.outlet.flush()
    members = [(9, 10), (11, 12), (0, 5)]
    assert out.sent == [(7, [(2, 3), (0, 2)], members, (109, 111, 100, 101, 102, 103, 104))]


def test_a_relay_that_has_lost_its_consumer_sends_no_part_of_a_bundle() -> None:
    out = Outgoing(sender=False)
    out.grant(3)
    for numbers in ([0, 1], [4, 5, 6]):
        assert out.outlet.ready
        for number in numbers:
            out.outlet.append(number, 0, number)
        out.outlet.added(1.0, 1.0, 1)
    out.outlet.consumers.groups[0].add(8)
    out.outlet.forget({7})
    for window in (1, 2):
        out.grant(window, consumer=8)
        out.outlet.flush()
    assert [(to, members) for to, _, members, _ in out.sent] == [(8, [(0, 2)]), (8, [(4, 7)])]
