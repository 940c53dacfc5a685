"""Which worker runs on which machine."""

from __future__ import annotations

import math
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minipipe.protocol.hosts.names import ANY, LOCAL
from minipipe.protocol.hosts.offer import Offer
from minipipe.protocol.run.gpu_use import Gpus
from minipipe.protocol.run.placement import (
    Decision,
    NoPlace,
    Place,
    Placement,
)
from minipipe.protocol.run.room import PlacePatience, Wanted


def here(cores: int = 2, gpus: tuple[str, ...] = ()) -> Offer:
    return Offer(LOCAL, cores, gpus)


def ask(
    placement: Placement, count: int, segment: str, place: str = ANY, gpus: Gpus = None
) -> None:
    first = 1 + max([*placement.waiting, *placement.workers_of(LOCAL), 0])
    for number in range(first, first + count):
        placement.wants(Wanted(number, segment, place, gpus))


def hosts(decisions: list[Decision]) -> Counter[str]:
    return Counter(one.host if isinstance(one, Place) else "none" for one in decisions)


def test_cores_here_come_first_then_the_agent_with_the_most_free_slots() -> None:
    placement = Placement(here(2), PlacePatience())
    placement.joined(Offer("a", 2))
    placement.joined(Offer("b", 3))
    ask(placement, 6, "decode")
    order = [one.host for one in placement.passed(0.0) if isinstance(one, Place)]
    assert order == [LOCAL, LOCAL, "b", "a", "b", "a"]


def test_cores_are_kept_for_those_that_must_run_here() -> None:
    placement = Placement(here(2), PlacePatience(), kept=2)
    placement.joined(Offer("a", 9))
    ask(placement, 2, "decode")
    assert hosts(placement.passed(0.0)) == {"a": 2}
    ask(placement, 3, "train", LOCAL)
    assert hosts(placement.passed(0.0)) == {LOCAL: 3}


def test_each_segment_has_one_worker_before_any_has_two() -> None:
    placement = Placement(here(3), PlacePatience())
    ask(placement, 3, "decode")
    ask(placement, 3, "augment")
    decisions = placement.passed(0.0)
    assert [one.worker for one in decisions] == [1, 4, 2]
    assert placement.waiting == (3, 5, 6)


def test_the_first_of_a_segment_does_not_wait_for_a_core() -> None:
    placement = Placement(here(1), PlacePatience())
    for number, segment in enumerate(["a", "b", "c", "c"]):
        placement.wants(Wanted(number, segment, ANY))
    assert [one.worker for one in placement.passed(0.0)] == [0, 1, 2]
    placement.joined(Offer("x", 1))
    assert placement.passed(1.0) == [Place(3, "x")]


def test_who_may_run_anywhere_has_waited_long_enough_after_some_time() -> None:
    placement = Placement(here(1), PlacePatience(any_s=10.0))
    ask(placement, 3, "decode")
    assert hosts(placement.passed(5.0)) == {LOCAL: 1}
    assert placement.due_s == 15.0
    assert placement.passed(14.9) == []
    assert hosts(placement.passed(15.0)) == {LOCAL: 2}
    assert placement.due_s == math.inf


def test_workers_for_machines_that_are_yet_to_join_do_not_all_begin_here() -> None:
    placement = Placement(here(2), PlacePatience.of(None))
    ask(placement, 64, "decode")
    assert hosts(placement.passed(0.0)) == {LOCAL: 2}
    assert placement.line(9.9) is None
    assert placement.passed(10.0) == []
    assert placement.line(10.0) == (
        "62 workers of 'decode' wait for room on any machine, until others join "
        "(place_timeout_s= has them begin here) (local: 2 of 2 slots taken)"
    )
    assert placement.passed(20.0) == [] and placement.line(20.0) is None
    assert placement.passed(30.0) == [] and placement.line(30.0) is not None
    placement.joined(Offer("a", 16))  # somebody has needed an hour to get there
    assert hosts(placement.passed(3600.0)) == {"a": 16}
    assert placement.line(3600.0) is not None and placement.line(3639.0) is None


def test_the_first_of_a_segment_shares_a_gpu_when_it_has_waited() -> None:
    placement = Placement(here(4, ("0",)), PlacePatience())
    placement.wants(Wanted(1, "train", ANY, 1))
    assert placement.passed(0.0) == [Place(1, LOCAL, "0")]
    for worker in (2, 3):
        placement.wants(Wanted(worker, "embed", ANY, 1))
    assert placement.passed(0.0) == placement.passed(9.9) == []
    assert placement.passed(10.0) == [Place(2, LOCAL, "0")]
    assert placement.passed(1000.0) == []  # a run does without the second one


