"""How much goes into one parcel."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from minipipe.codec import Encoder
from minipipe.protocol.flow.credit import Grant
from minipipe.stream.memory import Memory
from minipipe.stream.outlet import PARCEL_BYTES, Outlet
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
        lambda spec, targets, shipment, everybody: sent.append(
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
