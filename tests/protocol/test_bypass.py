"""The ways between two hosts: every course of events of few messages, drawn ones of many."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minipipe.errors import WireFormatError
from minipipe.protocol.flow.bypass import Incoming, Outgoing


class World:
    """A host that sends 1, 2, 3 ... to another one: by a relay, and by a link that may be lost.

    Each end loses the link for itself, at any time; what is in it then arrives, or does not.  When
    both have lost it, there may be another one, while the relay still has what was said of the old.
    """

    outgoing: type[Outgoing[int]] = Outgoing
    incoming: type[Incoming] = Incoming
    links = 2

    def __init__(self, count: int) -> None:
        self.count, self.sent = count, 0
        self.relay: list[tuple[int, str, int, int]] = []
        self.all: list[Incoming] = []  # of each link
        self.got: list[int] = []
        self.another()

    def another(self) -> None:
        self.out, self.into = self.outgoing(), self.incoming()
        self.all.append(self.into)
        self.link: list[int] = []  # under way there
        self.acks: list[int] = []  # under way back
        self.is_up = self.out_lost = self.into_lost = False

    def moves(self) -> Iterator[str]:
        """All that may happen next."""
        if self.sent < self.count:
            yield "send"
        if not self.is_up and not self.out_lost:
            yield "up"
        if self.out.waits and not self.out_lost:
            yield "give"
        if self.link and not self.into_lost and self.into.is_open:
            yield "take"
        if self.acks and not self.out_lost:
            yield "ack"
        if self.relay:
            yield "hand_on"
        if not self.out_lost:
            yield "lose"
        if not self.into_lost:
            yield "lose_there"
        if self.out_lost and self.into_lost and len(self.all) < self.links:
            yield "another"

    def send(self) -> None:
        self.sent += 1
        if self.out.is_direct:
            self.out.add(self.sent)
        else:
            self.relay.append((len(self.all), "plain", 0, self.sent))

    def up(self) -> None:
        self.is_up = True
        if self.out.link_is_up():
            self.relay.append((len(self.all), "switched", 0, 0))

    def give(self) -> None:
        self.link.append(self.out.give())

    def take(self) -> None:
        self.into.take()
        self.got.append(self.link.pop(0))
        self.acks.append(self.into.taken)

    def ack(self) -> None:
        self.out.released(self.acks.pop(0))

    def lose(self) -> None:
        self.out_lost = True
        lost = self.out.link_is_lost()
        assert lost is not None and self.out.link_is_lost() is None
        number, left = lost
        which = len(self.all)
        self.relay.append((which, "fell_back", number, 0))
        self.relay += [(which, "again", number + at, body) for at, body in enumerate(left)]

    def lose_there(self) -> None:
        self.into_lost = True

    def hand_on(self) -> None:
        which, kind, number, body = self.relay.pop(0)
        into = self.all[which - 1]
        if kind == "switched":
            into.switched()
        elif kind == "fell_back":
            into.fell_back(number)
            self.into_lost |= into is self.into
        elif kind == "plain" or into.again(number):
            self.got.append(body)

    def settle(self) -> None:
        """Nothing else happens: what is under way arrives, and a link that one end has lost is lost
        for the other one."""
        while True:
            open_moves = [m for m in self.moves() if not m.startswith("lose") and m != "another"]
            if self.into_lost and not self.out_lost:
                open_moves.append("lose")
            if not open_moves or open_moves == ["up"]:
                break
            getattr(self, open_moves[0])()
        assert self.got == list(range(1, self.count + 1)), self.got
        assert not self.out.owes

    def check(self) -> None:
        """What has arrived is the beginning of what was sent."""
        assert self.got == list(range(1, len(self.got) + 1)), self.got


def searched(world: type[World], count: int) -> int:
    """Every course of events; how many states there are."""
    todo = [pickle.dumps(world(count))]
    seen = set(todo)
    while todo:
        packed = todo.pop()
        state: World = pickle.loads(packed)
        for move in list(state.moves()):
            after: World = pickle.loads(packed)
            getattr(after, move)()
            after.check()
            key = pickle.dumps(after)
            if key not in seen:
                seen.add(key)
                todo.append(key)
        state.settle()
    return len(seen)


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_each_message_arrives_once_and_in_order_whatever_happens(count: int) -> None:
    assert searched(World, count) > 10 * count


@settings(max_examples=100)
@given(seed=st.integers(0, 1 << 30), count=st.integers(4, 60))
def test_so_do_many(seed: int, count: int) -> None:
    random, world = Random(seed), World(count)
    world.links = 9
    for _ in range(random.randrange(6 * count)):
        moves = [
            one for one in world.moves() if not one.startswith("lose") or random.random() < 0.2
        ]
        if moves:
            getattr(world, random.choice(moves))()
            world.check()
    world.settle()


class Hasty(Incoming):
    """Takes from the link before all that went by the relay has come."""

    @property
    def is_open(self) -> bool:
        return not self._has_fallen_back


class Forgetful(Incoming):
    """Takes what comes again without a look at what it has."""

    def again(self, number: int) -> bool:
        return True


class Greedy(Incoming):
    """Takes from the link although what was in it comes again."""

    @property
    def is_open(self) -> bool:
        return self._is_switched


class Sure(Outgoing[int]):
    """Does not send again what it has given to the link."""

    def link_is_lost(self) -> tuple[int, list[int]] | None:
        given = self._given
        lost = super().link_is_lost()
        return None if lost is None else (lost[0] + given, lost[1][given:])


class HastyWorld(World):
    incoming = Hasty


class ForgetfulWorld(World):
    incoming = Forgetful


class GreedyWorld(World):
    incoming = Greedy

    def hand_on(self) -> None:
        lost = self.into_lost
        super().hand_on()
        self.into_lost = lost  # or its link would be closed


class SureWorld(World):
    outgoing = Sure


@pytest.mark.parametrize("world", [HastyWorld, ForgetfulWorld, GreedyWorld, SureWorld])
def test_each_rule_is_needed(world: type[World]) -> None:
    with pytest.raises((AssertionError, WireFormatError)):
        searched(world, 2)


def test_what_cannot_be_is_refused() -> None:
    into = Incoming()
    into.switched()
    into.take()
    with pytest.raises(WireFormatError, match="message 2 comes again, after 1"):
        into.again(2)  # it may still come by the link
    for first in (0, 3):
        with pytest.raises(WireFormatError, match=f"messages from {first} on come again, after 1"):
            into.fell_back(first)
    with pytest.raises(WireFormatError, match="message 3 comes again, after 1"):
        into.again(3)
    assert into.again(2) and not into.again(2) and not into.is_open
