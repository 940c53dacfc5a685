"""An agent of a test: it joins a run as any, and says whatever the test wants it to."""

from __future__ import annotations

import pickle
import time
from collections.abc import Sequence
from typing import Any

from zmq.utils.garbage import gc

from minipipe.agent.words import Word, said, say
from minipipe.process.versions import versions
from minipipe.protocol.flow.link_actions import Ended, Lost, OtherEnded
from minipipe.protocol.hosts.endpoints import read_endpoints
from minipipe.protocol.hosts.offer import Offer, write_offer
from minipipe.protocol.hosts.token import parse_token
from minipipe.stream import wire
from minipipe.supervisor.hosts.gateway_words import Package
from minipipe.transport import Buffer
from minipipe.transport.curve import CurveKeys
from minipipe.transport.hosts.host_sockets import HostSockets
from minipipe.transport.hosts.join import join
from minipipe.transport.hosts.link_end import LinkEnd
from tests.conftest import DEADLOCK_S


class FakeAgent:
    """One of them, without workers.

    Attributes:
        package: what it was sent to start a worker, if that was wanted.
        items: that it was sent.
        peer: the link to another agent, once it has one; and its number.

    Args:
        token: of the run.
        tag: of the machine that it pretends to be.
    """

    def __init__(self, token: str, tag: str = "evil") -> None:
        keys = CurveKeys.new()
        offer = Offer("far", 1, tags=(tag,), facts=versions().to_facts())
        joined = join(parse_token(token), keys, write_offer(offer))
        self.sockets = HostSockets("a test", keys)
        self.link = self.sockets.connect("the run", joined.endpoints, joined.server_key)
        self.package: Package | None = None
        self.items: list[list[memoryview]] = []
        self.peer: LinkEnd | None = None
        self.link_number = 0
        self._keys = CurveKeys.new()
        self.is_over = False

    def serve(self) -> None:
        """Hears what there is."""
        self.sockets.serve(0.02)
        while (arrived := self.link.receive()) is not None:
            if bytes(arrived.frames[0][:1]) == b"D":
                self.items.append(arrived.frames)
            elif bytes(arrived.frames[0][:1]) == b"C":
                self._told(*said(arrived.frames[0]), arrived.frames[1:])
            self.link.handed_over(arrived.number)
        while (event := self.link.event()) is not None:
            self.is_over |= isinstance(event, Ended | Lost | OtherEnded)

    def _told(self, word: Word, fields: tuple[Any, ...], frames: Sequence[Buffer]) -> None:
        if word is Word.START:
            self.package = pickle.loads(frames[0])
        elif word is Word.PEER:  # it is the younger one, and goes there
            self.link_number, _, name, key, where, *_ = fields
            endpoints = read_endpoints(where)
            self.peer = self.sockets.connect(name, endpoints, key, keys=self._keys)

    def listens(self) -> None:
        """It says so, and lets nobody come."""
        self.says(Word.LISTENS, self._keys.public, "tcp://127.0.0.1:1")

    def until(self, is_true: Any, what: str) -> None:
        until_s = time.monotonic() + DEADLOCK_S
        while not is_true():
            assert time.monotonic() < until_s, f"waited for {what}"
            self.serve()

    def is_asked_for_a_worker(self) -> Package:
        """What it was sent to start one."""
        self.until(lambda: self.package is not None, "a worker to be asked for")
        assert self.package is not None
        return self.package

    def says(self, word: Word, *fields: Any, frames: Sequence[Buffer] = ()) -> None:
        self.sends(say(word, *fields, frames=frames))

    def sends(self, frames: Sequence[Buffer]) -> None:
        """Any message."""
        self.until(lambda: self.link.has_room, "room")
        self.link.send(frames)

    def sends_records(self, route: bytes, sender: int, *records: Any, frames: Any = ()) -> None:
        """As a worker of its own, or as somebody else."""
        self.sends([b"D" + route, self.head(sender, *records), *frames])

    def head(self, sender: int, *records: Any) -> bytes:
        """That of a message of this worker."""
        assert self.package is not None
        return wire.Writer(self.package.spec.run, sender).write(records)

    def says_farewell(self, why: str) -> None:
        """It gives up the run, and says why."""
        self.serve()
        self.link.give_up(why)
        self.until(lambda: self.is_over, "its own end")
        for _ in range(10):
            self.serve()

    def is_thrown_out(self) -> None:
        """Waits until it is."""
        self.until(lambda: self.is_over, "the run to throw it out")

    def close(self) -> None:
        self.sockets.close()
        gc.stop()  # the thread and the sockets by which pyzmq gives back what was sent uncopied
