"""Functors that are inherited by fork, while other threads of the caller's run and hold locks."""

from __future__ import annotations

import logging
import threading
from pathlib import Path

import pytest

import minipipe as mp
from minipipe.supervisor import starts
from tests.conftest import wait_until


def test_a_forked_functor_can_log_although_other_threads_log_when_it_is_forked(
    tmp_path: Path,
) -> None:
    log = logging.getLogger("tests.forked")
    log.propagate = False
    log.setLevel(logging.INFO)
    handler = logging.FileHandler(tmp_path / "log")
    log.addHandler(handler)
    ends, lock = threading.Event(), threading.Lock()

    def noise() -> None:
        while not ends.is_set():
            log.info("x" * 2000)

    threads = [threading.Thread(target=noise) for _ in range(3)]
    for thread in threads:
        thread.start()

    def logs(item: int) -> int:
        with lock:
            log.info("in the functor")
        return item

    try:
        for _ in range(4):
            pline = mp.PipeLine([mp.Source(range(3)), mp.Transform(logs, start_timeout_s=60)])
            pline.add(mp.Sink(print)).run().close(60)
    except mp.RunTimeoutError:
        pline.stop()
        raise
    finally:
        ends.set()
        for thread in threads:
            thread.join()
        log.removeHandler(handler)
        handler.close()


@pytest.mark.parametrize("where", ("local_init", "functor"))
def test_a_forked_worker_that_waits_for_a_lock_of_the_callers_is_told_soon(
    where: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(starts, "FORK_S", 1.0)
    lock, held, ends = threading.Lock(), threading.Event(), threading.Event()

    def holds() -> None:
        with lock:
            held.set()
            ends.wait(60)

    class Waits:
        def local_init(self) -> None:
            if where == "local_init":
                self.waits()

        def run(self, item: int) -> None:
            self.waits()

        def waits(self) -> None:
            with lock:
                pass

    thread = threading.Thread(target=holds, name="holder")
    thread.start()
    held.wait()
    pline = mp.PipeLine([mp.Source(range(3)), mp.Sink(Waits(), "waits")]).run()
    try:
        wait_until(lambda: "so it was forked from this process" in caplog.text, "the warning")
    finally:
        ends.set()
        thread.join()
        pline.stop()
    pline.close(30)
    (said,) = [r.getMessage() for r in caplog.records if "has done nothing" in r.getMessage()]
    assert "worker 'waits' (pid " in said
    assert "cannot pickle '_thread.lock' object" in said
    assert "while other threads ran here (" in said
    assert "holder" in said
    assert "in its local_init" in said if where == "local_init" else "at item 0" in said
    assert "in waits" in said.split("it is at:")[1]
