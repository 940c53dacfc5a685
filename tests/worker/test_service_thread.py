"""When the service thread wakes up, and that it overlooks nothing while the main thread changes."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from minipipe.stream.handover import Handover
from minipipe.stream.page import Page
from minipipe.worker.service_thread import ServiceThread
from tests.conftest import wait_until

FOREVER_S = 1000.0


class Orders:
    """Orders come by a pipe."""

    def __init__(self) -> None:
        self.reader, self.writer = os.pipe()
        os.set_blocking(self.reader, False)

    def come(self) -> None:
        os.write(self.writer, b"!")

    def order_filenos(self) -> tuple[int, ...]:
        return (self.reader,)


class FakeNode:
    """What the service thread needs of a node; it counts what is done to it."""

    def __init__(self) -> None:
        self.handover = Handover(Page())
        self.reception = Orders()
        self.duties = self.ends = self
        self.listens = False
        self.flushed = self.served = self.orders = 0

    def serve(self) -> None:
        self.serve_orders()
        self.served += 1

    def serve_orders(self) -> None:
        try:
            self.orders += len(os.read(self.reception.reader, 100))
        except BlockingIOError:
            pass

    def sync_progress(self, in_user_code: int) -> None:
        assert in_user_code

    def flush(self, now_s: float, *, idle: bool) -> None:
        assert idle
        self.flushed += 1

    def wait(self, timeout_s: float | None, also: Any) -> None:
        assert timeout_s is None
        time.sleep(0.001)

    @contextmanager
    def in_functor(self, word: int) -> Iterator[None]:
        self.handover.enter(word)
        yield
        self.handover.leave()

    @contextmanager
    def waiting(self) -> Iterator[None]:
        self.handover.waiting = True
        yield
        self.handover.waiting = False


@pytest.fixture
def node() -> Iterator[FakeNode]:
    node = FakeNode()
    yield node
    os.close(node.reception.reader)
    os.close(node.reception.writer)


@pytest.fixture
def service_thread(node: FakeNode) -> Iterator[ServiceThread]:
    thread = ServiceThread(node)  # type: ignore[arg-type]
    thread.start()
    yield thread
    thread.stop()
    assert thread.failure is None


def test_it_sleeps_while_nothing_is_owed(node: FakeNode, service_thread: ServiceThread) -> None:
    service_thread.watch(time.monotonic(), 0.0)
    with node.in_functor(1):
        time.sleep(0.1)
    assert not node.flushed


def test_it_does_what_is_owed_when_it_is_due(node: FakeNode, service_thread: ServiceThread) -> None:
    service_thread.watch(time.monotonic(), 0.005)
    with node.in_functor(1):
        wait_until(lambda: node.flushed, "what is due")
        time.sleep(0.05)
    assert node.flushed == 1
    assert not node.served


def test_one_that_goes_to_the_functor_long_after_it_has_said_so_is_not_overlooked(
    node: FakeNode, service_thread: ServiceThread
) -> None:
    service_thread.watch(time.monotonic(), 0.002)
    time.sleep(0.05)  # another process has the processor
    with node.in_functor(1):
        wait_until(lambda: node.flushed, "what is due")


def test_what_the_main_thread_has_done_itself_wakes_up_nobody(
    node: FakeNode, service_thread: ServiceThread
) -> None:
    service_thread.watch(time.monotonic(), 0.1)
    service_thread.watch(time.monotonic(), 0.0)
    with node.in_functor(1):
        time.sleep(0.1)
    assert not node.flushed


def test_quick_calls_put_it_off(node: FakeNode, service_thread: ServiceThread) -> None:
    until_s = time.monotonic() + 0.3
    longest_s, last_s = 0.0, time.monotonic()
    while (now_s := time.monotonic()) < until_s:
        longest_s, last_s = max(longest_s, now_s - last_s), now_s
        service_thread.watch(now_s, 0.05)
        with node.in_functor(1):
            pass
    if longest_s < 0.02:  # else this process did not have the processor
        assert not node.flushed


def test_an_order_reaches_a_functor(node: FakeNode, service_thread: ServiceThread) -> None:
    with node.in_functor(1):
        node.reception.come()
        wait_until(lambda: node.orders, "the order")
        time.sleep(0.02)
        node.reception.come()
        wait_until(lambda: node.orders == 2, "another one")


def test_an_order_that_comes_right_before_the_functor_reaches_it(
    node: FakeNode, service_thread: ServiceThread
) -> None:
    service_thread.watch(time.monotonic(), 0.0)
    node.reception.come()
    time.sleep(0.05)
    with node.in_functor(1):
        wait_until(lambda: node.orders, "the order")


@pytest.mark.parametrize("due_s", [0.0, 2 * FOREVER_S])
def test_an_order_that_comes_while_the_alarm_is_put_off_reaches_the_functor(
    due_s: float, node: FakeNode, service_thread: ServiceThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_alarm = service_thread._alarm.set

    def put_off(seconds: float) -> None:
        if seconds == due_s:
            node.reception.come()
            wait_until(
                lambda: not service_thread._reminder.on_duty, "the thread to look after the order"
            )
        set_alarm(seconds)

    service_thread.watch(time.monotonic(), FOREVER_S)
    monkeypatch.setattr(service_thread._alarm, "set", put_off)
    service_thread.watch(time.monotonic(), due_s)
    with node.in_functor(1):
        wait_until(lambda: node.orders, "the order")


def test_orders_are_left_to_a_main_thread_that_waits_and_heard_after_that(
    node: FakeNode, service_thread: ServiceThread
) -> None:
    with node.waiting():
        node.reception.come()
        time.sleep(0.05)
        assert not node.orders
        node.serve_orders()
    service_thread.watch(time.monotonic(), 0.0)
    with node.in_functor(1):
        time.sleep(0.02)
        node.reception.come()
        wait_until(lambda: node.orders == 2, "the order")


def test_it_listens_as_long_as_it_has_to(node: FakeNode, service_thread: ServiceThread) -> None:
    node.listens = True
    service_thread.watch(time.monotonic(), 0.002)
    with node.in_functor(1):
        wait_until(lambda: node.served > 5, "messages")
        node.listens = False
        time.sleep(0.05)
        served = node.served
        time.sleep(0.05)
        assert node.served == served


def test_it_leaves_the_next_call_to_the_main_thread(
    node: FakeNode, service_thread: ServiceThread
) -> None:
    node.listens = True
    service_thread.watch(time.monotonic(), 0.002)
    with node.in_functor(1):
        wait_until(lambda: node.served, "messages")
    time.sleep(0.05)
    with node.in_functor(2):
        served = node.served
        time.sleep(0.05)
        assert node.served == served
