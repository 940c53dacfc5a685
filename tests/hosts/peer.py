"""One host of a test, as a process of its own: it sends numbered messages, and checks what it gets.

    python -m tests.hosts.peer '{"role": "listen", "address": "tcp://127.0.0.1:0", ...}'

What happens is a line of JSON each; a line on its standard input is an order: "end", or "take",
after which it reads its messages (with "lazy").
"""

from __future__ import annotations

import hashlib
import json
import logging
import sys
from dataclasses import dataclass, field
from random import Random
from typing import Any

from minipipe.protocol.flow.link_actions import Ended, Lost
from minipipe.protocol.flow.patience import Patience
from minipipe.protocol.hosts.endpoints import Endpoint
from minipipe.protocol.hosts.joining import Answer, JoinRequest, Refused, Welcome
from minipipe.protocol.hosts.token import Token, parse_token
from minipipe.transport.curve import CurveKeys
from minipipe.transport.hosts.host_sockets import HostSockets
from minipipe.transport.hosts.invitation import guest_keys, invite, z85_key
from minipipe.transport.hosts.join import join
from minipipe.transport.hosts.link_end import LinkEnd

LARGE = 700_000  # bytes: eleven pieces


@dataclass
class Plan:
    """What a host is to do.

    Attributes:
        role: "listen" or "join".
        address: to bind to.
        endpoints: for the token, instead of that address.
        token: to join by.
        count: so many messages are sent.
        seed: of their sizes.
        lost_after_s: see `Patience`.
        watchful: it notices silence much sooner than it follows from that (`Watchful`).
        lazy: it reads nothing before it is told "take".
        refuses: it lets nobody join, and says this.
        most_bytes: of a frame that there is memory for.
    """

    role: str
    address: str = "tcp://127.0.0.1:0"
    endpoints: list[list[Any]] = field(default_factory=list)
    token: str = ""
    count: int = 0
    seed: int = 0
    lost_after_s: float = 30.0
    watchful: bool = False
    window_bytes: int = 1 << 20
    lazy: bool = False
    refuses: str = ""
    most_bytes: int = 1 << 30


class Watchful(Patience):
    """Notices silence soon, and still waits long before it gives up."""

    @property
    def beat_s(self) -> float:
        return self.lost_after_s / 90

    @property
    def silent_s(self) -> float:
        return self.lost_after_s / 30


def message(seed: int, number: int) -> list[bytes]:
    """A message of any size, which both ends can make."""
    random = Random(seed * 1_000_003 + number)
    sizes = [random.choice((0, 1, 100, 100, 5000))]
    if number % 20 == 7:
        sizes += [random.randrange(LARGE), 3]
    return [number.to_bytes(4, "big") + random.randbytes(size) for size in sizes]


def say(**what: object) -> None:
    print(json.dumps(what), flush=True)


class Host:
    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.keys = CurveKeys.new()
        kind = Watchful if plan.watchful else Patience
        self.sockets = HostSockets(
            f"host {plan.role}",
            self.keys,
            patience=kind(lost_after_s=plan.lost_after_s, retry_s=0.02, longest_retry_s=0.1),
            window_bytes=plan.window_bytes,
        )
        self.end: LinkEnd | None = None
        self.received = self.sent = 0
        self.digest = hashlib.sha256()
        self.takes = not plan.lazy

    def begin(self) -> None:
        plan = self.plan
        if plan.role == "join":
            joined = join(parse_token(plan.token), self.keys, b"a host of a test")
            self.end = self.sockets.connect(
                *("the run", joined.endpoints, joined.server_key, self.allocate)
            )
            say(joined=joined.about.decode())
            return
        # The secret comes first: the token is complete when the port is known.
        draft = invite([Endpoint("127.0.0.1", 1)], self.keys)
        port = self.sockets.listen(plan.address, guest_keys(draft).public, self.on_join)
        endpoints = [Endpoint(*one) for one in plan.endpoints] or [Endpoint("127.0.0.1", 1)]
        places = tuple(e if e.port > 1 else e._replace(port=port) for e in endpoints)
        say(token=Token(places, draft.server_key, draft.secret).text, port=port)

    def allocate(self, size: int) -> bytearray:
        if size > self.plan.most_bytes:
            raise MemoryError
        return bytearray(size)

    def on_join(self, request: JoinRequest) -> Answer:
        if self.plan.refuses:
            return Refused(self.plan.refuses)
        assert request.about == b"a host of a test"
        self.end = self.sockets.admit(z85_key(request.key), "the guest")
        return Welcome(b"welcome")

    def run(self) -> None:
        self.begin()
        while True:
            if self.sockets.serve(5.0, [sys.stdin.fileno()]):
                order = sys.stdin.readline().strip()
                if not order:
                    return
                self.takes |= order == "take"
            if self.end is not None and self.work(self.end):
                return

    def work(self, end: LinkEnd) -> bool:
        """Sends and takes what there is; whether the link is over."""
        while self.sent < self.plan.count and end.has_room:
            self.sent += 1
            assert end.send(message(self.plan.seed, self.sent)) == self.sent
            if self.sent == self.plan.count:
                say(sent=self.sent)
                end.end()
        while self.takes and (arrived := end.receive()) is not None:
            self.received += 1
            (head, *_) = arrived.frames
            assert int.from_bytes(head[:4], "big") == self.received, (
                "lost, repeated, or not in order"
            )
            for frame in arrived.frames:
                self.digest.update(frame)
            end.handed_over(arrived.number)
            if self.received % 50 == 1:
                say(received=self.received, connections=end.attempts)
        while (event := end.event()) is not None:
            say(event=type(event).__name__, why=getattr(event, "why", ""), released=end.released)
            if isinstance(event, Ended | Lost):
                say(
                    over=f"{type(event).__name__} {getattr(event, 'why', '')}".strip(),
                    received=self.received,
                    digest=self.digest.hexdigest(),
                    released=end.released,
                    connections=end.attempts,
                )
        if not self.plan.count and end.has_room and self.plan.role == "join":
            end.end()  # it has nothing to say
        return False


def main() -> None:
    logging.basicConfig(stream=sys.stderr, format="%(message)s", level=logging.INFO)
    host = Host(Plan(**json.loads(sys.argv[1])))
    try:
        host.run()
    finally:
        host.sockets.close()


if __name__ == "__main__":
    main()