def test_who_waits_for_a_tag_that_is_written_wrongly_hears_which_there_are() -> None:
    placement = Placement(here(1), PlacePatience())
    placement.joined(Offer("a", 4, tags=("gpu", "big")))
    ask(placement, 1, "train", "gpuu")
    assert placement.passed(0.0) == placement.passed(10.0) == []
    line = placement.line(10.0)
    assert line is not None and "joined; a has 'gpu', 'big'; did you mean 'gpu'?; `mini" in line


def test_a_tag_is_waited_for_and_that_is_said_every_10_s() -> None:
    placement = Placement(here(4), PlacePatience())
    placement.joined(Offer("a", 4, tags=("cpu",)))
    ask(placement, 2, "train", "gpu")
    assert placement.passed(0.0) == []
    assert placement.line(9.9) is None
    assert placement.due_s == 10.0
    assert placement.passed(10.0) == []
    assert placement.line(10.0) == (
        "2 workers of 'train' wait for room on a machine with the tag (or name) 'gpu' (none has "
        "joined; a has 'cpu'; `minipipe agent --join TOKEN --tags gpu` would be one)"
    )
    assert placement.line(19.9) is None
    assert placement.passed(20.0) == []
    assert placement.line(20.0) is not None
    placement.joined(Offer("b", 1, tags=("x", "gpu")))
    assert placement.passed(21.0) == [Place(1, "b")]
    assert placement.passed(30.0) == []
    line = placement.line(30.0)
    assert line is not None and "(b: 1 of 1 slots taken)" in line
    placement.ended(2)
    assert placement.passed(31.0) == []
    assert placement.due_s == math.inf


def test_the_name_of_a_machine_is_a_tag() -> None:
    placement = Placement(here(4), PlacePatience())
    placement.joined(Offer("a", 4))
    placement.joined(Offer("b", 1))
    ask(placement, 1, "train", "b")
    assert placement.passed(0.0) == [Place(1, "b")]


def test_a_tag_that_nobody_has_ends_the_run_if_that_was_wished() -> None:
    placement = Placement(here(4), PlacePatience.of(5.0))
    ask(placement, 1, "train", "gpu")
    assert placement.passed(0.0) == []
    (decision,) = placement.passed(5.0)
    assert isinstance(decision, NoPlace)
    assert decision.why == (
        "a worker of 'train' has asked for room on a machine with the tag (or name) 'gpu', and "
        "there was none in time: none has joined; `minipipe agent --join TOKEN --tags gpu` would "
        "be one"
    )
    assert placement.waiting == ()


def test_where_nobody_can_join_any_more_who_waits_for_that_has_no_place() -> None:
    placement = Placement(here(1), PlacePatience())
    placement.joined(Offer("a", 1))
    ask(placement, 2, "decode", "a")
    assert hosts(placement.passed(0.0)) == {"a": 1}
    assert placement.passed(1.0) == []
    placement.closes()
    assert hosts(placement.passed(2.0)) == {"none": 1}
    ask(placement, 1, "train")
    assert hosts(placement.passed(3.0)) == {LOCAL: 1}


def test_what_only_fills_up_a_segment_ends_no_run() -> None:
    placement = Placement(here(4), PlacePatience.of(5.0))
    placement.joined(Offer("a", 1, tags=("gpu",)))
    ask(placement, 2, "train", "gpu")
    assert hosts(placement.passed(0.0)) == {"a": 1}
    assert placement.passed(6.0) == []
    assert placement.due_s == 10.0  # for the line
    placement.lost("a")
    assert isinstance(placement.passed(7.0)[0], NoPlace)


def test_gpus_are_dealt_out_by_machine() -> None:
    placement = Placement(here(8), PlacePatience())
    placement.joined(Offer("a", 8, ("0", "1")))
    placement.joined(Offer("b", 8, ("0", "GPU-8f")))
    ask(placement, 4, "train", ANY, 1)
    found = {(one.host, one.gpus) for one in placement.passed(0.0) if isinstance(one, Place)}
    assert found == {("a", "0"), ("a", "1"), ("b", "0"), ("b", "GPU-8f")}
    placement.wants(Wanted(9, "train", ANY, 2))
    assert placement.passed(0.0) == []
    placement.lost("b")
    placement.joined(Offer("c", 8, ("0", "1", "2")))
    assert placement.passed(1.0) == [Place(9, "c", "0,1")]


