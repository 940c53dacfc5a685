"""How much goes into one parcel."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest

from minipipe.codec import Encoder
from minipipe.protocol.flow.credit import Grant
from minipipe.stream.memory import Memory
from minipipe.stream.outlet import PARCEL_BYTES, PARCEL_S, Outlet
from minipipe.stream.shipment import release_settled
from tests.stream.harness import Line


def sizes_of_parcels(arrays: list[Any], encoder: Encoder) -> list[int]:
    """How many items each parcel holds, if all are put at one moment."""
    line = Line([(lambda x: x, 1)])
    sent: list[int] = []
    made = line.outlet(line.source)
    outlet = Outlet(
        made.spec,
        1,
        encoder,
        lambda spec, targets, shipment, everybody, wanted: sent.append(
            sum(stop - first for first, stop in shipment.runs)
        ),
        made.recovery,
    )
    outlet.consumers.group_of(1).add(2)
    outlet.consumers.granted(2, Grant(0, 0, 10_000, 0.0), 0.0)
    for array in arrays:
        assert outlet.ready
        outlet.add(array)
        outlet.added(1.0, 1.0, 1)
    outlet.flush()
    assert outlet.ledger is not None
    outlet.ledger.acknowledge([(0, len(arrays))])
    release_settled(outlet.ledger)
    line.close()
    return sent


@pytest.mark.parametrize(("in_slots", "each"), [(True, 64), (False, 4)])
def test_arrays_in_slots_share_parcels_that_others_would_fill(in_slots: bool, each: int) -> None:
    memory = Memory(64 * 1024 * 1024)
    encoder = Encoder(lender=memory.lender if in_slots else None)
    count = 2 * each
    size = PARCEL_BYTES // 4
    try:
        found = sizes_of_parcels([np.zeros(size, np.uint8) for _ in range(count)], encoder)
    finally:
        memory.close()
    assert found == [each, each]


@pytest.mark.parametrize(
    ("each_s", "busy_s", "others", "parcels"),
    [
        (0.000_1, 0.0, False, [8]),  # a burst
        (0.000_5, 0.0, False, [1] * 8),  # each is likely alone
        (0.000_55, 1.0, False, [5, 3]),  # but its consumer has enough to do for now
        (0.000_55, 0.0, True, [5, 3]),  # or the next one is being made already
        (0.003, 1.0, False, [1] * 8),
        (0.003, 0.0, True, [1] * 8),
    ],
)
def test_items_wait_for_others_while_nobody_waits_for_them(
    each_s: float, busy_s: float, others: bool, parcels: list[int]
) -> None:
    line = Line([(lambda x: x, 1)])
    sent: list[int] = []
    made = line.outlet(line.source)
    outlet = Outlet(
        made.spec,
        1,
        Encoder(),
        lambda spec, targets, shipment, everybody, wanted: sent.append(
            sum(stop - first for first, stop in shipment.runs)
        ),
        made.recovery,
    )
    accounts = outlet.consumers.group_of(1)
    accounts.add(2)
    now_s = time.monotonic()
    outlet.consumers.granted(2, Grant(0, 0, 10_000, busy_s), now_s)
    accounts.booked(2, 1, 0, now_s)  # what it has to do
    for item in range(8):
        assert outlet.ready
        began_s, now_s = now_s, now_s + each_s
        outlet.add(item)
        pause_s = (PARCEL_S,) if others else ()
        outlet.added(began_s, now_s, 1, *pause_s)
    outlet.flush()
    line.close()
    assert sent == parcels
