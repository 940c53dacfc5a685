"""Where the branches of a join have parted, and what travels beside their items."""

from __future__ import annotations

import pytest

import minipipe as mp
from minipipe.graph import system_graph


def both(x: object) -> tuple[object, object]:
    return x, x


def same(x: object) -> object:
    return x


def both_args(x: object, y: object) -> None: ...


class State:
    def run(self, x: object) -> object:
        return x


IN_STEP = "in step"


def depth(*segments: mp.Segment) -> int | str | None:
    """Of the only join among these."""
    found = list(system_graph(segments).join_plans.by_join.values())
    assert len(found) <= 1
    return found[0].depth if found else IN_STEP


def keyed(*segments: mp.Segment) -> set[str]:
    """The streams beside whose items keys travel."""
    graph = system_graph(segments)
    return {stream.name for stream in graph.streams if graph.join_plans.carried(stream.index)}


def streams(count: int) -> list[mp.Stream]:
    return [mp.Stream(f"s{i}") for i in range(count)]


def test_different_sources_are_joined_in_step() -> None:
    a, b = streams(2)
    join = mp.Sink(both_args, "join", [a, b])
    assert depth(mp.Source([1], "x", a), mp.Source([1], "y", b), join) == IN_STEP


def test_the_branches_of_a_stateless_fork_are_joined_by_identity() -> None:
    s, a, b, c = streams(4)
    assert (
        depth(
            mp.Source([1], downstreams=s),
            mp.Transform(both, "fork", s, [a, b]),
            mp.Transform(same, "t", a, c),
            mp.Sink(both_args, "join", [c, b]),
        )
        == 0
    )


def test_forks_before_the_one_that_parts_the_branches_count() -> None:
    s, a, b, c, d = streams(5)
    assert (
        depth(
            mp.Source([1], downstreams=s),
            mp.Transform(both, "outer", s, [a, b]),
            mp.Sink(same, "rest", b),
            mp.Transform(both, "inner", a, [c, d]),
            mp.Sink(both_args, "join", [c, d]),
        )
        == 1
    )


def test_a_broadcast_is_a_fork() -> None:
    s, a = mp.Stream("s", broadcast=True), mp.Stream("a")
    assert (
        depth(
            mp.Source([1], downstreams=s),
            mp.Transform(same, "t", s, a),
            mp.Sink(both_args, "join", [s, a]),
        )
        == 0
    )


def test_behind_an_object_the_key_of_the_fork_travels_along() -> None:
    s, a, b, c, d = streams(5)
    segments = (
        mp.Source([1], downstreams=s),
        mp.Transform(both, "fork", s, [a, b]),
        mp.Transform(State(), "t", a, c),
        mp.Transform(same, "u", c, d),
        mp.Sink(both_args, "join", [d, b]),
    )
    assert depth(*segments) == 0
    assert keyed(*segments) == {"s3", "s4"}


def test_the_elements_of_a_sources_tuples_belong_together() -> None:
    a, b = streams(2)
    segments = (mp.Source([(1, 2)], downstreams=[a, b]), mp.Sink(both_args, "join", [a, b]))
    assert depth(*segments) is None
    assert keyed(*segments) == {"s0", "s1"}


def test_behind_a_regulator_items_are_others_so_they_are_joined_in_step() -> None:
    s, a, b, c = streams(4)

    def batch():
        yield (yield)

    assert (
        depth(
            mp.Source([1], downstreams=s),
            mp.Transform(both, "fork", s, [a, b]),
            mp.Regulator(batch, "t", a, c),
            mp.Sink(both_args, "join", [c, b]),
        )
        == IN_STEP
    )


def test_branches_that_share_the_work_of_a_stream_are_joined_in_step() -> None:
    s, a, b = streams(3)
    assert (
        depth(
            mp.Source([1], downstreams=s),
            mp.Transform(same, "x", s, a),
            mp.Transform(same, "y", s, b),
            mp.Sink(both_args, "join", [a, b]),
        )
        == IN_STEP
    )


def test_branches_that_part_one_after_the_other_meet_by_the_first_fork() -> None:
    s, a, b, c, d = streams(5)
    segments = (
        mp.Source([1], downstreams=s),
        mp.Transform(both, "outer", s, [a, b]),
        mp.Transform(both, "inner", a, [c, d]),
        mp.Sink(lambda x, y, z: None, "join", [b, c, d]),
    )
    (plan,) = system_graph(segments).join_plans.by_join.values()
    assert (plan.fork, plan.depth) == (("segment", 1), 0)


def test_ways_with_different_numbers_of_forks_to_where_branches_part_are_an_error() -> None:
    s, a, b, c, d = streams(5)
    with pytest.raises(mp.BuildError, match=r"branches of 'join' part.*numbers of forks"):
        depth(
            mp.Source([1], "x", s),
            mp.Source([1], "y", a),
            mp.Transform(both, "switch", s, [a, b]),
            mp.Sink(same, "rest", b),
            mp.Transform(both, "fork", a, [c, d]),
            mp.Sink(both_args, "join", [c, d]),
        )


def test_switches_whose_ways_merge_again_are_no_place_where_branches_part() -> None:
    (stream,) = streams(1)
    segments: list[mp.Segment] = [mp.Source([1], downstreams=stream)]
    for i in range(40):
        a, b, merged = mp.Stream(f"a{i}"), mp.Stream(f"b{i}"), mp.Stream(f"m{i}")
        segments += [
            mp.Transform(lambda x: [x, None], f"switch{i}", stream, [a, b]),
            mp.Transform(same, f"x{i}", a, merged),
            mp.Transform(same, f"y{i}", b, merged),
        ]
        stream = merged
    a, b = streams(2)
    segments += [mp.Transform(both, "fork", stream, [a, b]), mp.Sink(both_args, "join", [a, b])]
    assert depth(*segments) == 40
