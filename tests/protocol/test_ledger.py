"""The ledger, against a dictionary of the items that are open."""

from __future__ import annotations

import gc
import weakref

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from minipipe.protocol.delivery.ledger import Ledger
from minipipe.protocol.delivery.paths import ROOT, Path, complete, outputs

LIMIT_BYTES = 1000
MIN_ITEMS = 4
SIZES = st.integers(0, 700)

# Two outputs; the second one forks again into two: ((0,),) and ((1,0), (1,1)).
LEAVES: tuple[Path, ...] = (
    ((0, (0, 1)),),
    ((1, (0, 1)), (0, (0, 1))),
    ((1, (0, 1)), (1, (0, 1))),
)
PATHS = st.sampled_from((ROOT, ((1, (0, 1)),), *LEAVES))


class Parcel:
    """A payload that can be seen to be gone."""


class LedgerMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.ledger = Ledger(limit_bytes=LIMIT_BYTES, min_items=MIN_ITEMS)
        self.settled: dict[int, set[Path]] = {}  # what is open, and its settled paths
        self.parcels: dict[int, tuple[range, int]] = {}  # by first number, not wholly settled
        self.payloads: dict[int, weakref.ref[Parcel]] = {}
        self.sent = 0
        self.peak_items = 0
        self.peak_bytes = 0

    @rule(count=st.integers(1, 6), size_bytes=SIZES)
    def open(self, count: int, size_bytes: int) -> None:
        payload = Parcel()
        first = self.ledger.open(count, size_bytes, payload)
        assert first == self.sent
        self.sent += count
        self.settled.update((n, set()) for n in range(first, self.sent))
        self.parcels[first] = range(first, self.sent), size_bytes
        self.payloads[first] = weakref.ref(payload)
        self.peak_items = max(self.peak_items, len(self.settled))
        self.peak_bytes = max(self.peak_bytes, self.open_bytes)

    @precondition(lambda self: self.sent)
    @rule(data=st.data(), path=PATHS)
    def settle(self, data: st.DataObject, path: Path) -> None:
        edges = st.integers(0, self.sent)
        pairs = data.draw(st.lists(st.tuples(edges, edges), min_size=1, max_size=3))
        runs = [(min(p), max(p)) for p in pairs if p[0] != p[1]]
        done = self.ledger.acknowledge(runs, path)
        assert done == self.settle_model([n for run in runs for n in range(*run)], path)

    @precondition(lambda self: self.sent)
    @rule(data=st.data(), path=PATHS)
    def ask(self, data: st.DataObject, path: Path) -> None:
        number = data.draw(st.integers(0, self.sent - 1))
        settled = self.settled.get(number)
        expected = settled is None or any(
            complete(path[:length], settled) for length in range(len(path) + 1)
        )
        assert self.ledger.is_settled(number, outputs(path)) == expected

    @precondition(lambda self: self.settled)
    @rule(data=st.data(), path=PATHS)
    def settle_one_parcel(self, data: st.DataObject, path: Path) -> None:
        numbers, _ = self.parcels[data.draw(st.sampled_from(sorted(self.parcels)))]
        done = self.ledger.acknowledge([(numbers.start, numbers.stop)], path)
        assert done == self.settle_model(numbers, path)

    def settle_model(self, numbers, path: Path) -> int:
        done = 0
        expected: set[int] = set()
        for number in numbers:
            if number in self.settled:
                self.settled[number].add(path)
                if complete(ROOT, self.settled[number]):
                    del self.settled[number]
                    done += 1
        for first, (parcel, _) in list(self.parcels.items()):
            if not self.settled.keys() & set(parcel):
                del self.parcels[first]
                expected.add(first)
        release = (
            self.ledger.release_settled()
        )  # each payload once, as soon as nobody needs it again
        assert {first for first in expected if self.payloads[first]() in release} == expected
        assert len(release) == len(expected)
        assert not self.ledger.release_settled()
        return done

    @property
    def open_bytes(self) -> int:
        return sum(size for _, size in self.parcels.values())

    @invariant()
    def counts_equal_the_model(self) -> None:
        ledger = self.ledger
        assert ledger.next_number == self.sent
        assert ledger.open_items == len(self.settled)
        assert ledger.open_bytes == self.open_bytes
        assert ledger.peak_items == self.peak_items
        assert ledger.peak_bytes == self.peak_bytes
        assert ledger.empty == (not self.settled)
        assert ledger.mark == min(self.settled, default=self.sent)
        assert ledger.full == (len(self.settled) >= MIN_ITEMS and self.open_bytes >= LIMIT_BYTES)

    @invariant()
    def what_would_be_sent_again_is_what_is_not_wholly_settled(self) -> None:
        again = [(e.first, e.stop, e.size_bytes) for e in self.ledger.outstanding()]
        assert again == [(p.start, p.stop, size) for p, size in self.parcels.values()]

    @invariant()
    def nothing_is_kept_of_settled_parcels(self) -> None:
        alive = {first for first, payload in self.payloads.items() if payload() is not None}
        assert alive == set(self.parcels)
        for entry in self.ledger.outstanding():
            pieces = list(entry.settling or ())
            assert len(pieces) <= entry.stop - entry.first
            for first, stop, paths in pieces:
                for number in range(first, stop):
                    assert paths == frozenset(self.settled.get(number, {ROOT}))


