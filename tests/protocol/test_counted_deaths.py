"""Which deaths count for `max_restarts`."""

from __future__ import annotations

from dataclasses import replace

from minipipe.errors import WorkerDiedError
from minipipe.protocol.run.events import Member
from minipipe.protocol.run.lifecycle import Bound, Died, Lifecycle, Spawn, Wired
from minipipe.protocol.run.restarts import Restarts

MEMBER = Member(5, 2, is_stateless=True, restarts=True, max_restarts=3, skips_poison=True)


def death() -> WorkerDiedError:
    return WorkerDiedError("work", "work/0", 99, "was killed by SIGKILL", "", "")


def test_deaths_by_items_that_are_set_aside_do_not_count() -> None:
    restarts = Restarts(9)
    for number in range(20):
        for known in (0, 1):
            assert restarts.judge(MEMBER, death(), (3, number, ()), 0.0, known) is None
    assert len(restarts.found) == 20


def test_other_deaths_count_beside_them() -> None:
    restarts = Restarts(9)
    for known in (0, 1):
        assert restarts.judge(MEMBER, death(), (3, 0, ()), 0.0, known) is None
    for number in (1, 2, 3):
        assert restarts.judge(MEMBER, death(), (3, number, ()), 0.0) is None
    assert "death 4" in str(restarts.judge(MEMBER, death(), None, 0.0))


def test_workers_that_are_lost_with_their_zygote_are_one_death_and_all_are_replaced() -> None:
    members = [replace(MEMBER, id=i, works_in=frozenset({0}), max_restarts=1) for i in (1, 2, 3)]
    lifecycle = Lifecycle(members)
    for member in members:
        lifecycle.handle(Bound(member.id, f"inproc://{member.id}"), 0.0)
    for member in members:
        lifecycle.handle(Wired(member.id), 0.0)
    actions = [
        action
        for member in members
        for action in lifecycle.handle(Died(member.id, death(), counts=member.id == 1), 0.0)
    ]
    assert sum(isinstance(action, Spawn) for action in actions) == 3
    assert not lifecycle.stopping
