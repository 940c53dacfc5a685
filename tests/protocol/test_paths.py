"""When an item is settled as a whole: rule 4, against a definition that follows its words."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minipipe.protocol.delivery.paths import ROOT, Path, complete, outputs, promised_mask, under

# A tree is None (a leaf) or what became of each output that its worker sent.
Tree = dict[int, "Tree"] | None

FEW = settings(max_examples=30, deadline=None)


def trees(depth: int = 3) -> st.SearchStrategy[Tree]:
    if depth == 0:
        return st.none()
    return st.none() | st.dictionaries(st.integers(0, 3), trees(depth - 1), min_size=1, max_size=3)


def leaves(tree: Tree, path: Path = ROOT) -> list[Path]:
    if tree is None:
        return [path]
    mask = tuple(sorted(tree))
    return [
        leaf for output, below in tree.items() for leaf in leaves(below, (*path, (output, mask)))
    ]


def inner(tree: Tree, path: Path = ROOT) -> list[Path]:
    """Where the tree forks."""
    if tree is None:
        return []
    mask = tuple(sorted(tree))
    return [path] + [
        node for output, below in tree.items() for node in inner(below, (*path, (output, mask)))
    ]


def naive_complete(where: tuple[int, ...], settled: list[Path]) -> bool:
    """Rule 4, word by word, with paths as their outputs alone."""
    bare = {tuple(o for o, _ in path): path for path in settled}
    if where in bare:
        return True
    longer = [path for out, path in bare.items() if out[: len(where)] == where]
    if not longer:
        return False
    return all(naive_complete((*where, i), settled) for i in longer[0][len(where)][1])


@given(trees(), st.randoms(use_true_random=False))
@FEW
def test_an_item_is_complete_exactly_when_the_last_leaf_is_settled(tree: Tree, random) -> None:
    order = leaves(tree)
    random.shuffle(order)
    settled: set[Path] = set()
    for leaf in order:
        assert not complete(ROOT, settled)
        settled.add(leaf)
    assert complete(ROOT, settled)


@given(trees(), st.data())
@FEW
def test_every_fork_is_complete_exactly_when_all_its_leaves_are_settled(tree, data) -> None:
    every = leaves(tree)
    settled = data.draw(st.sets(st.sampled_from(every)))
    for node in inner(tree):
        below = {leaf for leaf in every if leaf[: len(node)] == node}
        assert complete(node, settled) == (below <= settled)
        assert complete(node, settled) == naive_complete(outputs(node), list(settled))


@given(trees(), st.data())
@FEW
def test_a_settled_fork_completes_all_that_is_below_it(tree: Tree, data) -> None:
    """An attempt that gave None settles a path above the leaves of an earlier attempt."""
    every = leaves(tree)
    nodes = inner(tree) + every
    settled = data.draw(st.sets(st.sampled_from(nodes)))
    whole = all(any(leaf[: len(s)] == s for s in settled) for leaf in every)
    assert complete(ROOT, settled) == whole
    assert complete(ROOT, settled) == naive_complete((), list(settled))


@given(trees(), st.data())
@FEW
def test_what_is_complete_stays_so_whatever_else_is_settled(tree: Tree, data) -> None:
    nodes = inner(tree) + leaves(tree)
    settled = data.draw(st.sets(st.sampled_from(nodes)))
    more = settled | data.draw(st.sets(st.sampled_from(nodes)))
    if complete(ROOT, settled):
        assert complete(ROOT, more)


@given(trees(), st.data())
@FEW
def test_the_promised_mask_of_a_fork_is_known_from_any_leaf_below_it(tree: Tree, data) -> None:
    every = leaves(tree)
    settled = data.draw(st.sets(st.sampled_from(every)))
    for node in inner(tree):
        below = [leaf for leaf in settled if leaf[: len(node)] == node]
        expected = below[0][len(node)][1] if below else None
        assert promised_mask(node, settled) == expected


@given(trees(), st.data())
@FEW
def test_what_lies_under_a_path_is_what_a_worker_passes_on_as_done(tree: Tree, data) -> None:
    """Completeness of a path needs only what is under it, as item messages carry it (rule 3)."""
    every = leaves(tree)
    settled = data.draw(st.sets(st.sampled_from(every)))
    for node in inner(tree):
        passed_on = under(node, settled)
        assert complete(node, passed_on) == complete(node, settled)
        assert promised_mask(node, passed_on) == promised_mask(node, settled)


def test_nothing_settled_completes_nothing_and_promises_nothing() -> None:
    assert not complete(ROOT, [])
    assert promised_mask(ROOT, []) is None


def test_an_item_without_forks_is_complete_when_its_own_path_is_settled() -> None:
    assert complete(ROOT, [ROOT])


def test_masks_do_not_matter_in_comparing_paths() -> None:
    later = ((0, (0, 1)),)
    assert complete(later, [((0, (0,)),)])
    assert under(((0, (0, 2)),), [((0, (0, 1)), (3, (3,)))]) == {((0, (0, 1)), (3, (3,)))}


def test_a_path_is_not_under_itself() -> None:
    path = ((1, (1,)),)
    assert under(path, [path]) == frozenset()
    assert promised_mask(path, [path]) is None


def test_a_branch_does_not_complete_its_neighbour() -> None:
    mask = (0, 1)
    assert not complete(((1, mask),), [((0, mask),)])


def test_outputs_leave_the_masks_out() -> None:
    assert outputs(((2, (0, 2)), (1, (1,)))) == (2, 1)


def test_settled_may_be_an_iterator() -> None:
    mask = (0, 1)
    assert complete(ROOT, iter([((0, mask),), ((1, mask),)]))


@pytest.mark.parametrize("mask", [m for n in (1, 2, 3) for m in combinations(range(3), n)])
def test_a_fork_needs_just_the_outputs_of_its_mask(mask: tuple[int, ...]) -> None:
    settled = {((output, mask),) for output in mask}
    assert complete(ROOT, settled)
    for missing in settled:
        assert complete(ROOT, settled - {missing}) is False
