"""Segments that take from several streams: what belongs together comes together."""

from __future__ import annotations

import itertools
import time
from collections import Counter

import numpy as np
import pytest

import minipipe as mp
from tests.conftest import wait_until
from tests.process.functors import Collect, both, endless, run, same, streams, uneven

ITEMS = 300


def diamond(one, other, *, n: int = 3, fork=both, **options) -> list[mp.Segment]:
    """Numbers that part at `fork`, go through `one` and `other`, and meet in `keep`."""
    s, a, b, c, d = streams(5, **options)
    return [
        mp.Source(range(ITEMS), downstreams=s),
        mp.Transform(fork, "fork", s, [a, b], n_processes=n),
        mp.Transform(one, "one", a, c, n_processes=n, ignore_exceptions=[ArithmeticError]),
        mp.Transform(other, "other", b, d),
        mp.Sink(Collect(), "keep", [c, d]),
    ]


# ----------------------------------------------------------------- by identity
@pytest.mark.parametrize("buffer_size", [1, None])
def test_branches_of_one_stream_pair_by_identity_however_many_workers(buffer_size) -> None:
    psys, kept = run(diamond(uneven, same, buffer_size=buffer_size))
    assert sorted(kept) == [(x, x) for x in range(ITEMS)]
    assert psys.stats()["keep"].dropped == 0


def test_a_part_whose_partner_was_dropped_is_let_go_and_counted() -> None:
    psys, kept = run(diamond(lambda x: x if x % 3 else None, uneven))
    assert sorted(kept) == [(x, x) for x in range(ITEMS) if x % 3]
    assert psys.stats()["keep"].dropped == ITEMS // 3


def test_parts_dropped_in_both_branches_leave_no_trace() -> None:
    psys, kept = run(diamond(lambda x: x if x % 3 else None, lambda x: x if x % 2 else None))
    assert sorted(kept) == [(x, x) for x in range(ITEMS) if x % 3 and x % 2]
    assert psys.stats()["keep"].dropped == sum((x % 3 == 0) != (x % 2 == 0) for x in range(ITEMS))


