"""Orders of a supervisor to its workers (`transport.control`)."""

from __future__ import annotations

import os
import select
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from minipipe.transport import ControlInbox, Controls
from minipipe.transport.control import LENGTH, TURN_BYTES, ControlOutlet
from tests.conftest import DEADLOCK_S, descriptors, wait_until

LONG = 3 * TURN_BYTES  # more than a socket holds, and than is sent at a time


class Pairs:
    """A supervisor's end, and the workers'."""

    def __init__(self) -> None:
        self.controls = Controls()
        self.workers: dict[int, ControlInbox] = {}

    def add(self, worker: int) -> ControlInbox:
        self.workers[worker] = ControlInbox(self.controls.open(worker).detach())
        return self.workers[worker]

    def end_of(self, worker: int) -> None:
        self.workers.pop(worker).close()

    def close(self) -> None:
        self.controls.end()
        for worker in tuple(self.workers):
            self.end_of(worker)


@pytest.fixture
def pairs() -> Iterator[Pairs]:
    before = descriptors()
    made = Pairs()
    yield made
    made.close()
    assert descriptors() == before


def readable(fds: list[int], timeout_s: float = 0.0) -> list[int]:
    return select.select(fds, [], [], timeout_s)[0]


def all_of(inbox: ControlInbox) -> list[bytes]:
    heads = []
    while (message := inbox.receive()) is not None:
        (head,) = message
        heads.append(bytes(head))
    return heads


def test_orders_arrive_whole_and_in_the_order_in_which_they_were_sent(pairs: Pairs) -> None:
    inbox = pairs.add(1)
    said = [bytes([i % 256]) * (i * 7 % 1000) for i in range(500)]
    got = []
    for head in said:
        pairs.controls.send(1, [head])
        got += all_of(inbox)
    assert got == said
    assert inbox.receive() is None
    assert not inbox.closed


def test_an_inbox_is_readable_while_an_order_is_there(pairs: Pairs) -> None:
    inbox = pairs.add(1)
    assert not readable([inbox.fileno()])
    pairs.controls.outlet(1).send([b"start"])
    assert readable([inbox.fileno()], DEADLOCK_S)
    assert all_of(inbox) == [b"start"]
    assert not readable([inbox.fileno()])


def test_a_worker_that_reads_nothing_holds_nobody_up_and_gets_all_when_it_reads(
    pairs: Pairs,
) -> None:
    stopped, other = pairs.add(1), pairs.add(2)
    said = [b"a" * LONG, b"b", b"c" * LONG, b"d"]
    for head in said:
        pairs.controls.send(1, [head])  # would wait for ever if it could
    pairs.controls.send(2, [b"to another one"])
    assert all_of(other) == [b"to another one"]
    assert not readable(pairs.controls.filenos())  # nobody has room, so nobody is woken up

    got: list[bytes] = []

    def read_and_send_on() -> bool:
        got.extend(all_of(stopped))
        if readable(pairs.controls.filenos()):
            pairs.controls.flush()
        return got == said

    wait_until(read_and_send_on, "all orders", DEADLOCK_S)
    assert pairs.controls.filenos() == []  # nothing waits any more


def test_one_worker_is_sent_only_so_much_at_a_time_however_fast_it_reads() -> None:
    sent: list[int] = []

    def send(data: memoryview, flags: int) -> int:
        sent.append(len(data))
        return len(data)

    end: Any = SimpleNamespace(send=send)
    outlet = ControlOutlet(end)
    outlet.send([b"a" * LONG])
    assert sum(sent) == TURN_BYTES
    assert outlet.waits
    for _ in range(3):
        outlet.flush()
    assert sum(sent) == LONG + LENGTH.size
    assert not outlet.waits


def test_a_worker_that_has_ended_is_sent_nothing_and_that_is_no_error(pairs: Pairs) -> None:
    pairs.add(1)
    pairs.controls.send(1, [b"a" * LONG])
    pairs.end_of(1)
    pairs.controls.flush()
    pairs.controls.send(1, [b"b"])
    assert pairs.controls.filenos() == []
    pairs.controls.close(1)
    pairs.controls.send(1, [b"c"])


def test_a_worker_that_is_forgotten_while_orders_wait_for_it_is_watched_no_more(
    pairs: Pairs,
) -> None:
    pairs.add(1)
    pairs.controls.send(1, [b"a" * LONG])
    kept = os.dup(pairs.controls.not_for_children()[0])  # as a fork of the user's has it
    try:
        pairs.controls.close(1)
        pairs.end_of(1)
        slow = pairs.add(2)
        pairs.controls.send(2, [b"b" * LONG])
        assert not readable(pairs.controls.filenos())
        assert slow.receive() is None
    finally:
        os.close(kept)


def test_the_end_of_the_supervisor_is_the_end_of_the_file_behind_its_last_order(
    pairs: Pairs,
) -> None:
    inbox = pairs.add(1)
    pairs.controls.send(1, [b"the last one"])
    pairs.controls.end()
    assert all_of(inbox) == [b"the last one"]
    assert inbox.closed
    pairs.controls = Controls()


def test_one_that_is_started_again_hears_nothing_of_what_was_said_to_the_first_attempt(
    pairs: Pairs,
) -> None:
    first = pairs.add(1)
    pairs.controls.send(1, [b"to the first"])
    second = pairs.add(1)
    pairs.controls.send(1, [b"to the second"])
    assert all_of(second) == [b"to the second"]
    assert all_of(first) == [b"to the first"]
    assert first.closed
    first.close()
