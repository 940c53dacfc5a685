"""Who belongs to the run, as one worker knows it."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from minipipe.protocol.delivery.membership import SUPERVISOR, Membership, Peer


def peer(ident: int) -> Peer:
    return Peer(ident, segment=ident % 3, address=f"inproc://run/{ident:x}")


def test_a_worker_is_born_with_init() -> None:
    membership = Membership(run=1)
    assert not membership.born
    membership.init((), (), [])
    assert membership.born


def test_init_returns_the_peers_that_are_new() -> None:
    membership = Membership(run=1)
    membership.join(peer(2))
    assert membership.init((), (), [peer(2), peer(3)]) == [peer(3)]
    assert membership.peers == {2: peer(2), 3: peer(3)}


def test_a_peer_joins_once() -> None:
    membership = Membership(run=1)
    assert membership.join(peer(2))
    assert not membership.join(peer(2))


def test_a_peer_that_is_named_twice_in_init_is_new_once() -> None:
    assert Membership(run=1).init((), (), [peer(2), peer(2)]) == [peer(2)]


def test_the_dead_of_init_are_not_peers() -> None:
    membership = Membership(run=1)
    membership.join(peer(2))
    assert membership.init((), [(2, 4)], [peer(2), peer(3), peer(4)]) == [peer(4)]
    assert set(membership.peers) == {4}


def test_the_dead_do_not_come_back() -> None:
    membership = Membership(run=1)
    membership.init((), [(2, 3)], [])
    assert not membership.join(peer(2))
    assert not membership.admits(1, 2)


def test_nothing_of_another_run_is_admitted() -> None:
    membership = Membership(run=1)
    assert membership.admits(1, 2)
    assert not membership.admits(2, 2)
    assert not membership.admits(2, SUPERVISOR)


def test_the_supervisor_and_peers_not_yet_known_are_admitted() -> None:
    membership = Membership(run=1)
    assert membership.admits(1, SUPERVISOR)
    assert membership.admits(1, 77)


def test_the_epoch_never_falls() -> None:
    membership = Membership(run=1)
    membership.init([(0, 3)], (), [])
    membership.init([(0, 1), (2, 1)], (), [])
    assert not membership.fence(0, 2, ())
    assert not membership.fence(0, 3, ())
    assert (membership.epoch(0), membership.epoch(1), membership.epoch(2)) == (3, 0, 1)
    assert membership.fence(0, 4, ())
    assert membership.epoch(0) == 4


def test_a_fence_that_comes_late_still_buries_the_dead() -> None:
    membership = Membership(run=1)
    membership.init([(0, 3)], (), [peer(2)])
    assert not membership.fence(0, 2, [(2, 3)])
    assert not membership.peers and not membership.admits(1, 2)


WORDS = st.lists(
    st.one_of(
        st.tuples(st.just("join"), st.integers(1, 8)),
        st.tuples(st.just("init"), st.integers(0, 4), st.sets(st.integers(1, 8), max_size=3)),
    ),
    max_size=20,
)


@given(WORDS)
@settings(max_examples=100, deadline=None)
def test_whatever_is_said_the_dead_and_the_peers_are_disjoint_and_news_is_told_once(words) -> None:
    membership = Membership(run=1)
    told: list[int] = []
    dead: set[int] = set()
    epoch = 0
    for kind, number, *rest in words:
        if kind == "join":
            if membership.join(peer(number)):
                told.append(number)
        else:
            dead |= rest[0]
            epoch = max(epoch, number)
            buried = [(ident, ident + 1) for ident in rest[0]]
            new = membership.init([(0, number)], buried, [peer(i) for i in range(1, 9, 2)])
            told += [p.id for p in new]
        assert not set(membership.peers) & dead
        assert {i for run in membership.dead for i in range(*run)} == dead
        assert membership.epoch(0) == epoch
    assert len(told) == len(set(told))
    assert set(told) - dead == set(membership.peers)
