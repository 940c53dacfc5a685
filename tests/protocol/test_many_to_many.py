"""Several producers before several workers: nothing waits behind a busy one while another idles."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st

from minipipe.protocol.flow.tickets import AHEAD_ITEMS, AHEAD_S, FLIGHT_S
from tests.protocol.dealing import Dealing, Duration, Job, central_s

SEARCH_S = 0.015
Paces = Callable[[random.Random, int], Duration]


def even(service_time_s: float) -> Paces:
    return lambda rng, consumers: lambda number, consumer: service_time_s


def one_is_slower(service_time_s: float, times: float = 20.0) -> Paces:
    return lambda rng, consumers: (
        lambda number, consumer: service_time_s * (times if consumer == 0 else 1.0)
    )


def items_differ(service_time_s: float) -> Paces:
    def made(rng: random.Random, consumers: int) -> Duration:
        took_s: dict[int, float] = {}
        return lambda number, consumer: took_s.setdefault(
            number, service_time_s * rng.lognormvariate(0, 0.7)
        )

    return made


def workers_differ(service_time_s: float) -> Paces:
    def made(rng: random.Random, consumers: int) -> Duration:
        paces_s = [service_time_s * rng.lognormvariate(0, 0.7) for _ in range(consumers)]
        return lambda number, consumer: paces_s[consumer]

    return made


def at_once(items: int, producers: int) -> list[Job]:
    return [Job(0.0, number % producers + 1, number) for number in range(items)]


def against_a_central_queue(
    producers: int, consumers: int, jobs: list[Job], paces: Paces, seed: int = 0
) -> tuple[float, float]:
    """The makespan as a multiple of that of a central queue, and messages an item."""
    duration = paces(random.Random(seed), consumers)
    ideal_s = central_s(consumers, jobs, duration)
    dealing = Dealing(producers, consumers, duration)
    took_s = dealing.run(jobs)
    assert sorted(dealing.done) == sorted(job.number for job in jobs)
    return took_s / ideal_s, dealing.messages / len(jobs)


@pytest.mark.parametrize("all_at_one", [False, True])
@pytest.mark.parametrize(
    ("workers", "items", "service_time_s"), [(8, 16, 1.0), (4, 8, 1.0), (8, 64, 0.25)], ids=str
)
def test_a_few_slow_items_are_shared_evenly(
    workers: int, items: int, service_time_s: float, all_at_one: bool
) -> None:
    jobs = at_once(items, 1 if all_at_one else workers)
    dealing = Dealing(workers, workers, lambda number, consumer: service_time_s)
    took_s = dealing.run(jobs)
    assert [len(consumer.done) for consumer in dealing.all_consumers] == [
        items // workers
    ] * workers
    assert took_s <= 1.05 * service_time_s * items / workers


@pytest.mark.parametrize(
    "paces",
    [
        even(0.002),
        even(0.010),
        even(0.050),
        one_is_slower(0.010),
        one_is_slower(0.050),
        items_differ(0.050),
        workers_differ(0.050),
    ],
)
def test_at_saturation_it_is_as_quick_as_a_central_queue_for_four_messages_an_item(
    paces: Paces,
) -> None:
    for producers, consumers in ((2, 2), (3, 8), (8, 3), (8, 8)):
        jobs = at_once(60 * consumers, producers)
        ratio, messages = against_a_central_queue(producers, consumers, jobs, paces)
        assert ratio <= 1.05, (producers, consumers)
        assert messages <= 4, (producers, consumers)


@given(
    producers=st.integers(2, 64),
    consumers=st.integers(2, 64),
    service_time_s=st.sampled_from((0.005, 0.02, 0.05, 0.3)),
    differ=st.sampled_from((items_differ, workers_differ, one_is_slower)),
    load=st.sampled_from((0.5, 0.8, 1.0, 100.0)),
    seed=st.integers(0, 1000),
)
@example(64, 64, 0.05, items_differ, 100.0, 0)
@example(8, 64, 0.3, one_is_slower, 100.0, 0)
@settings(max_examples=6, deadline=None, phases=[Phase.explicit, Phase.generate])
def test_it_is_as_quick_as_a_central_queue_whatever_the_paces(
    producers: int,
    consumers: int,
    service_time_s: float,
    differ: Callable[[float], Paces],
    load: float,
    seed: int,
) -> None:
    rng = random.Random(seed)
    items = 25 * consumers
    within_s = service_time_s * items / consumers / load
    jobs = [
        Job(rng.uniform(0.0, within_s), rng.randint(1, producers), number)
        for number in range(items)
    ]
    paces, longest_s = differ(service_time_s)(rng, consumers), [0.0]

    def duration(number: int, consumer: int) -> float:
        took_s = paces(number, consumer)
        longest_s[0] = max(longest_s[0], took_s)
        return took_s

    ideal_s = central_s(consumers, jobs, duration)
    dealing = Dealing(producers, consumers, duration)
    took_s = dealing.run(jobs)
    assert len(dealing.done) == items
    # Which worker gets the last of the long items is chance, in a central queue, too; and the
    # last items are not there before somebody has found who is free.
    assert took_s <= 1.05 * ideal_s + longest_s[0] + SEARCH_S


@given(st.integers(0, 10**6))
@settings(max_examples=60, deadline=None)
def test_a_consumer_never_has_more_than_it_has_places_for(seed: int) -> None:
    rng = random.Random(seed)
    places, service_time_s = rng.choice(((1, AHEAD_S), (1 + AHEAD_ITEMS, FLIGHT_S)))
    producers, consumers = rng.randint(2, 6), rng.randint(2, 6)
    dealing = Dealing(producers, consumers, lambda n, c: service_time_s * (1 + c), rng)
    dealing.run(some_jobs(rng, producers))
    for consumer in dealing.all_consumers:
        assert consumer.most <= places


def some_jobs(rng: random.Random, producers: int) -> list[Job]:
    end_s = rng.choice((0.0, 0.5))
    return [
        Job(rng.uniform(0.0, end_s), rng.randint(1, producers), number)
        for number in range(rng.randint(1, 40))
    ]


@given(st.integers(0, 10**6))
@settings(max_examples=150, deadline=None)
def test_every_item_is_finished_whoever_dies_or_joins_or_leaves(seed: int) -> None:
    rng = random.Random(seed)
    producers, consumers = rng.randint(2, 5), rng.randint(2, 5)
    # Among them are paces that are given windows, and some that go to and fro.
    duration = lambda n, c: rng.choice((0.0001, 0.0015, 0.003, 0.01, 0.05))  # noqa: E731
    dealing = Dealing(producers, consumers, duration, rng)

    def dies(at: str) -> None:
        alive: dict[int, object] = getattr(dealing, at)
        victim = rng.choice(sorted(alive))
        if alive.keys() - {victim, *left}:
            dealing.kill(victim)

    def leaves() -> None:
        staying = sorted(dealing.consumers.keys() - set(left))
        if len(staying) > 1:
            left.append(rng.choice(staying))
            dealing.retire(left[-1])

    left: list[int] = []
    for _ in range(rng.randint(0, 8)):
        what = rng.choice(
            (
                lambda: dies("producers"),
                lambda: dies("consumers"),
                dealing.add_producer,
                dealing.add_consumer,
                leaves,
            )
        )
        dealing.at(rng.uniform(0.001, 0.6), what)
    jobs = some_jobs(rng, producers)
    dealing.run(jobs)
    assert Counter(dealing.done) == Counter(job.number for job in jobs)
