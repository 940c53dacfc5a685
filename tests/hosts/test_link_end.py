"""One end of a link, driven by hand."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence
from random import Random

import pytest
import zmq

from minipipe.protocol.flow.link import Link, Patience
from minipipe.protocol.flow.link_actions import Lost
from minipipe.protocol.flow.link_frames import Acknowledge, Message, Resume
from minipipe.protocol.hosts import link_wire
from minipipe.protocol.hosts.endpoints import Endpoint
from minipipe.protocol.hosts.pieces import HEAD_BYTES, PIECE_BYTES, Buffer
from minipipe.transport.curve import CurveKeys
from minipipe.transport.hosts.host_sockets import HostSockets
from minipipe.transport.hosts.link_end import LinkEnd
from minipipe.transport.hosts.sockets import boot_time_s
from tests.conftest import wait_until


class Wire:
    """A connection, and what was put into it."""

    attempt = 1

    def __init__(self) -> None:
        self.sent: list[object] = []
        self.is_gone = False

    def send(self, frames: Sequence[Buffer]) -> bool:
        if not self.is_gone:
            self.sent.append(link_wire.read(frames)[0])
        return not self.is_gone

    def close(self, linger_s: float = 0.0) -> None:
        self.is_gone = True


@pytest.fixture
def wire() -> Wire:
    return Wire()


def opened(wire: Wire, window_bytes: int) -> LinkEnd:
    link = Link(1, connects=False, now_s=0.0, window_bytes=window_bytes)
    end = LinkEnd("the other host", link)
    end.opened(wire, 0.0)
    end.arrived(link_wire.write(Resume(2, 0, 0), 1), 0.0)
    return end


def test_a_message_that_fills_the_window_is_released_by_its_only_acknowledgement(
    wire: Wire,
) -> None:
    end = opened(wire, HEAD_BYTES + 10)
    number = end.send([b"0123456789"])
    assert not end.has_room
    end.serve(0.0)
    assert isinstance(wire.sent[-1], Message)
    end.arrived(link_wire.write(Acknowledge(1), 1), 0.0)
    assert end.released == number and end.has_room


def test_what_was_given_to_a_link_is_on_its_way_before_anything_is_waited_for(
    wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = CurveKeys.new()
    ours = HostSockets("here", keys, patience=Patience(lost_after_s=3600.0))
    end = ours.connect("there", [], keys.public)
    now_s = boot_time_s()
    end.opened(wire, now_s)
    end.arrived(link_wire.write(Resume(2, 0, 0), 1), now_s)
    end.send([b"0123456789"])
    sent_before: list[object] = []

    class Poller(zmq.Poller):
        def poll(self, timeout: float | None = None) -> list[tuple[object, int]]:
            sent_before.extend(wire.sent)
            return []

    monkeypatch.setattr(zmq, "Poller", Poller)
    ours.serve(60.0)
    ours.close()
    assert isinstance(sent_before[-1], Message)


def test_a_connection_that_breaks_while_something_is_sent_is_not_looked_at_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    keys = [CurveKeys.new(), CurveKeys.new()]
    here, there = HostSockets("here", keys[0]), HostSockets("there", keys[1])
    try:
        port = here.listen("tcp://127.0.0.1:0")
        theirs = here.admit(keys[1].public, "there")
        ours = there.connect("here", [Endpoint("127.0.0.1", port)], keys[0].public)

        def comes(text: bytes) -> None:
            def has_come() -> bool:
                here.serve(0.01)
                there.serve(0.01)
                arrived = theirs.receive()
                return arrived is not None and arrived.frames == [text]

            ours.send([text])
            wait_until(has_come, f"{text!r} to come")

        comes(b"by one connection")
        monkeypatch.setattr(ours.connection, "send", lambda frames: False)
        comes(b"by another one")
    finally:
        here.close()
        there.close()


def test_who_is_let_in_no_more_does_not_wait_for_that() -> None:
    keys = [CurveKeys.new(), CurveKeys.new()]
    patience = Patience(lost_after_s=3600.0)
    here = HostSockets("here", keys[0], patience=patience)
    there = HostSockets("there", keys[1], patience=patience)
    try:
        port = here.listen("tcp://127.0.0.1:0")
        theirs = here.admit(keys[1].public, "there")
        ours = there.connect("here", [Endpoint("127.0.0.1", port)], keys[0].public)
        events: list[object] = []

        def both(has_come: Callable[[], object]) -> bool:
            here.serve(0.01)
            there.serve(0.01)
            events.extend(iter(ours.event, None))
            return bool(has_come())

        ours.send([b"x"])
        wait_until(lambda: both(theirs.receive), "a connection")
        here.dismiss(keys[1].public)
        ours.broke(boot_time_s())
        wait_until(lambda: both(lambda: events), "the end")
        assert isinstance(events[0], Lost)
        assert events[0].why == "it does not accept the key of this host any more"
    finally:
        here.close()
        there.close()


def test_a_connection_that_is_found_gone_is_logged(
    wire: Wire, caplog: pytest.LogCaptureFixture
) -> None:
    end = opened(wire, 1000)
    wire.is_gone = True
    with caplog.at_level(logging.INFO, logger="minipipe"):
        end.serve(0.0)
    assert "the link to the other host makes a new connection: it has ended" in caplog.text
    assert end.connection is None


class Queue:
    """A connection whose other end is driven by hand."""

    def __init__(self, attempt: int) -> None:
        self.attempt = attempt
        self.frames: deque[list[bytes]] = deque()

    def send(self, frames: Sequence[Buffer]) -> bool:
        self.frames.append([bytes(frame) for frame in frames])
        return True

    def close(self, linger_s: float = 0.0) -> None:
        self.frames.clear()


@pytest.mark.parametrize("seed", range(6))
def test_what_was_cut_for_a_quick_line_goes_over_the_next_one_in_small_pieces(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    random, clock = Random(seed), [0.0]
    monkeypatch.setattr("minipipe.transport.hosts.link_end.boot_time_s", lambda: clock[0])
    sender, receiver = (
        LinkEnd(name, Link(own, connects=False, now_s=0.0, window_bytes=16 << 20))
        for own, name in ((1, "b"), (2, "a"))
    )
    messages = [
        [random.randbytes(random.choice((0, 100, 70_000, 3_000_000))) for _ in range(3)]
        for _ in range(25)
    ]
    came, pieces, again, todo = list[list[bytes]](), set[int](), set[int](), deque(messages)

    def connect(attempt: int) -> None:
        for end in (sender, receiver):
            end.opened(Queue(attempt), clock[0])

    def taken(queue: object, end: LinkEnd, most: int) -> None:
        assert isinstance(queue, Queue)
        for _ in range(min(most, len(queue.frames))):
            frames = queue.frames.popleft()
            pieces.add(sum(map(len, frames[1:])))
            end.arrived(frames, clock[0])

    cuts, attempt = 0, 1
    connect(attempt)
    while sender.released < len(messages):
        clock[0] += 0.002
        assert clock[0] < 100.0
        if todo and sender.has_room:
            sender.send(todo.popleft())
        for end, other in ((sender, receiver), (receiver, sender)):
            end.serve(clock[0])
            taken(end.connection, other, random.randrange(4) if end is sender else 100)
        while (arrived := receiver.receive()) is not None:
            came.append([bytes(frame) for frame in arrived.frames])
            receiver.handed_over(arrived.number)
        if cuts < 5 and max(pieces) > 8 * PIECE_BYTES and random.random() < 0.05:
            cuts, attempt = cuts + 1, attempt + 1
            connect(attempt)
            pieces = {0}
            for _ in range(2):  # (the second time, Resume has come)
                for end, other in ((sender, receiver), (receiver, sender)):
                    end.serve(clock[0])
                    taken(end.connection, other, 20)
            again |= pieces
    assert came == messages
    assert cuts and max(again) <= PIECE_BYTES
