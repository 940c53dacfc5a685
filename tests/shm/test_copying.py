"""Copies by several threads."""

from __future__ import annotations

import _thread
import threading
import time
from typing import Any

import numpy as np
import pytest

from minipipe.shm import copying
from minipipe.shm.copying import ALONE_BELOW_BYTES, copy

SIZES = [0, 1, ALONE_BELOW_BYTES - 1, ALONE_BELOW_BYTES, ALONE_BELOW_BYTES + 1, 20_000_001]


@pytest.fixture(params=[1, 2, 3, 64])
def cores(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    count: int = request.param
    monkeypatch.setattr(copying, "usable_cpus", lambda: count)
    return count


def random_bytes(size: int) -> Any:
    return np.random.default_rng(size).integers(0, 256, size, np.uint8)


@pytest.mark.parametrize("size", SIZES)
def test_copies_every_byte_and_no_other(size: int, cores: int) -> None:
    contents = random_bytes(size)
    around = np.full(size + 200, 7, np.uint8)
    copy(around[100 : 100 + size], contents)
    assert np.array_equal(around[100 : 100 + size], contents)
    assert (around[:100] == 7).all() and (around[100 + size :] == 7).all()


def test_goes_on_alone_where_no_thread_is_to_be_had(
    cores: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object) -> int:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(copying, "start_new_thread", refuse)
    contents = random_bytes(20_000_001)
    target = np.zeros_like(contents)
    copy(target, contents)
    assert np.array_equal(target, contents)


def test_a_helper_that_comes_too_late_touches_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copying, "usable_cpus", lambda: 2)
    late: list[tuple[Any, Any]] = []
    monkeypatch.setattr(copying, "start_new_thread", lambda f, args: late.append((f, args)))
    contents = random_bytes(8_000_000)
    target = np.zeros_like(contents)
    copy(target, contents)
    assert np.array_equal(target, contents)
    target[:] = 0
    (help_out, args) = late[0]
    thread = threading.Thread(target=help_out, args=args, daemon=True)
    thread.start()
    thread.join(30)
    assert not thread.is_alive() and not target.any()


def test_after_an_interrupt_no_helper_writes_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copying, "usable_cpus", lambda: 2)
    mover, main = copying.ctypes.memmove, threading.get_ident()
    moved: list[float] = []
    began = threading.Event()

    def slow(*args: int) -> int:
        if threading.get_ident() == main:
            assert began.wait(30)
            raise KeyboardInterrupt
        began.set()
        time.sleep(0.2)
        moved.append(time.monotonic())
        return int(mover(*args))

    monkeypatch.setattr(copying.ctypes, "memmove", slow)
    contents = random_bytes(64_000_000)
    with pytest.raises(KeyboardInterrupt):
        copy(np.zeros_like(contents), contents)
    back = time.monotonic()
    time.sleep(0.5)
    assert len(moved) == 1 and moved[0] <= back


def test_many_threads_copy_at_once(cores: int) -> None:
    contents = [random_bytes(5_000_000 + index) for index in range(4)]
    targets = [np.zeros_like(data) for data in contents]

    def work(target: Any, data: Any) -> None:
        for _ in range(10):
            target[:] = 0
            copy(target, data)
            assert np.array_equal(target, data)

    threads = [
        threading.Thread(target=work, args=pair) for pair in zip(targets, contents, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert all(map(np.array_equal, targets, contents))


def test_leaves_no_thread_behind() -> None:
    # The threads that Python does not know are counted; what runs the tests may have one.
    def unknown() -> int:
        return _thread._count() - threading.active_count()

    contents = random_bytes(20_000_000)
    target = np.zeros_like(contents)
    before = unknown()
    for _ in range(50):
        copy(target, contents)
    deadline = time.monotonic() + 30
    while unknown() > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert unknown() <= before
