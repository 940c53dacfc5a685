"""What comes to a node (`stream.reception`): orders by a way of their own, and the rest."""

from __future__ import annotations

import itertools
import select
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from minipipe.stream import records, wire
from minipipe.stream.reception import MESSAGES_A_LOOK, Reception
from minipipe.transport import ControlInbox, Controls, open_transport

RUN, WORKER, OTHER = 77, 1, 2
names = itertools.count()


class Worker:
    """A worker's reception, its supervisor and another worker."""

    def __init__(self) -> None:
        self.transport = open_transport(f"inproc://reception{next(names)}")
        self.inbox = self.transport.bind("1")
        self.controls = Controls()
        self.control = ControlInbox(self.controls.open(WORKER).detach())
        self.reception = Reception(self.inbox, self.control)
        self._outlet = self.transport.connect(self.inbox.address)

    def order(self, record: NamedTuple) -> None:
        self.controls.send(WORKER, [wire.Writer(RUN, 0).write([record])])

    def send(self, record: NamedTuple, sender: int = OTHER) -> None:
        self._outlet.send([wire.Writer(RUN, sender).write([record])])

    def all(self) -> list[NamedTuple]:
        found = []
        while (message := self.reception.receive()) is not None:
            found += message.records()
        return found

    def close(self) -> None:
        self.controls.end()
        self.reception.close()
        self.transport.close()


@pytest.fixture
def worker() -> Iterator[Worker]:
    made = Worker()
    yield made
    made.close()


def test_orders_come_before_what_other_workers_have_sent_earlier(worker: Worker) -> None:
    worker.send(records.Mark(0, 1))
    worker.order(records.Start())
    worker.order(records.Drain())
    assert worker.all() == [records.Start(), records.Drain(), records.Mark(0, 1)]


def test_an_order_is_found_within_a_few_messages_where_others_send_without_end(
    worker: Worker,
) -> None:
    for number in range(5 * MESSAGES_A_LOOK):
        worker.send(records.Mark(0, number))
    assert worker.reception.receive() is not None
    worker.order(records.Stop("stopped"))
    found: list[NamedTuple] = []
    while records.Stop("stopped") not in found:
        message = worker.reception.receive()
        assert message is not None
        found += message.records()
    assert len(found) <= MESSAGES_A_LOOK + 1


def test_an_order_that_was_not_looked_for_ends_the_next_wait(worker: Worker) -> None:
    for before in range(MESSAGES_A_LOOK + 2):
        for number in range(before):
            worker.send(records.Mark(0, number))
        assert worker.reception.receive() is not None or not before
        worker.order(records.Start())
        found = worker.all()
        if records.Start() not in found:
            message = worker.reception.receive_within(10.0)
            assert message is not None
            found += message.records()
        assert records.Start() in found


def test_an_order_ends_a_wait(worker: Worker) -> None:
    worker.order(records.Start())
    message = worker.reception.receive_within(10.0)
    assert message is not None
    assert message.records() == [records.Start()]


def test_an_order_ends_a_nap_and_what_others_send_does_not(worker: Worker) -> None:
    worker.send(records.Mark(0, 1))
    worker.reception.nap(0.0)
    worker.order(records.Start())
    worker.reception.nap(1e6)  # for ever
    assert worker.all() == [records.Start(), records.Mark(0, 1)]


def test_who_says_that_it_is_the_supervisor_and_comes_by_the_inbox_is_not_heard(
    worker: Worker,
) -> None:
    worker.send(records.Stop("stopped"), sender=0)
    worker.send(records.Mark(0, 1))
    assert worker.all() == [records.Mark(0, 1)]


def test_a_wait_is_not_ended_again_and_again_by_the_end_of_the_supervisor(worker: Worker) -> None:
    worker.order(records.Start())
    worker.controls.end()
    assert worker.all() == [records.Start()]
    assert select.select([worker.control.fileno()], [], [], 0)[0]  # so it would
    watched: list[int] = []
    worker.reception = Reception(worker.inbox, worker.control)

    def wait(timeout_s: float | None, also: tuple[int, ...] = ()) -> list[int]:
        watched.extend(also)
        return []

    worker.inbox.wait = wait  # type: ignore[method-assign]
    worker.reception.wait(10.0, (99,))
    assert watched == [99]
    worker.controls = Controls()
