"""A run of many workers can be stopped while their processes are still asked for."""

from __future__ import annotations

import itertools
import os
import signal
import threading
from collections.abc import Iterator
from typing import Any

import pytest

import minipipe as mp
from minipipe.protocol.run.starting import AT_ONCE
from minipipe.supervisor.hosts.base import Report, Started
from minipipe.supervisor.hosts.zygote import ZygoteClient
from tests.conftest import DEADLOCK_S, wait_until


class SlowZygote:
    """A zygote whose word that a process exists does not come."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked = 0
        start, reports = ZygoteClient.start, ZygoteClient.reports

        def counted(host: ZygoteClient, *given: Any) -> None:
            start(host, *given)
            self.asked += 1

        def without_starts(host: ZygoteClient, readable: list[int]) -> Iterator[Report]:
            return (r for r in reports(host, readable) if not isinstance(r, Started))

        monkeypatch.setattr(ZygoteClient, "start", counted)
        monkeypatch.setattr(ZygoteClient, "reports", without_starts)

    def when_it_stands(self, do: Any) -> threading.Thread:
        """Does something when no more processes are asked for."""

        def wait() -> None:
            wait_until(lambda: self.asked >= AT_ONCE, "the first processes")
            do()

        thread = threading.Thread(target=wait)
        thread.start()
        return thread


class Never:
    """Its workers never come so far as to be heard of, so no more of them are asked for."""

    def __init__(self) -> None:
        self.state = "is unpickled"

    def __setstate__(self, state: Any) -> None:
        threading.Event().wait()

    def run(self, item: int) -> None:
        pass


def many() -> mp.PipeLine:
    return mp.PipeLine([mp.Source(itertools.count()), mp.Sink(Never(), n_processes=99)])


def test_a_stop_does_not_wait_until_all_were_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    zygote, pline = SlowZygote(monkeypatch), many()
    thread = zygote.when_it_stands(pline.stop)
    pline.run()
    pline.close(DEADLOCK_S)
    thread.join()
    assert zygote.asked <= AT_ONCE + 1  # the Source is heard of
    states = [worker.state for worker in pline.stats()]
    assert states == ["gone"] * 100


def test_a_ctrl_c_does_not_wait_until_all_were_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    zygote, pline = SlowZygote(monkeypatch), many()
    thread = zygote.when_it_stands(lambda: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        pline.run()
    thread.join()
    assert zygote.asked <= AT_ONCE + 1  # the Source is heard of
    monkeypatch.undo()
    assert list(mp.PipeLine([mp.Source(range(3)), mp.Transform(abs)])) == [0, 1, 2]
