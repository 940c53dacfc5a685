"""A process with slots forks."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from minipipe.shm import SlotPool, find_slot
from tests.conftest import wait_until
from tests.shm.harness import SIZE, Neighbour, Scene, array_of, drop, filled, keep, produce


class Fork:
    """A forked child that runs `work`, says so, and stays until told."""

    def __init__(self, work: Callable[[], Any]) -> None:
        come_r, come_w = os.pipe()
        go_r, self._go = os.pipe()
        self.pid = os.fork()
        if not self.pid:
            os.close(self._go)
            os.close(come_r)
            try:
                os.write(come_w, b"y" if work() else b"n")
                os.read(go_r, 1)
            finally:
                os._exit(0)
        os.close(go_r)
        os.close(come_w)
        self.succeeded = os.read(come_r, 1) == b"y"
        os.close(come_r)

    def end(self) -> None:
        os.close(self._go)
        os.waitpid(self.pid, 0)


@pytest.fixture
def fork() -> Iterator[Callable[[Callable[[], Any]], Fork]]:
    made: list[Fork] = []

    def make(work: Callable[[], Any]) -> Fork:
        made.append(Fork(work))
        return made[-1]

    yield make
    for child in made:
        try:
            child.end()
        except (OSError, ChildProcessError):
            continue  # the test has ended it


Forker = Callable[[Callable[[], Any]], Fork]


def test_a_child_has_slots_of_its_own(pool: SlotPool, fork: Forker) -> None:
    array = pool.empty(SIZE, np.uint8)
    assert array is not None
    array[:] = 5
    own = find_slot(array)
    assert own is not None
    own.held.retain()
    own.held.release()

    def in_child() -> bool:
        other = filled(pool, 6)
        own.held.release()  # of the parent's count it takes nothing
        return (
            other.reference().pid == os.getpid()
            and other.reference().arena != own.held.arena.id
            and set(array.tobytes()) == {5}
            and find_slot(array) is None
        )

    assert fork(in_child).succeeded
    assert set(array.tobytes()) == {5}
    assert filled(pool, 7).address != own.held.address


def test_an_owner_that_forked_knows_still_who_holds_its_slots(
    pool: SlotPool, neighbour: Neighbour, fork: Forker
) -> None:
    slot = filled(pool, 5)
    neighbour.do(keep, slot.reference(), "it")
    fork(lambda: True)
    slot.release()
    assert filled(pool, 6).address != slot.address
    neighbour.do(drop, "it")
    assert filled(pool, 7).address == slot.address


def test_parent_and_child_each_hold_what_they_borrowed(
    pool: SlotPool, scene: Scene, fork: Forker
) -> None:
    slot = filled(pool, 5)
    lease = scene.reader.borrow(slot.reference())
    assert lease is not None
    scene.kept["it"] = array_of(lease)
    slot.release()
    child = fork(lambda: set(scene.kept["it"].tobytes()) == {5})
    assert child.succeeded

    del scene.kept["it"]
    scene.reader.drain()

    assert filled(pool, 6).address != slot.address
    child.end()
    assert filled(pool, 7).address == slot.address


def test_a_child_that_drops_what_it_inherited_takes_nothing_from_its_parent(
    pool: SlotPool, scene: Scene, fork: Forker
) -> None:
    slot = filled(pool, 5)
    lease = scene.reader.borrow(slot.reference())
    assert lease is not None
    scene.kept["it"] = array_of(lease)
    slot.release()

    def in_child() -> bool:
        scene.kept.clear()
        scene.reader.drain()
        return True

    assert fork(in_child).succeeded
    assert filled(pool, 6).address != slot.address


def test_a_killed_holder_holds_nothing_though_a_child_of_it_lives(
    pool: SlotPool, neighbour: Neighbour
) -> None:
    slot = filled(pool, 5)
    neighbour.do(keep, slot.reference(), "it")
    neighbour.do(keep, slot.reference(), "mine", access="private")
    slot.release()
    grandchild = neighbour.do(fork_and_drop)
    assert filled(pool, 6).address != slot.address
    neighbour.kill()
    try:
        assert filled(pool, 7).address == slot.address
    finally:
        os.kill(grandchild, signal.SIGKILL)


def fork_and_drop(scene: Scene) -> int:
    """Forks a child that drops all that it has inherited and goes on; its pid."""
    done_r, done_w = os.pipe()
    pid = os.fork()
    if not pid:
        scene.kept.clear()
        scene.reader.drain()
        os.write(done_w, b"y")
        signal.pause()
    os.read(done_r, 1)
    os.close(done_r)
    os.close(done_w)
    return pid


def test_a_fork_while_other_threads_take_slots_does_no_harm(pool: SlotPool, fork: Forker) -> None:
    stop = threading.Event()

    def take() -> None:
        while not stop.is_set():
            filled(pool, 1).release()

    thread = threading.Thread(target=take)
    thread.start()
    try:
        for _ in range(10):
            child = fork(lambda: filled(pool, 2).memory[0] == 2)
            assert child.succeeded
            child.end()
    finally:
        stop.set()
        thread.join()


def test_the_references_of_a_child_lead_to_the_child(
    neighbour: Neighbour, scene: Scene, fork: Forker
) -> None:
    lease = scene.reader.borrow(neighbour.do(produce, 9))
    assert lease is not None
    fd = lease.reference().fd
    assert fork(lambda: lease.reference()[:2] == (os.getpid(), fd)).succeeded
    wait_until(lambda: lease.reference().pid == os.getpid(), "the parent to be itself")
    lease.release()
