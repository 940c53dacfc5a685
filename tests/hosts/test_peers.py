"""What one agent takes from another one, by the link of the two and by the gateway."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import pytest

from minipipe.agent.paired import Kind, Paired, read_paired, write_paired
from minipipe.agent.peer import Peer
from minipipe.agent.relay import Parcel
from minipipe.errors import WireFormatError
from minipipe.protocol.delivery.membership import SUPERVISOR
from minipipe.protocol.flow.link_actions import Lost
from minipipe.stream import records, wire
from minipipe.stream.foreign import ByLink
from minipipe.stream.routes import write_route
from minipipe.transport import NATIVE, Buffer
from minipipe.transport.hosts.link_end import Arrived, LinkEnd, LinkEvent

RUN, LINK, OTHER, THIRD = 1, 9, 3, 4  # (the other agent, and one that is neither)
RUNS = {10: OTHER, 11: OTHER, 20: THIRD}
HERE = write_route("here", [5])


class End:
    """The end of a link: what is given to it, and what it gives."""

    def __init__(self) -> None:
        self.has_met, self.is_over, self.room = True, False, 100
        self.released = 0
        self.sent: list[Any] = []
        self.came: deque[Arrived] = deque()
        self.handed: list[int] = []
        self.events: deque[LinkEvent] = deque()
        self.why = ""

    @property
    def has_room(self) -> bool:
        return not self.is_over and len(self.sent) < self.room

    def send(self, frames: Any) -> int:
        self.sent.append(frames)
        return len(self.sent)

    def comes(self, frames: Sequence[Buffer]) -> None:
        self.came.append(Arrived(7 * len(self.came) + 7, [memoryview(frame) for frame in frames]))

    def receive(self) -> Arrived | None:
        return self.came.popleft() if self.came else None

    def handed_over(self, number: int) -> None:
        self.handed.append(number)

    def give_up(self, why: str) -> None:
        if not self.is_over:
            self.is_over, self.why = True, why
            self.events.append(Lost(why))

    def event(self) -> LinkEvent | None:
        return self.events.popleft() if self.events else None


class Two(NamedTuple):
    """A peer, its link, what it has said by the gateway, what was handed over."""

    peer: Peer
    end: End
    relayed: list[list[Buffer]]
    got: list[Parcel]

    def serve(self, runs: dict[int, int] = RUNS) -> str:
        return self.peer.serve(runs, self.got.append)[1]

    def said(self, kind: Kind, number: int = 0, items: Sequence[Buffer] = ()) -> None:
        self.peer.said(Paired(kind, LINK, number, items), self.got.append)

    @property
    def kinds(self) -> list[tuple[int, int]]:
        return [read_paired(frames)[0:3:2] for frames in self.relayed]


def two(patience_s: float = 60.0) -> Two:
    end, relayed = End(), list[list[Buffer]]()
    by_link = ByLink("a link", NATIVE)
    peer = Peer("here", LINK, OTHER, cast(LinkEnd, end), by_link, relayed.append, patience_s)
    return Two(peer, end, relayed, [])


def items(sender: int, *said: Any, route: bytes = HERE) -> list[Buffer]:
    head = wire.Writer(RUN, sender).write(said or [records.Close(0)])
    return [b"D" + route, head]


def test_nothing_is_taken_before_the_other_one_has_switched() -> None:
    here = two()
    here.end.comes(items(10))
    here.serve()
    assert not here.got and here.kinds == [(Kind.SWITCHED, 0)]
    here.said(Kind.SWITCHED)
    here.serve()
    assert [parcel.workers for parcel in here.got] == [(5,)] and here.end.handed == [7]


def test_what_a_worker_says_waits_for_the_news_that_it_runs_there() -> None:
    here = two()
    here.said(Kind.SWITCHED)
    here.end.comes(items(12))
    here.end.comes(items(10))
    here.serve()
    assert here.peer.holds and not here.got and not here.end.handed
    here.serve({**RUNS, 12: OTHER})
    assert len(here.got) == 2 and not here.peer.holds and not here.end.why


def test_it_does_not_wait_for_ever() -> None:
    here = two(patience_s=0.0)
    here.said(Kind.SWITCHED)
    here.end.comes(items(12))
    here.serve()
    assert "nobody has told of" in here.serve()
    assert not here.got and here.end.is_over


SLOT = (1, 3, 0, 0, 0)
REFUSED: dict[str, list[Buffer]] = {
    "a worker of a third host": items(20),
    "the supervisor": items(SUPERVISOR, records.Exit()),
    "the supervisor's words": items(SUPERVISOR),
    "an order": items(10, records.Exit()),
    "a report": items(10, records.Wired()),
    "memory of this machine": items(
        10, records.Items(0, 0, 1, (0, 1), (), (), (), (), SLOT, (), b"")
    ),
    "what is for the supervisor": items(10, route=write_route("here", [SUPERVISOR])),
    "what is for another host": items(10, route=write_route("there", [5])),
    "no head": [b"D" + HERE],
    "no route": [b"Dx", b""],
    "no items": [b"C\x91\x01"],
    "what agents say by the gateway": write_paired(Kind.SWITCHED, LINK, 0),
    "an empty frame": [b""],
    "nothing": [],
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_may_not_come_ends_the_link_and_comes_again_by_the_gateway(what: str) -> None:
    here = two()
    here.serve()
    here.said(Kind.SWITCHED)
    here.peer.send(items(5))
    here.end.comes(items(10))
    here.end.comes(REFUSED[what])
    here.end.comes(items(11))
    assert "what came by it is refused" in here.serve()
    assert len(here.got) == 1 and here.end.handed == [7]
    # What was sent goes on, and so does the other one.
    assert here.kinds == [(Kind.SWITCHED, 0), (Kind.FELL_BACK, 1), (Kind.AGAIN, 1)]
    assert not here.peer.outgoing.is_direct and not here.peer.outgoing.owes
    here.said(Kind.FELL_BACK, 1)
    here.said(Kind.AGAIN, 1, items(10))
    assert len(here.got) == 1
    here.said(Kind.AGAIN, 2, items(11))
    assert len(here.got) == 2


def test_only_what_was_not_released_comes_again() -> None:
    here = two()
    here.serve()
    here.end.room = 3
    for _ in range(5):
        here.peer.send(items(5))
    assert len(here.end.sent) == 3 and not here.peer.can_give
    here.end.released = 2
    here.end.room = 4
    assert here.peer.can_give
    here.serve()
    here.end.give_up("cut")
    assert here.serve() == "cut"
    assert here.kinds[1:] == [(Kind.FELL_BACK, 3), *((Kind.AGAIN, number) for number in (3, 4, 5))]
    assert here.serve() == "" and len(here.kinds) == 5


def test_of_one_that_is_gone_what_it_had_said_before_comes_all_the_same() -> None:
    here = two()
    here.serve()
    here.said(Kind.SWITCHED)
    here.peer.send(items(5))
    here.end.comes(items(10))
    here.serve()
    here.peer.part()
    assert here.kinds == [(Kind.SWITCHED, 0)] and not here.peer.outgoing.owes
    here.said(Kind.FELL_BACK, 1)
    for number in (1, 2):
        here.said(Kind.AGAIN, number, items(10))
    assert len(here.got) == 2


@pytest.mark.parametrize(
    "frames",
    [
        [b""],
        [b"P"],
        [b"P" + bytes(17)],
        [write_paired(Kind.SWITCHED, 1, 1)[0], b""],
        [bytes(write_paired(Kind.FELL_BACK, 1, 1)[0]) + b"x"],
        write_paired(Kind.AGAIN, 1, 1),
        write_paired(Kind.AGAIN, 1, 1, [b"D" + HERE]),
        write_paired(Kind.AGAIN, 1, 1, [b"C" + HERE, b""]),
        write_paired(9, 1, 1),
    ],
    ids=repr,
)
def test_what_says_nothing_is_refused(frames: list[Buffer]) -> None:
    with pytest.raises(WireFormatError, match="says nothing"):
        read_paired(frames)
    written = write_paired(Kind.AGAIN, 3, 1 << 40, items(10))
    assert read_paired(written) == (Kind.AGAIN, 3, 1 << 40, items(10))
