"""When a loop has come to rest: simulated workers, whose items and reports are late at will."""

from __future__ import annotations

import random
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minipipe.protocol.delivery.quiescence import Channel, Quiescence


class Detector(Protocol):
    """What decides whether all is at rest."""

    @property
    def at_rest(self) -> bool: ...

    def quiet(self, worker: int, sent: Mapping[Channel, int], received: Mapping[Channel, int]): ...

    def ended(self, worker: int, sent: Mapping[Channel, int], received: Mapping[Channel, int]): ...


class BySums:
    """At rest when as many items have arrived as were sent, by the last reports: wrong."""

    def __init__(self, workers) -> None:
        self.workers = set(workers)
        self.reports: dict[int, tuple[int, int]] = {}

    def quiet(self, worker, sent, received) -> None:
        self.reports[worker] = sum(sent.values()), sum(received.values())

    ended = quiet

    @property
    def at_rest(self) -> bool:
        if self.reports.keys() < self.workers:
            return False
        return sum(s for s, _ in self.reports.values()) == sum(r for _, r in self.reports.values())


@dataclass
class Worker:
    id: int
    active: bool = True
    ended: bool = False
    sent: Counter[Channel] = field(default_factory=Counter)
    received: Counter[Channel] = field(default_factory=Counter)
    reports: deque[tuple[bool, dict[Channel, int], dict[Channel, int]]] = field(
        default_factory=deque
    )  # under way to the supervisor, in this order

    def report(self) -> None:
        self.reports.append((self.ended, dict(self.sent), dict(self.received)))


class Loop:
    """Workers that send each other a bounded number of items, in all; any step may come next."""

    def __init__(self, rng: random.Random, workers: int, items: int, streams: int = 2) -> None:
        self.rng = rng
        self.workers = [Worker(i + 1) for i in range(workers)]
        self.budget = items
        self.streams = streams
        self.under_way: Counter[Channel] = Counter()

    @property
    def at_rest(self) -> bool:
        """The truth."""
        return not self.under_way.total() and not any(w.active for w in self.workers)

    def step(self, detector: Detector) -> bool:
        """Takes one of all possible steps; False if there is none."""
        rng = self.rng
        steps = [(self.work, w) for w in self.workers if w.active]
        steps += [(self.deliver, c) for c in +self.under_way]
        steps += [(self.tell, w) for w in self.workers if w.reports]
        if not steps:
            return False
        act, what = rng.choice(steps)
        act(what, detector)
        return True

    def work(self, worker: Worker, _: Detector) -> None:
        choice = self.rng.random()
        if choice < 0.5 and self.budget:
            self.budget -= 1
            consumer = self.rng.choice(self.workers)  # possibly itself
            channel = (self.rng.randrange(self.streams), worker.id, consumer.id)
            worker.sent[channel] += 1
            self.under_way[channel] += 1
        else:
            worker.active = False
            worker.ended = choice > 0.95
            worker.report()

    def deliver(self, channel: Channel, _: Detector) -> None:
        self.under_way[channel] -= 1
        worker = self.workers[channel[2] - 1]
        worker.received[channel] += 1
        if worker.ended:
            worker.report()
        else:
            worker.active = True

    def tell(self, worker: Worker, detector: Detector) -> None:
        ended, sent, received = worker.reports.popleft()
        (detector.ended if ended else detector.quiet)(worker.id, sent, received)


def run(loop: Loop, detector: Detector) -> bool:
    """Runs to the end; whether the detector said too early that all is at rest."""
    too_early = False
    while loop.step(detector):
        too_early |= detector.at_rest and not loop.at_rest
    assert loop.at_rest
    return too_early


def detector_of(loop: Loop, kind=Quiescence):
    return kind(w.id for w in loop.workers)


@given(st.randoms(use_true_random=False), st.integers(1, 4), st.integers(0, 25))
@settings(max_examples=150, deadline=None)
def test_it_never_says_so_too_early_and_says_so_in_the_end(rng, workers: int, items: int) -> None:
    loop = Loop(rng, workers, items)
    detector = detector_of(loop)
    assert not run(loop, detector)
    assert detector.at_rest


def test_so_it_is_in_many_other_runs() -> None:
    for seed in range(300):
        loop = Loop(random.Random(seed), workers=3, items=15, streams=1)
        detector = detector_of(loop)
        assert not run(loop, detector), seed
        assert detector.at_rest, seed


def test_equal_sums_say_so_too_early_in_some_of_these_runs() -> None:
    """Why counts are kept by channel."""

    def sums_err(seed: int) -> bool:
        loop = Loop(random.Random(seed), workers=3, items=15, streams=1)
        return run(loop, detector_of(loop, BySums))

    assert any(sums_err(seed) for seed in range(300))


