"""The alarm that the service thread sleeps on: of the kernel's, and where there is none."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from minipipe.worker.alarm import Alarm, KernelAlarm, ThreadAlarm

FOREVER_S = 1000.0


@pytest.fixture(params=[KernelAlarm, ThreadAlarm])
def alarm(request: pytest.FixtureRequest) -> Iterator[Alarm]:
    if request.param is KernelAlarm and sys.platform != "linux":
        pytest.skip("Linux alone has it")
    made: Alarm = request.param()
    yield made
    made.close()


def waits(alarm: Alarm, also: tuple[int, ...] = ()) -> tuple[threading.Thread, list[bool]]:
    """A thread that waits, and what it was told when it woke up."""
    told: list[bool] = []
    thread = threading.Thread(target=lambda: told.append(alarm.wait(also)))
    thread.start()
    return thread, told


def test_it_rings_once(alarm: Alarm) -> None:
    began_s = time.monotonic()
    alarm.set(0.02)
    assert alarm.wait()
    assert time.monotonic() - began_s >= 0.02
    assert not alarm.rang()
    time.sleep(0.05)
    assert not alarm.rang()


def test_set_to_nothing_it_does_not_ring(alarm: Alarm) -> None:
    alarm.set(0.01)
    alarm.set(0.0)
    time.sleep(0.03)
    assert not alarm.rang()
    alarm.set(0.01)
    assert alarm.wait()


def test_one_that_waits_already_hears_it(alarm: Alarm) -> None:
    thread, told = waits(alarm)
    time.sleep(0.02)
    alarm.set(0.01)
    thread.join()
    assert told == [True]


def test_to_be_set_anew_puts_it_off_and_brings_it_forward(alarm: Alarm) -> None:
    alarm.set(0.01)
    alarm.set(FOREVER_S)
    time.sleep(0.03)
    assert not alarm.rang()
    thread, told = waits(alarm)
    alarm.set(0.01)
    thread.join()
    assert told == [True]


def test_what_else_is_readable_ends_the_wait_and_does_not_ring(alarm: Alarm) -> None:
    reader, writer = os.pipe()
    alarm.set(FOREVER_S)
    thread, told = waits(alarm, (reader,))
    os.write(writer, b"!")
    thread.join()
    assert told == [False]
    thread, told = waits(alarm)  # which does not look there any more
    alarm.set(0.01)
    thread.join()
    assert told == [True]
    os.close(reader)
    os.close(writer)


def test_its_end_ends_all_waits(alarm: Alarm) -> None:
    alarm.set(FOREVER_S)
    thread, told = waits(alarm)
    alarm.end()
    thread.join()
    assert told == [False]
    assert not alarm.wait()
