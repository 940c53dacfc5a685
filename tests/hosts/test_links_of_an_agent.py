"""The links that an agent has with others, one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest

from minipipe.agent.paired import Kind, read_paired, write_paired
from minipipe.agent.peers import Peers
from minipipe.agent.relay import Relay
from minipipe.agent.words import Word, said
from minipipe.errors import WireFormatError
from minipipe.protocol.delivery.membership import LOCAL_HOST
from minipipe.protocol.hosts.endpoints import Endpoint
from minipipe.stream.routes import write_route
from minipipe.transport import Buffer
from minipipe.transport.curve import CurveKeys
from minipipe.transport.hosts.host_sockets import HostSockets
from minipipe.transport.hosts.listening import Listening
from tests.hosts.test_peers import OTHER, End, items

KEY, PLACE = CurveKeys.new().public, "tcp://192.0.2.1:7712"
ITEMS = [b"D" + write_route("there", [6]), b"head"]


class Here:
    """An agent, without sockets."""

    def __init__(self) -> None:
        self.words: list[tuple[Any, ...]] = []
        self.by_gateway: list[Sequence[Buffer]] = []
        self.ends: list[End] = []
        self.admitted: list[str] = []
        self.got: list[Any] = []
        gateway = SimpleNamespace(say=self._say, send=self.by_gateway.append)
        relay = SimpleNamespace(
            host="here",
            ways={LOCAL_HOST: gateway},
            lifting=SimpleNamespace(allocate=bytearray),
            arrived=self.got.append,
        )
        sockets = SimpleNamespace(
            connect=self._connect, admit=self._admit, dismiss=self.admitted.remove
        )
        listening = Listening(CurveKeys.new(), (Endpoint("10.0.0.1", 7712),))
        both = cast(HostSockets, sockets), cast(Relay, relay)
        self.peers = Peers(*both, listening, 60.0)
        self.sends = cast(Relay, relay).direct

    def _say(self, frames: Sequence[Buffer]) -> None:
        word, fields = said(frames[0])
        self.words.append((word, *fields))

    def _connect(self, *_: Any) -> End:
        self.ends.append(End())
        return self.ends[-1]

    def _admit(self, key: str, *_: Any) -> End:
        self.admitted.append(key)
        return self._connect()

    def meets(self, link: int, where: str = PLACE, serial: int = OTHER) -> End:
        self.peers.told(Word.PEER, (link, serial, "there", KEY, where, False, True))
        return self.ends[-1]

    def says(self, kind: Kind, link: int, number: int = 0, items: Sequence[Buffer] = ()) -> None:
        self.peers.said(write_paired(kind, link, number, items))

    @property
    def said_by_gateway(self) -> list[tuple[int, int, int]]:
        return [read_paired(frames)[:3] for frames in self.by_gateway]


def test_items_go_by_the_link_once_it_stands() -> None:
    here = Here()
    assert here.words == [(Word.LISTENS, here.words[0][1], "tcp://10.0.0.1:7712")]
    assert not here.sends("there", ITEMS)
    end = here.meets(1)
    assert not here.sends("there", ITEMS)
    here.peers.serve()
    assert here.said_by_gateway == [(Kind.SWITCHED, 1, 0)]
    assert here.sends("there", ITEMS) and end.sent == [ITEMS]
    assert not here.sends("elsewhere", ITEMS)
    assert here.peers.owes and here.peers.sent_bytes == len(ITEMS[0]) + 4


def test_who_is_to_come_is_let_in_before_that_is_said() -> None:
    here = Here()
    here.meets(4, where="")
    assert here.admitted == [KEY] and here.words[1:] == [(Word.AWAITS, 4)]
    here.peers.told(Word.PARTED, (OTHER,))
    assert not here.admitted and not here.sends("there", ITEMS)


def test_a_lost_link_is_followed_by_another_one() -> None:
    here = Here()
    first = here.meets(1, where="")
    here.peers.serve()
    here.sends("there", ITEMS)
    first.give_up("cut")
    here.peers.serve()
    said = here.said_by_gateway
    assert said == [(Kind.SWITCHED, 1, 0), (Kind.FELL_BACK, 1, 1), (Kind.AGAIN, 1, 1)]
    assert (here.words[-1][0], "cut" in here.words[-1][2]) == (Word.NOTE, True)
    here.says(Kind.FELL_BACK, 1, 1)
    assert not here.sends("there", ITEMS)
    second = here.meets(2)  # now it goes there itself
    assert not here.admitted
    here.peers.told(Word.RUNS, (OTHER, (10,)))
    second.comes(items(10))
    here.peers.serve()
    assert here.said_by_gateway[3:] == [(Kind.SWITCHED, 2, 0)] and not here.got
    here.says(Kind.AGAIN, 1, 1, items(10))  # what is still on its way of the first one
    assert len(here.got) == 1
    here.says(Kind.SWITCHED, 2)
    here.peers.serve()
    assert len(here.got) == 2 and second.handed
    assert here.sends("there", ITEMS) and second.sent == [ITEMS]
    assert here.peers.sent_bytes == 2 * (len(ITEMS[0]) + 4)
    with pytest.raises(WireFormatError, match="of a link that is not known"):
        here.says(Kind.AGAIN, 1, 2, items(10))  # nothing of it can come behind that


def test_one_that_it_cannot_go_to_is_told_so() -> None:
    here = Here()
    with pytest.raises(WireFormatError, match="host 'there' is nowhere"):
        here.meets(1, where="tcp://nowhere")
    assert here.said_by_gateway == [(Kind.FELL_BACK, 1, 1)]


def test_a_name_may_be_that_of_another_one_later() -> None:
    here = Here()
    here.meets(1)
    here.peers.serve()
    here.peers.told(Word.PARTED, (OTHER,))
    end = here.meets(2, serial=OTHER + 1)
    here.peers.told(Word.PARTED, (OTHER,))
    here.peers.serve()
    assert here.sends("there", ITEMS) and end.sent == [ITEMS]
