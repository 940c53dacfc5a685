"""The verdict, held to pipelines whose throughput follows from queueing theory."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minipipe.observe.load import SegmentFacts, SegmentLoad, loads
from minipipe.observe.verdict import (
    COPIED_BYTES_S,
    COPIED_SHARE,
    LARGE_BYTES,
    LITTLE,
    MOST,
    verdict,
)
from minipipe.protocol.run.stats import RunStats, WorkerStats

SECONDS = 10.0


def line(
    *parts: tuple[float, int], cores: float = 64.0, cpu: float = 0.0, waits: float = 0.0
) -> tuple[SegmentLoad, ...]:
    """Segments of a pipeline in its steady state.

    Args:
        parts: of each segment, the seconds an item takes, and its workers.
        cpu: which part of that time needs a core.
        waits: in which part of it there is none.
    """
    rate = min(n / item_s for item_s, n in parts)
    needs = sum(rate * item_s * cpu for item_s, _ in parts)
    rate *= min(1.0, cores / needs) if needs else 1.0
    slowest = max(range(len(parts)), key=lambda i: parts[i][0] / parts[i][1])
    found = []
    for i, (item_s, n) in enumerate(parts):
        busy_s = rate * item_s * SECONDS
        rest_s = n * SECONDS - busy_s
        found.append(
            SegmentLoad(
                name=f"s{i}",
                kind="source" if i == 0 else "transform",
                scalable=i > 0,
                workers=n,
                items_in=round(rate * SECONDS) if i else 0,
                items_out=round(rate * SECONDS),
                busy_s=busy_s,
                starved_s=rest_s if i > slowest else 0.0,
                blocked_s=rest_s if i <= slowest else 0.0,
                cpu_s=busy_s * cpu,
                core_wait_s=busy_s * waits,
            )
        )
    return tuple(found)


def rate_of(*parts: tuple[float, int]) -> float:
    return min(n / item_s for item_s, n in parts)


def test_the_text_names_the_bottleneck_who_waits_and_what_would_mend_it() -> None:
    found = verdict(line((0.004, 1), (0.0125, 1), (0.0052, 1)), 64)
    assert found is not None
    assert str(found) == (
        "bottleneck: 's1' (100% busy; 's0' blocked 68%, 's2' starved 58%). "
        "3 workers instead of 1 would make it 2.4 times faster, then 's2' limits."
    )


def test_who_has_asked_for_more_workers_than_have_a_machine_hears_that() -> None:
    waits = WorkerStats("work/1", "work", 0, "starting", *[0] * 10, None, host="")
    done = {"items_in": 1000, "items_out": 1000, "busy_s": SECONDS}
    runs = replace(waits, worker="work/0", state="running", host="local", **done)
    stats = RunStats("running", SECONDS, (runs, waits, replace(waits, worker="work/2")))
    (load,) = loads(stats, [SegmentFacts("work", "transform", asked=3)])
    assert (load.workers, load.missing) == (1, 2)
    found = verdict([load], 64)
    assert found is not None and found.busy == 1.0
    assert found.text.endswith("(2 of the 3 that it is to have had no machine to begin on.)")


PARTS = st.tuples(st.floats(1e-3, 0.05), st.integers(1, 6))


@given(st.lists(PARTS, min_size=2, max_size=6))
def test_what_it_promises_comes_true_where_the_cores_suffice(
    parts: list[tuple[float, int]],
) -> None:
    found = verdict(line(*parts), 1e6)
    assert found is not None
    at = int(found.bottleneck[1:])
    assert rate_of(parts[at]) == pytest.approx(rate_of(*parts))
    if found.workers is None:
        return
    more = [(s, found.workers) if i == at else (s, n) for i, (s, n) in enumerate(parts)]
    assert rate_of(*more) / rate_of(*parts) == pytest.approx(found.gain, rel=1e-3)
    assert found.gain >= LITTLE
    assert found.workers <= MOST * parts[at][1]
    fewer = [(s, found.workers - 1) if i == at else (s, n) for i, (s, n) in enumerate(parts)]
    assert rate_of(*fewer) < rate_of(*more) * (1 - 1e-6)  # no worker too many


@given(st.lists(PARTS, min_size=2, max_size=6), st.integers(1, 8))
def test_it_never_promises_more_than_the_cores_can_do(
    parts: list[tuple[float, int]], cores: int
) -> None:
    found = verdict(line(*parts, cores=cores, cpu=1.0), cores)
    work_s = sum(item_s for item_s, _ in parts)
    now = min(rate_of(*parts), cores / work_s)
    if found is not None:
        assert found.gain * now <= cores / work_s * 1.001 or found.gain <= LITTLE


def test_a_machine_that_is_full_is_said_and_no_workers_are_asked_for() -> None:
    found = verdict(line((0.001, 1), (0.01, 4), cores=2, cpu=1.0), 2)
    assert found is not None and found.workers is None
    assert str(found).startswith(
        "the machine is full (2.0 of 2 cores are this run's; 's1' takes 91% of that)"
    )


def test_a_machine_that_others_have_filled_is_no_fault_of_the_pipeline() -> None:
    found = verdict(line((0.01, 1), (0.02, 1), cpu=0.1, waits=0.6), 8, idle=0.01)
    assert found is not None and found.workers is None
    assert "full with other work (this run gets 0.1 of 8 cores)" in str(found)
    idle = verdict(line((0.01, 1), (0.02, 1), cpu=0.1, waits=0.6), 8, idle=7.5)
    assert idle is not None and idle.workers == 2  # it has waited behind its own


def test_who_waits_for_a_core_for_some_of_its_time_is_said_to() -> None:
    found = verdict(line((0.01, 1), (0.02, 1), cpu=0.5, waits=0.3), 8, idle=0.01)
    assert "'s1' (100% busy, 30% of that waiting for a core; 's0' blocked 50%)" in str(found)


@given(st.lists(PARTS, min_size=2, max_size=6), st.floats(0, 8))
def test_who_mostly_sleeps_is_promised_the_same_on_a_busy_machine(
    parts: list[tuple[float, int]], idle: float
) -> None:
    quiet = verdict(line(*parts, cpu=0.002, waits=0.02), 8)
    assert verdict(line(*parts, cpu=0.002, waits=0.02), 8, idle=idle) == quiet


def test_nothing_is_said_where_nothing_limits() -> None:
    idle = line((0.01, 1), (0.01, 1))
    half = tuple(
        SegmentLoad(s.name, s.kind, s.scalable, 1, 500, 500, busy_s=5.0, starved_s=5.0)
        for s in idle
    )
    assert verdict(half, 64) is None
    assert verdict((), 64) is None


def test_nothing_is_said_of_a_run_that_was_too_short() -> None:
    few = SegmentLoad("f", "transform", True, 1, 3, 3, busy_s=5.0)
    assert verdict((few,), 64) is None
    short = SegmentLoad("f", "transform", True, 1, 300, 300, busy_s=0.2)
    assert verdict((short,), 64) is None


def test_a_source_that_ended_long_ago_is_not_the_bottleneck() -> None:
    source = SegmentLoad("load", "source", False, 1, 0, 1000, busy_s=0.6)
    work = SegmentLoad("work", "transform", True, 1, 1000, 1000, busy_s=10.0, starved_s=0.1)
    found = verdict((source, work), 64)
    assert found is not None and found.bottleneck == "work"


def test_items_that_are_too_small_are_said_to_be() -> None:
    source = SegmentLoad("load", "source", False, 1, 0, 10**6, busy_s=0.3, blocked_s=2.0)
    work = SegmentLoad("work", "transform", True, 1, 10**6, 10**6, busy_s=0.5, own_s=1.8)
    found = verdict((source, work), 64)
    assert found is not None and found.workers is None
    assert "too small: 0 us of work each, and 2 us" in str(found)


def test_large_items_are_not_said_to_be_too_small_whatever_it_costs_to_hand_them_over() -> None:
    load = SegmentLoad("load", "source", False, 1, 0, 10**4, busy_s=0.3, blocked_s=2.0)
    for bytes_in, bytes_out, is_said in ((10**9, 0, False), (0, 10**9, False), (10**6, 8, True)):
        its = SegmentLoad("f", "transform", True, 1, 10**4, 10**4, busy_s=0.5, own_s=1.8)
        found = verdict((load, replace(its, bytes_in=bytes_in, bytes_out=bytes_out)), 64)
        assert found is not None and ("too small" in str(found)) is is_said


@given(
    st.booleans(),
    st.floats(0.0, 10.0),
    st.floats(0.01, 10.0),
    st.integers(0, 10**12),
    st.booleans(),
)
def test_copies_to_write_into_are_named_where_they_take_time_for_sure(
    writable: bool, busy_s: float, own_s: float, bytes_in: int, full: bool
) -> None:
    its = SegmentLoad("f", "transform", True, 1, 1000, 1000, busy_s, own_s=own_s, cpu_s=2.0 * full)
    its = replace(its, bytes_in=bytes_in, writable=writable)
    found = verdict((its,), 64, idle=0.0 if full else 64.0)
    if found is None:
        return
    share = bytes_in / COPIED_BYTES_S / (busy_s + own_s)
    is_said = "copies for it to write into (writable=True" in str(found)
    assert is_said == (writable and share >= COPIED_SHARE and bytes_in >= LARGE_BYTES * 1000)
    if is_said:
        assert f"At least {min(1.0, share):.0%}" in str(found)


@pytest.mark.parametrize(
    ("kind", "words"),
    [("caller", "in the loop"), ("source", "faster Source"), ("regulator", "one worker only")],
)
def test_who_cannot_have_more_workers_is_told_something_else(kind: str, words: str) -> None:
    its = SegmentLoad("it", kind, False, 1, 1000, 1000, busy_s=9.9, own_s=0.1)
    found = verdict((its, SegmentLoad("f", "transform", True, 1, 1000, 1000, 2.0, 8.0)), 64)
    assert found is not None and found.workers is None and words in str(found)
    assert found.gain == pytest.approx(5.0)


def test_gain_is_small_where_the_next_one_is_as_busy() -> None:
    found = verdict(line((0.01, 1), (0.0105, 1)), 64)
    assert found is not None and found.workers is None
    assert "'s0' limits right behind it (95% busy)" in str(found)