def test_gpus_here_that_others_have_are_shared_only_after_some_time() -> None:
    placement = Placement(here(8, ("0", "1")), PlacePatience(any_s=10.0), gpus_in_use=["0"])
    ask(placement, 2, "infer", ANY, 1)
    assert placement.passed(0.0) == [Place(1, LOCAL, "1")]
    assert placement.passed(10.0) == [Place(2, LOCAL, "0")]


def test_gpus_that_are_named_are_those_of_the_machine() -> None:
    placement = Placement(here(1), PlacePatience())
    placement.joined(Offer("a", 8, ("4", "5")))
    for number, gpus in enumerate([(1,), (0, 1), ("GPU-1",), (), 0, (2,)]):
        placement.wants(Wanted(number, "s", "a", gpus))
    found = [one.gpus for one in placement.passed(0.0) if isinstance(one, Place)]
    assert found == ["5", "4,5", "GPU-1", "", ""]
    assert placement.waiting == (5,)


def test_more_gpus_than_this_machine_has_are_no_matter_of_time() -> None:
    placement = Placement(here(8, ("0", "1")), PlacePatience())
    ask(placement, 3, "train", LOCAL, 1)  # as in a run of one machine, they share
    found = [one.gpus for one in placement.passed(0.0) if isinstance(one, Place)]
    assert found == ["0", "1", "0"]
    placement.wants(Wanted(9, "train", LOCAL, 3))
    (decision,) = placement.passed(0.0)
    assert isinstance(decision, NoPlace)
    assert decision.why == (
        "a worker of 'train' has asked for room on this machine with 3 free GPUs, which shows 2; "
        "with on='any', or a tag, it may run elsewhere"
    )


def test_who_runs_here_already_takes_a_core() -> None:
    placement = Placement(here(3), PlacePatience(), kept=1)
    placement.here(Wanted(7, "read", LOCAL))
    placement.here(Wanted(8, "plot", LOCAL))
    ask(placement, 2, "decode")
    assert hosts(placement.passed(0.0)) == {LOCAL: 1}
    placement.ended(8)
    assert hosts(placement.passed(0.0)) == {LOCAL: 1}


def test_where_all_workers_of_a_segment_leave_one_that_comes_instead_need_not_wait() -> None:
    placement = Placement(here(1), PlacePatience(any_s=10.0))
    placement.here(Wanted(9, "train", LOCAL))
    placement.joined(Offer("a", 2))
    ask(placement, 2, "decode")
    assert hosts(placement.passed(0.0)) == {"a": 2}
    placement.drains("a")
    ask(placement, 2, "decode")
    assert hosts(placement.passed(1.0)) == {LOCAL: 1}  # though it is full: no run without one
    assert placement.passed(10.0) == []
    assert hosts(placement.passed(11.0)) == {LOCAL: 1}


def test_who_comes_instead_of_one_that_leaves_waits_as_long_as_that_is_there() -> None:
    placement = Placement(here(1), PlacePatience.of(5.0))
    placement.joined(Offer("a", 2, tags=("big",)))
    placement.wants(Wanted(1, "decode", "big"))
    assert placement.passed(0.0) == [Place(1, "a")]
    placement.drains("a")
    placement.wants(Wanted(2, "decode", "big"))
    assert placement.passed(1.0) == placement.passed(7.0) == []
    placement.lost("a")
    (decision,) = placement.passed(8.0)
    assert isinstance(decision, NoPlace) and decision.worker == 2


def test_a_machine_that_drains_gets_no_more_workers() -> None:
    placement = Placement(here(1), PlacePatience())
    placement.joined(Offer("a", 4, tags=("gpu",)))
    ask(placement, 1, "train", "gpu")
    placement.passed(0.0)
    assert placement.drains("a") == (1,)
    placement.wants(Wanted(5, "train", "gpu"))
    assert placement.passed(0.0) == []
    with pytest.raises(ValueError, match="there is a machine 'a' already"):
        placement.joined(Offer("a", 4))
    assert placement.lost("a") == (1,)
    placement.joined(Offer("a", 4, tags=("gpu",)))
    assert placement.passed(1.0) == [Place(5, "a")]