TestLedgerIsADictionary = LedgerMachine.TestCase
TestLedgerIsADictionary.settings = settings(max_examples=30, stateful_step_count=20, deadline=None)


def ledger(*parcels: int) -> Ledger:
    """A ledger with open parcels of so many items, of 100 bytes each."""
    made = Ledger(limit_bytes=LIMIT_BYTES, min_items=MIN_ITEMS)
    for count in parcels:
        made.open(count, 100, None)
    return made


def test_numbers_are_consecutive_from_0() -> None:
    made = ledger()
    assert [made.open(count, 1, None) for count in (3, 1, 2)] == [0, 3, 4]


def test_a_new_ledger_is_empty_and_has_nothing_to_send_again() -> None:
    made = ledger()
    assert made.empty
    assert not made.full
    assert made.mark == 0
    assert list(made.outstanding()) == []


def test_a_ledger_needs_room() -> None:
    with pytest.raises(ValueError, match="0 bytes, 2 items"):
        Ledger(limit_bytes=0, min_items=2)
    with pytest.raises(ValueError, match="1 bytes, 0 items"):
        Ledger(limit_bytes=1, min_items=0)


@pytest.mark.parametrize("count", [0, -1])
def test_a_parcel_holds_at_least_one_item(count: int) -> None:
    with pytest.raises(ValueError, match=f"got {count}"):
        ledger().open(count, 1, None)


@pytest.mark.parametrize("run", [(0, 4), (-1, 1), (2, 2), (2, 1), (3, 4)])
def test_a_confirmation_of_what_was_not_sent_is_an_error(run: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="was sent"):
        ledger(3).acknowledge([run])


# finding: the runs before the wrong one are taken out of entries and bytes, not out of items
def test_a_wrong_confirmation_leaves_the_counts_true() -> None:
    made = ledger(2, 2)
    with pytest.raises(ValueError, match="was sent"):
        made.acknowledge([(0, 2), (3, 9)])
    still_open = sum(entry.stop - entry.first for entry in made.outstanding())
    assert made.open_items == still_open
    assert made.open_bytes == 100 * len(list(made.outstanding()))


def test_a_large_item_alone_does_not_fill_the_ledger() -> None:
    made = Ledger(limit_bytes=10, min_items=2)
    made.open(1, 10**9, None)
    assert not made.full
    made.open(1, 0, None)
    assert made.full


def test_many_small_items_do_not_fill_the_ledger() -> None:
    made = ledger(10_000)
    assert not made.full


def test_a_parcel_keeps_its_bytes_until_its_last_item_is_settled() -> None:
    made = ledger(3)
    made.acknowledge([(0, 2)])
    assert (made.open_items, made.open_bytes) == (1, 100)
    made.acknowledge([(2, 3)])
    assert (made.open_items, made.open_bytes) == (0, 0)
    assert made.empty


def test_the_mark_stands_at_the_lowest_number_that_is_open() -> None:
    made = ledger(3, 3)
    made.acknowledge([(1, 2), (4, 6)])
    assert made.mark == 0
    made.acknowledge([(0, 1)])
    assert made.mark == 2
    made.acknowledge([(2, 3)])
    assert made.mark == 3
    made.acknowledge([(3, 4)])
    assert made.mark == 6


def test_the_mark_passes_over_what_is_settled_path_by_path() -> None:
    made = ledger(4)
    made.acknowledge([(0, 3)], LEAVES[0])
    made.acknowledge([(0, 3)], LEAVES[1])
    assert made.mark == 0
    made.acknowledge([(0, 2)], LEAVES[2])
    assert made.mark == 2
    made.acknowledge([(2, 3)])
    assert made.mark == 3


def test_what_comes_for_a_parcel_that_is_gone_leaves_the_one_before_it_alone() -> None:
    made = ledger(2, 2, 2)
    made.acknowledge([(2, 4)])
    assert made.acknowledge([(2, 4)], LEAVES[0]) == 0
    assert made.acknowledge([(3, 5)], LEAVES[0]) == 0
    assert [e.settling is None for e in made.outstanding()] == [True, False]


