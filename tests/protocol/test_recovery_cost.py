"""What a recovery costs: in proportion to the parcels that are open, however much is held."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minipipe.protocol.delivery.ledger import Ledger
from minipipe.protocol.delivery.paths import ROOT, Path, complete
from minipipe.protocol.delivery.recovery import Recovery
from tests.core import pure_only

BOTH = (0, 1)
PATHS: tuple[Path, ...] = (ROOT, ((0, BOTH),), ((1, BOTH),))


class Counted(int):
    """A number that counts how often it is compared."""

    compared = 0

    def __lt__(self, other: Any) -> bool:
        Counted.compared += 1
        return int(self) < int(other)

    def __gt__(self, other: Any) -> bool:
        Counted.compared += 1
        return int(self) > int(other)

    def __le__(self, other: Any) -> bool:
        Counted.compared += 1
        return int(self) <= int(other)

    def __ge__(self, other: Any) -> bool:
        Counted.compared += 1
        return int(self) >= int(other)

    def __hash__(self) -> int:
        return int.__hash__(self)


def recover(recovery: Recovery) -> list[tuple[int, int, frozenset[Path]]]:
    """Sends again all that there is, one item at a time."""
    again = []
    while (part := recovery.next()) is not None:
        again.append((part.first, part.first + 1, part.done))
        recovery.sent(part.first + 1)
    return again


def compared(parcels: int) -> int:
    """How many comparisons it takes if every other item of each parcel is held by somebody."""
    ledger = Ledger(limit_bytes=10**9, min_items=1)
    for _ in range(parcels):
        ledger.open(2, 1, None)
    recovery = Recovery(ledger)
    recovery.fence(1, [11])
    runs = [(Counted(2 * i), Counted(2 * i + 1)) for i in range(parcels)]
    Counted.compared = 0
    recovery.fenced(11, 1, [(runs, ROOT)])
    assert recovery.items == parcels
    assert len(recover(recovery)) == parcels
    return Counted.compared


@pure_only("numbers are compared as what they are, not by methods of theirs")
def test_ten_times_the_parcels_cost_hardly_more_than_ten_times_as_much() -> None:
    few, many = compared(200), compared(2000)
    assert many < 20 * few, (few, many)


@pure_only("no method of a ledger can be replaced")
@pytest.mark.parametrize("parcels", [1, 10, 500])
def test_what_is_held_is_not_looked_at_again_while_there_is_no_room(parcels: int) -> None:
    """A sender that waits for credit asks what comes next every few milliseconds."""
    ledger = Ledger(limit_bytes=10**9, min_items=1)
    for _ in range(parcels + 1):
        ledger.open(1, 1, None)
    recovery = Recovery(ledger)
    recovery.fence(1, [11])
    recovery.fenced(11, 1, [([(0, parcels)], ROOT)])
    looked: list[int] = []
    outstanding = ledger.outstanding

    def counting(number: int = 0) -> Any:
        for entry in outstanding(number):
            looked.append(entry.first)
            yield entry

    ledger.outstanding = counting  # type: ignore[method-assign]
    for _ in range(10):
        part = recovery.next()
        assert part is not None and part.first == parcels
    assert len(looked) == 10


@st.composite
def ledgers(draw: st.DrawFn) -> tuple[list[int], list[tuple[int, int, Path]], Any]:
    sizes = draw(st.lists(st.integers(1, 4), min_size=1, max_size=8))
    number = st.integers(0, sum(sizes))
    some = st.tuples(number, number, st.sampled_from(PATHS)).filter(lambda t: t[0] < t[1])
    return sizes, draw(st.lists(some, max_size=6)), draw(st.lists(some, max_size=6))


@given(ledgers())
@settings(deadline=None)
def test_what_is_sent_again_is_what_is_neither_settled_nor_held(drawn: Any) -> None:
    sizes, settled, held = drawn
    ledger = Ledger(limit_bytes=10**9, min_items=1)
    for size in sizes:
        ledger.open(size, 1, None)
    for first, stop, path in settled:
        ledger.acknowledge([(first, stop)], path)
    recovery = Recovery(ledger)
    recovery.fence(1, [11])
    recovery.fenced(11, 1, [([(first, stop)], path) for first, stop, path in held])
    expected = []
    for number in range(sum(sizes)):
        there = {p for first, stop, p in settled if first <= number < stop}
        if complete(ROOT, there):
            continue
        there |= {p for first, stop, p in held if first <= number < stop}
        if not complete(ROOT, there):
            expected.append((number, number + 1, frozenset(there)))
    assert recovery.items == len(expected)
    assert recover(recovery) == expected