def test_a_part_whose_partner_raised_what_is_ignored_is_let_go() -> None:
    def divides(x: int) -> int:
        return x + 0 * (1 // (x % 5))

    psys, kept = run(diamond(divides, same))
    assert sorted(kept) == [(x, x) for x in range(ITEMS) if x % 5]
    assert psys.stats()["keep"].dropped == ITEMS // 5


def test_a_part_that_the_fork_sent_one_way_only_is_let_go() -> None:
    def fork(x: int):
        return [x, x] if x % 4 else [None, x]

    psys, kept = run(diamond(uneven, same, fork=fork))
    assert sorted(kept) == [(x, x) for x in range(ITEMS) if x % 4]
    assert psys.stats()["keep"].dropped == ITEMS // 4


@pytest.mark.parametrize("one", [same, lambda x: x if x % 3 else None])
@pytest.mark.parametrize("fork", [both, lambda x: [x, x] if x % 4 else [None, x]])
def test_in_the_callers_process_the_same_pairs_come_out(one, fork) -> None:
    inline = mp.PipeSystem(diamond(one, same, fork=fork)).build(inline=True)
    _, kept = run(diamond(one, same, fork=fork))
    assert sorted(kept) == sorted(inline.run().close()["keep"])


def test_an_object_with_several_workers_in_a_branch_does_not_mispair() -> None:
    class Model:
        def run(self, x: int) -> int:
            return uneven(x)

    s, a, b, c = streams(4)
    _, kept = run(
        [
            mp.Source(range(ITEMS), downstreams=s),
            mp.Transform(both, "fork", s, [a, b]),
            mp.Transform(Model(), "model", a, c, n_processes=2),
            mp.Sink(Collect(), "keep", [c, b]),
        ]
    )
    assert sorted(kept) == [(x, x) for x in range(ITEMS)]


def test_one_very_slow_item_is_overtaken_by_all_others_and_still_paired() -> None:
    def slow_at_first(x: int) -> int:
        time.sleep(0.5 if x == 0 else 0.0)
        return x

    _, kept = run(diamond(slow_at_first, same))
    assert sorted(kept) == [(x, x) for x in range(ITEMS)]


def test_a_branch_a_hundred_times_slower_does_not_block_the_join() -> None:
    def slow(x: int) -> int:
        time.sleep(0.002)
        return x

    _, kept = run(diamond(slow, same, n=1, buffer_size=1))
    assert kept == [(x, x) for x in range(ITEMS)]


def test_items_of_several_sources_on_one_stream_are_not_mistaken() -> None:
    s, a, b, c, d = streams(5)
    _, kept = run(
        [
            mp.Source([("one", i) for i in range(100)], "one", s),
            mp.Source([("two", i) for i in range(100)], "two", s),
            mp.Transform(both, "fork", s, [a, b], n_processes=2),
            mp.Transform(lambda x: (time.sleep(0.001), x)[1], "left", a, c, n_processes=2),
            mp.Transform(same, "right", b, d),
            mp.Sink(Collect(), "keep", [c, d]),
        ]
    )
    assert all(left == right for left, right in kept)
    assert Counter(left[0] for left, _ in kept) == {"one": 100, "two": 100}


def test_a_broadcast_stream_parts_and_a_join_pairs() -> None:
    s = mp.Stream("s", broadcast=True)
    a, b, c = streams(3)
    _, kept = run(
        [
            mp.Source(range(ITEMS), downstreams=s),
            mp.Transform(uneven, "a", s, a, n_processes=2),
            mp.Transform(same, "b", s, b),
            mp.Transform(lambda x: x if x % 2 else None, "c", s, c),
            mp.Sink(Collect(), "keep", [a, b, c]),
        ]
    )
    assert sorted(kept) == [(x, x, x) for x in range(1, ITEMS, 2)]


def test_a_branch_may_be_the_stream_itself() -> None:
    s, a, b, c = streams(4)
    _, kept = run(
        [
            mp.Source(range(ITEMS), downstreams=s),
            mp.Transform(both, "fork", s, [a, b]),
            mp.Transform(uneven, "slow", a, c, n_processes=2),
            mp.Sink(Collect(), "keep", [c, b]),
        ]
    )
    assert sorted(kept) == [(x, x) for x in range(ITEMS)]


def test_joins_of_forks_of_forks_pair_too() -> None:
    s, a, b, c, d, e, f = streams(7)
    psys, kept = run(
        [
            mp.Source(range(ITEMS), downstreams=s),
            mp.Transform(both, "outer", s, [a, b]),
            mp.Transform(both, "inner", a, [c, d], n_processes=2),
            mp.Transform(uneven, "slow", c, e, n_processes=2),
            mp.Transform(lambda x, y: (x, y), "meet", [e, d], f),
            mp.Sink(Collect(), "keep", f),
            mp.Sink(Collect(), "rest", b),
        ]
    )
    assert sorted(kept) == [(x, x) for x in range(ITEMS)]
    assert psys.results["rest"] == list(range(ITEMS))


def test_a_join_passes_on_to_workers_that_share() -> None:
    s, a, b, c, d, e = streams(6)
    psys, kept = run(
        [
            mp.Source(range(ITEMS), downstreams=s),
            mp.Transform(both, "fork", s, [a, b]),
            mp.Transform(uneven, "slow", a, c, n_processes=2),
            mp.Transform(lambda x, y: (x, y) if x % 2 else None, "meet", [c, b], d),
            mp.Transform(lambda pair: pair[0] - pair[1], "work", d, e, n_processes=2),
            mp.Sink(Collect(), "keep", e),
        ]
    )
    assert kept == [0] * (ITEMS // 2)
    assert psys.stats()["meet"].items_in == ITEMS


def test_a_regulator_that_joins_is_sent_tuples() -> None:
    def pairs():
        while True:
            x, y = yield
            yield x + y

    s, a, b, c, d, e = streams(6)
    _, kept = run(
        [
            mp.Source(range(50), downstreams=s),
            mp.Transform(both, "fork", s, [a, b]),
            mp.Transform(uneven, "slow", a, c, n_processes=2),
            mp.Transform(same, "quick", b, d),
            mp.Regulator(pairs, "pairs", [c, d], e),
            mp.Sink(Collect(), "keep", e),
        ]
    )
    # The first `yield` of its loop takes a pair, the second one gives the sum and is then
    # advanced with None, as the API says.
    assert sorted(kept) == [2 * x for x in range(50)]


def test_arrays_pair_with_what_was_made_of_them() -> None:
    s, a, b, c, d = streams(5)
    _, kept = run(
        [
            mp.Source([np.full((100, 1000), i) for i in range(20)], downstreams=s),
            mp.Transform(both, "fork", s, [a, b], n_processes=2),
            mp.Transform(lambda x: x.mean(), "mean", a, c, n_processes=2),
            mp.Transform(lambda x: x, "quick", b, d),
            mp.Transform(
                lambda m, x: int(m) if (x == m).all() else -1, "meet", [c, d], e := mp.Stream()
            ),
            mp.Sink(Collect(), "keep", e),
        ]
    )
    assert sorted(kept) == list(range(20))


def test_what_a_join_raises_names_segment_and_item() -> None:
    def fails(x: int, y: int) -> int:
        if x == 7:
            raise ValueError("seven")
        return x

    s, a, b, c = streams(4)
    segments = [
        mp.Source(range(50), downstreams=s),
        mp.Transform(both, "fork", s, [a, b]),
        mp.Transform(fails, "meet", [a, b], c),
        mp.Sink(Collect(), "keep", c),
    ]
    with pytest.raises(ValueError, match="seven") as caught:
        run(segments)
    (note,) = caught.value.__notes__
    assert "segment 'meet'" in note
    assert "at item 7 of 'Source', branch 0 ((7, 7))" in note  # by its first part


# --------------------------------------------------------------------- in step
def test_streams_of_different_sources_are_joined_in_step() -> None:
    a, b = streams(2)
    _, kept = run(
        [
            mp.Source(range(200), "numbers", a),
            mp.Source((str(i) for i in range(200)), "texts", b),
            mp.Sink(Collect(), "keep", [a, b]),
        ]
    )
    assert kept == [(i, str(i)) for i in range(200)]


@pytest.mark.parametrize("sizes", [(5, 3), (3, 5), (0, 1), (3000, 2999)])
def test_a_surplus_is_an_error_that_says_of_which_stream(sizes: tuple[int, int]) -> None:
    a, b = streams(2)
    segments = [
        mp.Source(range(sizes[0]), "one", a),
        mp.Source(range(sizes[1]), "two", b),
        mp.Sink(Collect(), "keep", [a, b]),
    ]
    more = "s0" if sizes[0] > sizes[1] else "s1"
    with pytest.raises(mp.UnpairedError, match=rf"of '{more}' were left over") as caught:
        run(segments)
    assert "strict=False" in str(caught.value)


def test_without_strict_a_surplus_is_a_warning_and_counted(caplog) -> None:
    a, b = streams(2)
    psys, kept = run(
        [
            mp.Source(range(500), "one", a),
            mp.Source(range(3), "two", b),
            mp.Sink(Collect(), "keep", [a, b], strict=False),
        ]
    )
    assert kept == [(0, 0), (1, 1), (2, 2)]
    dropped = psys.stats()["keep"].dropped  # a source that nobody else needs is told to end
    assert 1 <= dropped <= 497
    assert f"{dropped} of 's0' were left over" in caplog.text
    assert "strict" not in caplog.text


def test_an_endless_source_does_not_hang_a_join_whose_other_side_has_ended() -> None:
    a, b = streams(2)
    _, kept = run(
        [
            mp.Source(endless, "endless", a),
            mp.Source(range(3), "three", b),
            mp.Sink(Collect(), "keep", [a, b], strict=False),
        ]
    )
    assert kept == [(0, 0), (1, 1), (2, 2)]


def test_branches_of_different_rhythm_do_not_block_each_other_by_full_buffers() -> None:
    def batches():
        while True:
            batch = []
            for _ in range(40):
                batch.append((yield))
            yield batch

    class Split:
        """A fork with state: its branches are joined in step."""

        def run(self, x: int):
            return [x, x if x % 40 == 39 else None]

    s, a, b, c = streams(4, buffer_size=1)
    _, kept = run(
        [
            mp.Source(range(400), downstreams=s),
            mp.Transform(Split(), "split", s, [a, b]),
            mp.Regulator(batches, "batch", a, c),
            mp.Sink(Collect(), "keep", [c, b]),
        ]
    )
    assert [(batch[-1], x) for batch, x in kept] == [(x, x) for x in range(39, 400, 40)]


def test_the_elements_of_a_sources_tuples_meet_again() -> None:
    images, labels, done = streams(3)
    _, kept = run(
        [
            mp.Source([(x, str(x)) for x in range(ITEMS)], downstreams=[images, labels]),
            mp.Transform(uneven, "augment", images, done, n_processes=3),
            mp.Sink(Collect(), "keep", [done, labels]),
        ]
    )
    assert sorted(kept) == [(x, str(x)) for x in range(ITEMS)]


# ------------------------------------------------------------------- bad input
def test_a_join_of_several_processes_is_told_to_work_behind_itself() -> None:
    a, b = streams(2)
    segments = [
        mp.Source([1], "one", a),
        mp.Source([1], "two", b),
        mp.Sink(Collect(), "keep", [a, b], n_processes=2),
    ]
    with pytest.raises(mp.BuildError, match=r"'keep' joins 2 streams.*n_processes=2.*Transform"):
        mp.PipeSystem(segments).build()


def test_branches_that_part_at_several_places_meet_again() -> None:
    s, a, b, c, d, e = streams(6)
    _, kept = run(
        [
            mp.Source(range(ITEMS), downstreams=s),
            mp.Transform(both, "outer", s, [a, b], n_processes=2),
            mp.Transform(both, "inner", a, [c, d], n_processes=2),
            mp.Transform(lambda x: x if x % 3 else None, "some", d, e, n_processes=2),
            mp.Sink(Collect(), "keep", [b, c, e]),
        ]
    )
    assert sorted(kept) == [(x, x, x) for x in range(ITEMS) if x % 3]


def test_a_join_within_a_branch_keeps_what_the_outer_one_pairs_by() -> None:
    s, a, b, c, d, e, f = streams(7)
    _, kept = run(
        [
            mp.Source(range(ITEMS), downstreams=s),
            mp.Transform(both, "outer", s, [a, b], n_processes=2),
            mp.Transform(both, "inner", a, [c, d], n_processes=2),
            mp.Transform(lambda x: x if x % 4 else None, "some", d, e, n_processes=3),
            mp.Transform(lambda x, y: x + y, "join", [c, e], f),
            mp.Sink(Collect(), "keep", [b, f]),
        ]
    )
    assert sorted(kept) == [(x, 2 * x) for x in range(ITEMS) if x % 4]


def test_a_switch_within_a_branch_whose_ways_merge_again_leaves_one_part() -> None:
    s, a, b, c, d, e = streams(6)
    _, kept = run(
        [
            mp.Source(range(ITEMS), downstreams=s),
            mp.Transform(both, "fork", s, [a, b], n_processes=2),
            mp.Transform(lambda x: (x, None) if x % 2 else (None, x), "switch", a, [c, d]),
            mp.Transform(lambda x: -x, "odd", c, e, n_processes=2),
            mp.Transform(lambda x: 10 * x, "even", d, e, n_processes=2),
            mp.Sink(Collect(), "keep", [b, e]),
        ]
    )
    assert sorted(kept) == [(x, -x if x % 2 else 10 * x) for x in range(ITEMS)]


def test_a_functor_whose_arity_does_not_fit_its_upstreams_is_told_at_build() -> None:
    a, b = streams(2)
    segments = [
        mp.Source([1], "one", a),
        mp.Source([1], "two", b),
        mp.Sink(lambda x: None, "keep", [a, b]),
    ]
    with pytest.raises(mp.BuildError, match="'keep' is called with one item of each of its 2"):
        mp.PipeSystem(segments).build()


class First(Collect):
    def run(self, *parts):
        super().run(parts[0], int(parts[1][0]))


@pytest.mark.parametrize("buffer_size", [1, None])
def test_in_step_a_full_stream_does_not_lock_the_one_that_is_waited_for(buffer_size) -> None:
    s = mp.Stream("s", broadcast=True, buffer_size=buffer_size)
    a, b = mp.Stream("a", buffer_size=buffer_size), mp.Stream("b", buffer_size=buffer_size)
    _, kept = run(
        [
            mp.Source(range(400), downstreams=s),
            mp.Batch(100, upstreams=s, downstreams=a),
            mp.Unbatch(upstreams=a, downstreams=b),
            mp.Sink(Collect(), "keep", [b, s]),
        ]
    )
    assert [(int(x), y) for x, y in kept] == [(i, i) for i in range(400)]


def test_in_step_a_stream_that_is_full_by_bytes_does_not_lock_the_other() -> None:
    s, a, b, c = mp.Stream("s", broadcast=True), *streams(3)
    _, kept = run(
        [
            mp.Source((np.full(2**20, i, np.uint8) for i in range(90)), downstreams=s),
            mp.Transform(lambda x: int(x[0]), "first", s, a),
            mp.Batch(80, upstreams=a, downstreams=b),
            mp.Unbatch(upstreams=b, downstreams=c),
            mp.Sink(First(), "keep", [c, s]),
        ]
    )
    assert kept == [(i, i) for i in range(90)]


def test_in_step_a_fast_source_waits_for_a_slow_one() -> None:
    a, b = (mp.Stream(name, buffer_size=2) for name in "ab")

    def slow():
        for i in range(3):
            time.sleep(0.7)
            yield i

    psys = mp.PipeSystem(
        [
            mp.Source(slow, "slow", a),
            mp.Source(itertools.count(), "fast", b),
            mp.Sink(Collect(), "keep", [a, b], strict=False),
        ]
    )
    psys.run()
    # Before the end: then the fast one is drained, and yields on until it hears of that.
    wait_until(lambda: psys.stats()["keep"].items_in >= 2, "two items")
    assert psys.stats()["fast"].items_out < 30
    assert psys.close(60)["keep"] == [(i, i) for i in range(3)]


def test_two_parts_of_one_item_by_one_upstream_are_an_error_whenever_they_come() -> None:
    a, b, m, c = streams(4)
    segments = [
        mp.Source([(i, i, i) for i in range(10)], downstreams=[a, b, c]),
        mp.Transform(same, "fa", a, m),
        mp.Transform(same, "fb", b, m),
        mp.Sink(Collect(), "keep", [m, c]),
    ]
    psys = mp.PipeSystem(segments)
    for inline in (False, True):
        with pytest.raises(mp.TwicePairedError):
            psys.build(inline=inline).run().close()
