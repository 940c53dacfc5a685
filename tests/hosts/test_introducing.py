"""Who is introduced to whom, and told of which workers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import pytest

from minipipe.agent.guest import Guest
from minipipe.agent.introducing import Introductions
from minipipe.agent.paired import Kind, read_paired, write_paired
from minipipe.agent.way import Way
from minipipe.agent.words import Word, said
from minipipe.errors import WireFormatError
from minipipe.protocol.hosts.endpoints import MAX_ENDPOINTS, Endpoint, write_endpoints
from minipipe.stream import records, wire
from minipipe.stream.routes import write_route
from minipipe.transport import NATIVE, Buffer
from minipipe.transport.curve import CurveKeys


class Told:
    """What is sent to an agent."""

    def __init__(self) -> None:
        self.words: list[tuple[Any, ...]] = []
        self.items: list[Sequence[Buffer]] = []

    def say(self, frames: Sequence[Buffer]) -> None:
        word, fields = said(frames[0])
        self.words.append((word, *fields))

    def send(self, frames: Sequence[Buffer]) -> None:
        self.items.append(frames)

    def takes(self) -> list[tuple[Any, ...]]:
        words, self.words = self.words, []
        return words


class Party:
    """Agents that have joined, in this order; all listen but those in capitals."""

    def __init__(self, names: str) -> None:
        self.guests: dict[str, Guest] = {}
        self.told: dict[str, Told] = {}
        self.introductions = Introductions(self.guests, NATIVE)
        for name in names:
            self.joins(name)

    def joins(self, name: str) -> Guest:
        self.told[name] = Told()
        guest = Guest(name, f"key of {name}", cast(Way, self.told[name]), 15.0)
        self.guests[name] = guest
        self.introductions.joined(guest)
        if name.islower():
            self.introductions.listens(guest, CurveKeys.new().public, place(guest.serial))
        return guest

    def leaves(self, name: str) -> None:
        self.introductions.parted(self.guests.pop(name))


def place(serial: int) -> str:
    return f"tcp://10.0.0.{serial}:7712"


def test_two_are_introduced_once_the_elder_first() -> None:
    party = Party("abc")
    a, b, c = party.guests.values()
    for _ in range(2):
        party.introductions.meet(b, "a")
        party.introductions.meet(a, "b")
    assert party.told["b"].takes() == []
    assert party.told["a"].takes() == [(Word.PEER, 1, 2, "b", b.peer_key, "", False, True)]
    for guest, link in ((b, 1), (c, 1), (a, 2)):  # who was not asked, or of another link
        party.introductions.awaits(guest, link)
    assert party.told["b"].takes() == []
    for _ in range(2):
        party.introductions.awaits(a, 1)
    assert party.told["b"].takes() == [(Word.PEER, 1, 1, "a", a.peer_key, place(1), False, True)]
    assert party.told["c"].takes() == []


def test_if_that_does_not_come_to_be_the_elder_goes() -> None:
    party = Party("ab")
    a, b = party.guests.values()
    party.introductions.meet(b, "a")
    party.introductions.awaits(a, 1)
    party.told["a"].takes(), party.told["b"].takes()
    for guest in (a, b):
        party.introductions.meet(a, "b")
        assert not party.told["b"].words
        party.introductions.hand_on(guest, write_paired(Kind.FELL_BACK, 1, 1))
    party.introductions.meet(a, "b")
    party.introductions.awaits(b, 2)
    assert party.told["b"].takes() == [(Word.PEER, 2, 1, "a", a.peer_key, "", False, True)]
    assert party.told["a"].takes() == [(Word.PEER, 2, 2, "b", b.peer_key, place(2), False, True)]
    again = write_paired(Kind.AGAIN, 1, 1, [b"D" + write_route("a", [5]), head(b, 7)])
    party.introductions.hand_on(b, again)  # of the first link, behind that it was lost
    assert party.told["a"].items[-1] == again


@pytest.mark.parametrize(("one", "other"), [("a", "B"), ("B", "a"), ("a", "a"), ("a", "nobody")])
def test_who_does_not_listen_is_not_introduced(one: str, other: str) -> None:
    party = Party("aB")
    party.introductions.meet(party.guests[one], other)
    assert not party.told["a"].words and not party.told["B"].words


def test_all_are_told_who_runs_where() -> None:
    party = Party("ab")
    for worker in (5, 6):
        party.guests["a"].all_workers.add(worker)
        party.introductions.runs(party.guests["a"], worker)
    party.introductions.tell()
    party.introductions.tell()
    for name in "ab":
        assert party.told[name].takes() == [(Word.RUNS, 1, (5, 6))]
    party.joins("c")
    assert party.told["c"].takes() == [(Word.RUNS, 1, (5, 6))]


def test_who_is_gone_is_said_and_its_name_may_be_had_again() -> None:
    party = Party("ab")
    party.introductions.meet(party.guests["b"], "a")
    party.leaves("b")
    assert party.told["a"].takes()[1:] == [(Word.PARTED, 2)]
    party.introductions.awaits(party.guests["a"], 1)  # it had answered before it heard that
    b = party.joins("b")
    party.introductions.meet(b, "a")
    assert party.told["a"].takes() == [(Word.PEER, 2, 3, "b", b.peer_key, "", False, True)]


def test_what_is_said_to_another_one_is_handed_on_behind_its_items() -> None:
    party = Party("abc")
    a, b, c = party.guests.values()
    said_by_b = write_paired(Kind.SWITCHED, 1, 0)
    party.introductions.hand_on(b, said_by_b)
    assert not party.told["a"].items  # they do not know each other
    party.introductions.meet(b, "a")
    party.introductions.hand_on(b, said_by_b)
    again = [b"D" + write_route("a", [5]), head(b, 7)]
    party.introductions.hand_on(b, write_paired(Kind.AGAIN, 1, 1, again))
    came = [read_paired(frames) for frames in party.told["a"].items]
    assert came == [(Kind.SWITCHED, 1, 0, ()), (Kind.AGAIN, 1, 1, again)]
    for guest, items, why in (
        (a, again, "none of its own"),
        (b, [b"D" + write_route("c", [5]), again[1]], "for another host"),
        (c, [again[0], head(c, 8)], "a link that others have"),
    ):
        with pytest.raises(WireFormatError, match=why):
            party.introductions.hand_on(guest, write_paired(Kind.AGAIN, 1, 1, items))


def head(guest: Guest, worker: int) -> bytes:
    """That of a message of a worker of it."""
    guest.all_workers.add(worker)
    return wire.Writer(1, worker).write([records.Close(0)])


def test_nobody_listens_by_the_key_of_another_one() -> None:
    party = Party("aB")
    key = party.guests["a"].peer_key
    with pytest.raises(WireFormatError, match="by the key of another one"):
        party.introductions.listens(party.guests["B"], key, place(2))


def test_no_more_addresses_are_said_than_are_heard() -> None:
    party = Party("B")
    many = [Endpoint(f"fd77:{n:x}:{n:x}:ffff:ffff:ffff:ffff:ffff", 65_535) for n in range(0xFFFF)]
    where = write_endpoints(many[-99:])
    party.introductions.listens(party.guests["B"], CurveKeys.new().public, where)
    assert len(where.split()) == MAX_ENDPOINTS