def test_a_broadcast_parcel_is_settled_by_one_confirmation_of_each_subscriber() -> None:
    made = ledger(1000)
    slots: list[Path] = [((slot, (0, 1, 2, 3)),) for slot in range(4)]
    for slot in slots[:-1]:
        assert made.acknowledge([(0, 1000)], slot) == 0
    (entry,) = made.outstanding()
    assert list(entry.settling or ()) == [(0, 1000, frozenset(slots[:-1]))]
    assert made.acknowledge([(0, 1000)], slots[-1]) == 1000


def test_one_run_settles_several_parcels() -> None:
    made = ledger(2, 3, 4)
    assert made.acknowledge([(1, 8)]) == 7
    assert [(e.first, e.stop) for e in made.outstanding()] == [(0, 2), (5, 9)]


def test_a_confirmation_that_comes_twice_counts_once() -> None:
    made = ledger(3)
    assert made.acknowledge([(0, 2), (1, 2)]) == 2
    assert made.acknowledge([(0, 2)]) == 0
    assert made.acknowledge([(0, 3)]) == 1
    assert made.acknowledge([(0, 3)]) == 0


def test_a_forked_item_is_open_until_its_last_leaf() -> None:
    made = ledger(1)
    assert [made.acknowledge([(0, 1)], leaf) for leaf in LEAVES] == [0, 0, 1]
    assert made.empty


def test_a_dropped_item_is_settled_whatever_leaves_an_earlier_attempt_had() -> None:
    made = ledger(2)
    made.acknowledge([(0, 1)], LEAVES[0])
    assert made.acknowledge([(0, 1)], ROOT) == 1
    assert made.acknowledge([(0, 1)], LEAVES[1]) == 0
    assert made.open_items == 1


# ------------------------------------------------------- receivers that hold on to items
def held(*receivers: int, limit_bytes: int = LIMIT_BYTES) -> Ledger:
    """A ledger whose items these receivers hold on to."""
    made = Ledger(limit_bytes=limit_bytes, min_items=MIN_ITEMS)
    for receiver in receivers:
        made.expect_low_watermark(receiver)
    return made


def send(made: Ledger, count: int, size_bytes: int) -> None:
    """Sends a parcel, which is settled at once."""
    first = made.open(count, size_bytes, None)
    made.acknowledge([(first, first + count)])


def test_what_is_settled_still_counts_while_a_receiver_may_hold_it() -> None:
    made = held(7)
    send(made, MIN_ITEMS, LIMIT_BYTES)
    assert made.empty
    assert made.full
    made.low_watermark(7, MIN_ITEMS)
    assert not made.full


def test_without_receivers_that_hold_on_what_is_settled_does_not_count() -> None:
    made = held()
    send(made, MIN_ITEMS, LIMIT_BYTES)
    assert not made.full


def test_a_ledger_is_full_of_what_is_open_also_if_receivers_hold_nothing() -> None:
    made = held(7)
    made.open(MIN_ITEMS, LIMIT_BYTES, None)
    made.low_watermark(7, MIN_ITEMS)
    assert made.full


def test_a_receiver_that_comes_later_holds_nothing_that_is_settled() -> None:
    made = held()
    send(made, MIN_ITEMS, LIMIT_BYTES)
    made.expect_low_watermark(7)
    assert not made.full


def test_a_receiver_that_comes_later_may_get_what_is_open() -> None:
    made = held()
    made.open(MIN_ITEMS, LIMIT_BYTES, None)
    made.expect_low_watermark(7)
    made.acknowledge([(0, MIN_ITEMS)])
    assert made.full
    made.low_watermark(7, MIN_ITEMS)
    assert not made.full


def test_word_from_a_receiver_that_holds_nothing_is_an_error() -> None:
    with pytest.raises(ValueError, match="worker 7"):
        held().low_watermark(7, 0)
    with pytest.raises(ValueError, match=r"worker 7 .* are \[5, 6\]"):
        held(6, 5).low_watermark(7, 0)


@given(st.permutations(range(40)))
@settings(max_examples=20, deadline=None)
def test_a_parcel_settled_item_by_item_in_any_order_ends_settled(order: list[int]) -> None:
    made = ledger(40)
    assert sum(made.acknowledge([(n, n + 1)]) for n in order) == 40
    assert made.empty
    assert made.mark == 40


def test_memory_does_not_grow_with_what_was_settled() -> None:
    made = ledger()
    made.open(1, 1, None)  # one straggler keeps the ledger from being empty
    gc.collect()
    for _ in range(2000):
        first = made.open(10, 100, None)
        made.acknowledge([(first, first + 5)], LEAVES[0])
        made.acknowledge([(first, first + 10)])
    assert len(list(made.outstanding())) == 1
    assert len(made._firsts) == 1
    assert made.open_items == 1
    assert made.peak_items == 11