@pytest.mark.parametrize(("kind", "says"), [(BySums, True), (Quiescence, False)])
def test_items_sent_after_a_report_do_not_make_up_for_those_under_way(kind, says: bool) -> None:
    detector = kind([1, 2, 3])
    detector.quiet(3, {}, {})
    detector.quiet(1, {(0, 1, 2): 1, (0, 1, 3): 1}, {})
    # The second of these has woken 3 by now, which sent two items to 2; the first is under way.
    detector.quiet(2, {}, {(0, 3, 2): 2})
    assert detector.at_rest is says


def test_a_loop_rests_at_once_if_nothing_was_ever_sent() -> None:
    detector = Quiescence([1, 2])
    detector.quiet(1, {}, {})
    assert not detector.at_rest  # 2 may be at work
    detector.quiet(2, {}, {})
    assert detector.at_rest


def test_an_item_under_way_keeps_the_loop_awake() -> None:
    detector = Quiescence([1, 2])
    detector.quiet(1, {(0, 1, 2): 1}, {})
    detector.quiet(2, {}, {})
    assert not detector.at_rest
    detector.quiet(2, {}, {(0, 1, 2): 1})
    assert detector.at_rest


def test_items_of_one_stream_do_not_make_up_for_those_of_another() -> None:
    detector = Quiescence([1])
    detector.quiet(1, {(0, 1, 1): 1}, {(5, 1, 1): 1})
    assert not detector.at_rest


def test_what_arrives_at_a_worker_that_has_ended_must_arrive_too() -> None:
    detector = Quiescence([1, 2])
    detector.ended(2, {(0, 2, 1): 1}, {})
    detector.quiet(1, {(1, 1, 2): 1}, {(0, 2, 1): 1})
    assert not detector.at_rest
    detector.ended(2, {(0, 2, 1): 1}, {(1, 1, 2): 1})
    assert detector.at_rest


def test_once_at_rest_a_last_word_does_not_wake_the_loop() -> None:
    detector = Quiescence([1, 2])
    detector.quiet(1, {}, {})
    detector.quiet(2, {}, {})
    detector.ended(1, {(0, 1, 2): 1}, {})
    assert detector.at_rest


def test_a_channel_that_is_left_out_has_not_changed() -> None:
    detector = Quiescence([1])
    detector.quiet(1, {(0, 1, 1): 2}, {(0, 1, 1): 1})
    detector.quiet(1, {}, {(0, 1, 1): 2})
    assert detector.at_rest


def test_counts_that_go_back_are_an_error() -> None:
    detector = Quiescence([1])
    detector.quiet(1, {(0, 1, 1): 2}, {(0, 1, 1): 1})
    with pytest.raises(ValueError, match=r"1 items sent on \(0, 1, 1\), after 2"):
        detector.quiet(1, {(0, 1, 1): 1}, {(0, 1, 1): 1})
    with pytest.raises(ValueError, match=r"0 items received on \(0, 1, 1\), after 1"):
        detector.quiet(1, {(0, 1, 1): 2}, {(0, 1, 1): 0})


def test_of_a_report_that_cannot_be_nothing_is_booked() -> None:
    detector = Quiescence([1])
    detector.quiet(1, {(0, 1, 1): 2}, {(0, 1, 1): 1})
    with pytest.raises(ValueError, match="sent"):
        detector.quiet(1, {(0, 1, 1): 1}, {(0, 1, 1): 2})
    assert not detector.at_rest


@pytest.mark.parametrize("channel", [(0, 2, 1), (0, 1, 9), (0, 9, 1)])
def test_what_a_worker_cannot_have_sent_in_the_loop_is_an_error(channel: Channel) -> None:
    with pytest.raises(ValueError, match="worker 1 reports items sent on"):
        Quiescence([1, 2]).quiet(1, {channel: 1}, {})


@pytest.mark.parametrize("channel", [(0, 1, 2), (0, 9, 1)])
def test_what_a_worker_cannot_have_got_in_the_loop_is_an_error(channel: Channel) -> None:
    with pytest.raises(ValueError, match="worker 1 reports items received on"):
        Quiescence([1, 2]).quiet(1, {}, {channel: 1})


def test_a_report_of_somebody_else_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"worker 3, but the loop is of workers \[1, 2\]"):
        Quiescence([2, 1]).quiet(3, {}, {})


def test_a_worker_that_has_ended_sends_nothing_and_is_not_passive_again() -> None:
    detector = Quiescence([1, 2])
    detector.ended(1, {(0, 1, 2): 1}, {})
    with pytest.raises(ValueError, match="has ended with 1 items sent"):
        detector.ended(1, {(0, 1, 2): 2}, {})
    with pytest.raises(ValueError, match="it has ended"):
        detector.quiet(1, {(0, 1, 2): 1}, {})


def test_a_loop_needs_a_worker() -> None:
    with pytest.raises(ValueError, match="got none"):
        Quiescence([])
