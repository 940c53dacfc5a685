"""Which deaths a run survives, and what is said of them."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minipipe.errors import PoisonError, WorkerDiedError
from minipipe.protocol.delivery.paths import Leaf
from minipipe.protocol.run.events import Member
from minipipe.protocol.run.restarts import REPORT_S, RESTARTS_S, PendingDeathReport, Restarts

MEMBER = Member(5, 2, is_stateless=True, restarts=True, max_restarts=3)
KEEPS_STATE = replace(MEMBER, is_stateless=False, restarts=False)


def death(item: str = "") -> WorkerDiedError:
    return WorkerDiedError("work", "work/0", 99, "was killed by SIGKILL", item, "")


def test_a_death_where_nothing_restarts_ends_the_run() -> None:
    cause = death()
    assert Restarts(9).judge(KEEPS_STATE, cause, None, 0.0) is cause


@given(
    st.lists(st.floats(0.0, 40.0), max_size=12),
    st.integers(0, 4),
)
@settings(deadline=None)
def test_only_deaths_within_the_time_count(gaps_s: list[float], allowed: int) -> None:
    restarts, member = Restarts(9), replace(MEMBER, max_restarts=allowed)
    now_s, deaths = 0.0, []
    for gap_s in gaps_s:
        now_s += gap_s
        deaths.append(now_s)
        recent = sum(at_s > now_s - RESTARTS_S for at_s in deaths)
        verdict = restarts.judge(member, death(), None, now_s)
        assert (verdict is None) == (recent <= allowed)
        if verdict is not None:
            assert f"death {recent} in this segment within 60 s" in str(verdict)
            assert f"max_restarts={allowed}" in str(verdict)


def test_segments_are_judged_apart() -> None:
    restarts = Restarts(9)
    for segment in (1, 2):
        member = replace(MEMBER, segment=segment, max_restarts=1)
        assert restarts.judge(member, death(), None, 0.0) is None


@given(st.lists(st.tuples(st.integers(1, 2), st.integers(0, 3)), max_size=20), st.booleans())
@settings(deadline=None)
def test_the_second_death_at_an_item_in_one_segment_makes_it_poison(
    deaths: list[tuple[int, int]], skips: bool
) -> None:
    restarts = Restarts(9)
    seen: Counter[tuple[int, int]] = Counter()
    for segment, number in deaths:
        known = seen[segment, number]
        seen[segment, number] += 1
        member = replace(MEMBER, segment=segment, max_restarts=10**6, skips_poison=skips)
        item = (3, number, ())
        verdict = restarts.judge(member, death(f"item {number}"), item, 0.0, known)
        is_second = seen[segment, number] == 2
        assert isinstance(verdict, PoisonError) == (is_second and not skips)
        if isinstance(verdict, PoisonError):
            assert f"item {number}" in str(verdict)
        elif verdict is not None:
            pytest.fail(f"{verdict} after {seen}")
        assert set(restarts.crash_suspects([1, 2])) == {
            (segment, 3, number, (), count) for (segment, number), count in seen.items()
        }
    assert len(restarts.found) == sum(count >= 2 for count in seen.values())


def test_replacements_never_share_an_id() -> None:
    restarts = Restarts(9)
    first, second = restarts.replacement(MEMBER), restarts.replacement(MEMBER)
    assert (first.id, second.id) == (9, 10)
    assert replace(first, id=MEMBER.id) == MEMBER


def test_each_death_is_another_epoch_of_its_region_only() -> None:
    restarts = Restarts(9)
    assert [restarts.mark_dead(1, 0), restarts.mark_dead(2, 0), restarts.mark_dead(3, 1)] == [
        1,
        2,
        1,
    ]
    assert restarts.mark_dead(4, 0, announced=False) == 2  # nobody has had to do with it
    assert list(restarts.dead) == [(1, 5)]
    assert restarts.epochs([1, 0, 7]) == ((0, 2), (1, 1), (7, 0))


def test_a_death_is_told_when_all_senders_have_said_what_it_costs_or_after_a_while() -> None:
    restarts, known = Restarts(9), {6}

    def is_known(report: PendingDeathReport) -> bool:
        return report.worker in known

    restarts.note(PendingDeathReport(5, region=0, epoch=1, at_s=10.0, waits_for={1, 2}))
    restarts.note(PendingDeathReport(6, region=0, epoch=2, at_s=10.5, waits_for={1}))
    restarts.resent(1, region=1, epoch=1, items=100)  # another region
    restarts.resent(1, region=0, epoch=1, items=3)
    assert restarts.due(10.6, is_known) == []
    assert restarts.deadline_s == 10.0 + REPORT_S
    restarts.resent(2, region=0, epoch=2, items=4)  # of a later epoch: for the first one, too
    assert restarts.due(10.7, is_known) == []  # nor is it known who is in its place
    known.add(5)
    assert [(n.worker, n.items) for n in restarts.due(10.7, is_known)] == [(5, 7)]
    assert restarts.due(10.5 + REPORT_S - 0.01, is_known) == []
    assert [(n.worker, n.items) for n in restarts.due(10.5 + REPORT_S, is_known)] == [(6, 0)]
    assert restarts.deadline_s is None


LEAVES = [(3, number, outputs) for number in (0, 1) for outputs in ((), (0,), (1,), (0, 1))]


@given(st.lists(st.sampled_from(LEAVES), max_size=12))
@settings(deadline=None)
def test_what_stems_from_one_item_is_charged_apart(deaths: list[Leaf]) -> None:
    restarts, member = Restarts(9), replace(MEMBER, max_restarts=10**6, skips_poison=True)
    seen: Counter[Leaf] = Counter()
    for leaf in deaths:
        assert restarts.judge(member, death(), leaf, 0.0, known=seen[leaf]) is None
        seen[leaf] += 1
    assert restarts.crash_suspects([2]) == tuple((2, *leaf, count) for leaf, count in seen.items())
    assert set(restarts.found) == {leaf for leaf, count in seen.items() if count > 1}


def test_copies_of_an_item_that_die_together_are_one_try_of_it() -> None:
    restarts, leaf = Restarts(9), (3, 7, (0,))
    for _ in range(2):
        assert restarts.judge(MEMBER, death(), leaf, 0.0, known=0) is None
    assert restarts.crash_suspects([2]) == ((2, *leaf, 1),)
    assert isinstance(restarts.judge(MEMBER, death(), leaf, 0.0, known=1), PoisonError)


def test_the_charges_of_settled_items_are_dropped() -> None:
    restarts = Restarts(9)
    for number in range(3):
        for segment in (2, 4):
            member = replace(MEMBER, segment=segment)
            restarts.judge(member, death(), (3, number, ()), 0.0)
    assert restarts.acquit(3, [(2, 0, ()), (4, 1, ()), (2, 9, ())]) == [
        (2, 3, 0, (), 1),
        (4, 3, 1, (), 1),
    ]
    assert restarts.acquit(8, [(2, 1, ())]) == []  # another sender's
    assert restarts.crash_suspects([2]) == ((2, 3, 1, (), 1), (2, 3, 2, (), 1))
    assert [note_crash_suspects[2] for note_crash_suspects in restarts.crash_suspects([2, 4])] == [
        0,
        1,
        2,
        2,
    ]
