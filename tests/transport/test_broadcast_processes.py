"""What becomes of a broadcast when a subscriber's process is stopped or killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

from minipipe.transport import Inbox, Publisher
from tests.conftest import DEADLOCK_S
from tests.transport.conftest import MEGABYTE, Place, on_zeromq, receive
from tests.transport.test_contract_publish import hear_of

ALL, OURS, CHILDS = b"all  ", b"ours ", b"child"
LARGE = os.urandom(MEGABYTE)
MESSAGES = 2_000

CHILD = """
import sys
from minipipe.transport import open_transport
base, address, answers = sys.argv[1:]
transport = open_transport(base)
answer = transport.connect(answers)
inbox = transport.bind("child")
inbox.subscribe(address, [b"all  ", b"child"])
while True:
    while (message := inbox.receive()) is None:
        inbox.wait(None)
    answer.send([message[0], b"%d" % sum(map(len, message))])
"""


class Broadcast:
    """A publisher, a subscriber in this process, and one in another."""

    def __init__(self, place: Place) -> None:
        here = place.open()
        self.publisher: Publisher = here.publish("p")
        self.answers: Inbox = here.bind("answers")
        self.ours: Inbox = place.open().bind("ours")
        self.ours.subscribe(self.publisher.address, [ALL, OURS])
        hear_of(self.publisher, OURS)
        command = [sys.executable, "-c", CHILD]
        command += [place.base, self.publisher.address, self.answers.address]
        self.child = subprocess.Popen(command)
        hear_of(self.publisher, CHILDS)

    def send_all(self) -> None:
        """More than the kernel takes for a reader that is stopped."""
        for i in range(MESSAGES):
            self.publisher.send(ALL, self.message(i))

    @staticmethod
    def message(i: int) -> list[bytes]:
        return [b"%d" % i, LARGE] if i % 100 == 0 else [b"%d" % i]

    def end(self) -> None:
        self.child.kill()
        self.child.wait(DEADLOCK_S)


@on_zeromq
def test_a_stopped_subscriber_blocks_nobody_and_has_lost_nothing_when_it_goes_on(
    place: Place,
) -> None:
    broadcast = Broadcast(place)
    try:
        broadcast.child.send_signal(signal.SIGSTOP)
        broadcast.send_all()
        expected = [broadcast.message(i) for i in range(MESSAGES)]
        assert receive(broadcast.ours, MESSAGES) == expected
        assert broadcast.answers.receive() is None
        broadcast.child.send_signal(signal.SIGCONT)
        got = receive(broadcast.answers, MESSAGES)
        assert got == [[m[0], b"%d" % sum(map(len, m))] for m in expected]
    finally:
        broadcast.end()


@on_zeromq
def test_a_killed_subscriber_does_no_harm_to_the_others(place: Place) -> None:
    broadcast = Broadcast(place)
    try:
        for i in range(MESSAGES):
            if i == MESSAGES // 2:
                broadcast.child.kill()
            broadcast.publisher.send(ALL, broadcast.message(i))
        broadcast.child.wait(DEADLOCK_S)
        broadcast.send_all()
        expected = [broadcast.message(i) for i in range(MESSAGES)]
        assert receive(broadcast.ours, 2 * MESSAGES) == 2 * expected
        assert broadcast.publisher.subscriptions() == []
    finally:
        broadcast.end()
