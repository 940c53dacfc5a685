"""However many workers have died, what is said and kept of them is as much as of a few."""

from __future__ import annotations

import random

from minipipe.protocol.run.actions import SendFence, SendInit
from minipipe.protocol.run.lifecycle import Bound, Died, Lifecycle, Member, Phase, Wired

SENDER = Member(1, 0, is_source=True, sends_to=frozenset({0}))
RECEIVER = Member(2, 1, receives_from=frozenset({0}))
RELAYS = [
    Member(i, 2, is_stateless=True, works_in=frozenset({0}), restarts=True, max_restarts=10**6)
    for i in (3, 4, 5)
]
ELSEWHERE = Member(6, 3, receives_from=frozenset({1}))


def test_messages_and_books_do_not_grow_with_the_number_of_deaths() -> None:
    rng = random.Random(1)
    members = [SENDER, RECEIVER, *RELAYS, ELSEWHERE]
    lifecycle, now_s = Lifecycle(members), 0.0
    for member in members:
        lifecycle.handle(Bound(member.id, f"at {member.id}"), now_s)
    for member in members:
        lifecycle.handle(Wired(member.id), now_s)
    alive, dead = [member.id for member in RELAYS], set()
    for round_ in range(600):
        now_s += 70.0  # of the deaths within a minute the lifecycle keeps count
        victim = alive.pop(rng.randrange(len(alive)))
        dead.add(victim)
        actions = lifecycle.handle(Died(victim, RuntimeError("killed"), (1, round_, ()), 0), now_s)
        new = 7 + round_
        alive.append(new)
        assert lifecycle.handle(Bound(new, f"at {new}"), now_s) == []
        if rng.random() < 0.5:  # else it dies before anybody has heard of it
            actions += lifecycle.handle(Wired(new), now_s)
        told = [a for a in actions if isinstance(a, SendFence | SendInit)]
        for action in told:
            assert len(action.dead) <= len(members)
        for action in [a for a in told if isinstance(a, SendFence)]:
            assert {i for run in action.dead for i in range(*run)} == dead
        assert all(getattr(a, "worker", 0) != ELSEWHERE.id for a in actions)
        assert lifecycle.phase(victim) is Phase.GONE
        assert lifecycle.handle(Wired(victim), now_s) == []  # its last words
    assert len(lifecycle._workers) == len(members)