# ---------------------------------------------------------------- whatever happens
PLACES = st.sampled_from([LOCAL, ANY, ANY, "gpu", "a", "nowhere"])
GPUS = st.sampled_from([None, None, 0, 1, 2, (0,), ("GPU-1",)])
NAMES = "abc"
STEPS = st.one_of(
    st.tuples(st.just("wants"), st.sampled_from("xyz"), PLACES, GPUS),
    st.tuples(st.just("joined"), st.sampled_from(NAMES), st.integers(1, 4), st.integers(0, 2)),
    st.tuples(st.just("lost"), st.sampled_from([LOCAL, *NAMES])),
    st.tuples(st.just("drains"), st.sampled_from(NAMES)),
    st.tuples(st.just("ended"), st.integers(0, 12)),
    st.tuples(st.just("later"), st.sampled_from([0.0, 4.0, 30.0])),
)


@settings(max_examples=60)
@given(st.lists(STEPS, max_size=30), st.sampled_from([None, 20.0]), st.integers(1, 3))
def test_whatever_happens(steps: list[tuple], timeout_s: float | None, cores: int) -> None:  # type: ignore[type-arg]
    placement = Placement(here(cores, ("0",)), PlacePatience.of(timeout_s))
    there: dict[str, Offer] = {LOCAL: here(cores, ("0",))}
    draining: set[str] = set()
    wanted: dict[int, Wanted] = {}
    placed: dict[int, Place] = {}
    now_s, number = 0.0, 0
    for step, *fields in steps:
        if step == "wants":
            wanted[number] = Wanted(number, *fields)
            placement.wants(wanted[number])
            number += 1
        elif step == "joined" and fields[0] not in there:
            name, slots, gpus = fields
            offer = Offer(name, slots, tuple(map(str, range(gpus))), ("gpu",) * (gpus > 0))
            there[name] = offer
            placement.joined(offer)
        elif step == "lost":
            lost = {w for w, place in placed.items() if place.host == fields[0]}
            assert set(placement.lost(fields[0])) == lost
            placed = {w: place for w, place in placed.items() if w not in lost}
            draining.discard(fields[0])
            if fields[0] != LOCAL:
                there.pop(fields[0], None)
        elif step == "drains" and fields[0] in there:
            placement.drains(fields[0])
            draining.add(fields[0])
        elif step == "ended":
            placement.ended(fields[0])
            placed.pop(fields[0], None)
            wanted.pop(fields[0], None)
        elif step == "later":
            now_s += fields[0]
        for one in placement.passed(now_s):
            asked = wanted[one.worker]
            assert one.worker not in placed
            if isinstance(one, NoPlace):
                assert timeout_s is not None or asked.place == LOCAL
                del wanted[one.worker]
                continue
            placed[one.worker] = one
            assert there[one.host].has(asked.place) and one.host not in draining
            assert asked.place != LOCAL or one.host == LOCAL
            assert (one.gpus is None) == (asked.gpus is None)
            if isinstance(asked.gpus, int):
                assert len([g for g in (one.gpus or "").split(",") if g]) == asked.gpus
        placement.line(now_s)
        assert placement.due_s > now_s  # who is asked when it is due does not spin
        _check_room(placed, wanted, there)
        _check_nobody_waits_in_vain(placement, placed, wanted, there, draining, cores)


def _check_room(
    placed: dict[int, Place], wanted: dict[int, Wanted], there: dict[str, Offer]
) -> None:
    for name, offer in there.items():
        mine = [w for w, place in placed.items() if place.host == name]
        counted = [w for w in mine if isinstance(wanted[w].gpus, int)]
        given_gpus = Counter(g for w in counted for g in (placed[w].gpus or "").split(",") if g)
        if name != LOCAL:
            assert len(mine) <= offer.slots
            assert max(given_gpus.values(), default=0) <= 1


def _check_nobody_waits_in_vain(
    placement: Placement,
    placed: dict[int, Place],
    wanted: dict[int, Wanted],
    there: dict[str, Offer],
    draining: set[str],
    cores: int,
) -> None:
    for worker in placement.waiting:
        asked = wanted[worker]
        assert asked.place != LOCAL
        if asked.gpus:
            continue
        for name, offer in there.items():
            used = sum(place.host == name for place in placed.values())
            if name == LOCAL:
                assert asked.place != ANY or used >= cores
            elif offer.has(asked.place) and name not in draining:
                assert used >= offer.slots


def test_who_waits_already_has_no_place_either_when_nobody_can_join_any_more() -> None:
    placement = Placement(here(1), PlacePatience())
    ask(placement, 2, "decode", "far")
    assert placement.passed(0.0) == []  # and there is no machine whose loss would change anything
    placement.closes()
    assert [type(one) for one in placement.passed(1.0)] == [NoPlace, NoPlace]
