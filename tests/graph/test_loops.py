"""Loops: which segments are in one, and which edges close it."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from minipipe.graph.loops import Edge, find_loops


def edges(*pairs: tuple[int, int]) -> list[Edge]:
    """Edges with a stream of their own each."""
    return [Edge(p, i, c) for i, (p, c) in enumerate(pairs)]


def reachable(count: int, found: list[Edge]) -> list[set[int]]:
    """By one edge or more, by brute force."""
    reach = [{e.consumer for e in found if e.producer == i} for i in range(count)]
    for _ in range(count):
        for i in range(count):
            reach[i] |= {k for j in reach[i] for k in reach[j]}
    return reach


graphs = st.integers(1, 7).flatmap(
    lambda n: st.tuples(
        st.just(n),
        st.lists(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)), max_size=14),
    )
)


def test_a_line_has_no_loop() -> None:
    loops = find_loops(3, edges((0, 1), (1, 2)))
    assert loops.members == () and loops.closing == frozenset()


def test_a_diamond_is_no_loop() -> None:
    assert find_loops(4, edges((0, 1), (0, 2), (1, 3), (2, 3))).members == ()


def test_a_segment_that_feeds_itself_is_a_loop_of_one() -> None:
    loops = find_loops(1, edges((0, 0)))
    assert loops.members == (frozenset({0}),)
    assert loops.closing == {Edge(0, 0, 0)}


def test_the_edge_back_to_where_items_come_in_closes_a_loop() -> None:
    loops = find_loops(4, edges((0, 1), (1, 2), (2, 1), (2, 3)))
    assert loops.members == (frozenset({1, 2}),)
    assert loops.closing == {Edge(2, 2, 1)}
    assert loops.members_with(1) == {1, 2}
    assert loops.members_with(3) == frozenset()


def test_a_loop_of_ten_thousand_segments_needs_no_recursion() -> None:
    count = 10_000
    ring = edges(*((i, (i + 1) % count) for i in range(count)))
    assert len(find_loops(count, ring).closing) == 1


@settings(max_examples=200, deadline=None)
@given(graphs)
def test_segments_are_in_a_loop_together_if_each_reaches_the_other(graph) -> None:
    count, pairs = graph
    found = edges(*pairs)
    loops, reach = find_loops(count, found), reachable(count, found)
    for i in range(count):
        together = {j for j in range(count) if j in reach[i] and i in reach[j]}
        assert loops.members_with(i) == together


@settings(max_examples=200, deadline=None)
@given(graphs)
def test_without_the_edges_that_close_them_there_are_no_loops(graph) -> None:
    count, pairs = graph
    found = edges(*pairs)
    loops = find_loops(count, found)
    rest = [e for e in found if e not in loops.closing]
    assert all(i not in reach for i, reach in enumerate(reachable(count, rest)))
    for edge in loops.closing:  # and none of them leads out of its loop
        assert edge.consumer in loops.members_with(edge.producer)
