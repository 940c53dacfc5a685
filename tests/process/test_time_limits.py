"""Limits of time, for items and for starts, with real workers: who is killed, and who is not."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

import minipipe as mp
from minipipe.protocol.run import timeouts
from minipipe.supervisor.hosts.zygote import ZygoteClient
from tests.conftest import wait_until
from tests.process.functors import Collect


def said_of(caplog: pytest.LogCaptureFixture, part: str) -> list[str]:
    return [text for r in caplog.records if part in (text := r.getMessage())]


def test_a_call_that_ends_after_the_verdict_spares_its_worker_and_the_next_item(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    ask = ZygoteClient.ask_for_stack

    def late(host: ZygoteClient, ident: int) -> None:
        ask(host, ident)
        go.touch()  # the verdict has fallen, and now the item comes to its end

    monkeypatch.setattr(ZygoteClient, "ask_for_stack", late)
    monkeypatch.setattr(timeouts, "STACK_S", 1.0)

    def slow(item: int) -> tuple[int, int]:
        until_s = time.monotonic() + 30
        while item == 3 and not go.exists() and time.monotonic() < until_s:
            time.sleep(0.01)
        if item == 4:
            time.sleep(1.2)  # it is in work when the worker would be killed for item 3
        return item, os.getpid()

    pline = mp.PipeLine([mp.Source(range(8)), mp.Transform(slow, "slow", timeout_s=3.0)])
    got = list(pline)
    assert [item for item, _ in got] == list(range(8))
    assert len({pid for _, pid in got}) == 1  # nobody was killed
    assert not said_of(caplog, "timeout_s")


def test_one_that_was_halted_goes_on_if_its_call_had_ended(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    go, halts, resumed = tmp_path / "go", [], []
    halt, resume = ZygoteClient.halt, ZygoteClient.resume

    def after_the_end(host: ZygoteClient, ident: int) -> None:
        go.touch()
        page = host._condemned._pages[ident]
        wait_until(lambda: page.signs().number != 3, "the item to end")
        halt(host, ident)
        halts.append(ident)

    def counted(host: ZygoteClient, ident: int) -> None:
        resume(host, ident)
        resumed.append(ident)

    monkeypatch.setattr(ZygoteClient, "halt", after_the_end)
    monkeypatch.setattr(ZygoteClient, "resume", counted)

    def slow(item: int) -> int:
        until_s = time.monotonic() + 30
        while item == 3 and not go.exists() and time.monotonic() < until_s:
            time.sleep(0.01)
        return item

    pline = mp.PipeLine([mp.Source(range(8)), mp.Transform(slow, timeout_s=2.0)])
    assert list(pline) == list(range(8))
    assert halts == resumed
    assert len(halts) == 1
    assert not said_of(caplog, "timeout_s")


def test_who_is_killed_for_an_item_is_at_that_item(caplog: pytest.LogCaptureFixture) -> None:
    def slow(item: int) -> int:
        time.sleep(0.75 if item % 7 == 3 else 0.01)  # about when the worker is killed
        return item

    segment = mp.Transform(slow, timeout_s=0.5, max_restarts=1000, poison="skip")
    got = set(mp.PipeLine([mp.Source(range(30)), segment]))
    assert set(range(30)) - got <= {3, 10, 17, 24}
    for text in said_of(caplog, "for one item"):
        number = int(text.split(" of 'Source'")[0].rpartition(" ")[2])
        assert number % 7 == 3, text


def test_a_second_try_has_the_same_limit_as_the_first(caplog: pytest.LogCaptureFixture) -> None:
    def hangs(item: int) -> int:
        if item == 3:
            time.sleep(600)
        return item

    segment = mp.Transform(hangs, timeout_s=0.5, max_restarts=9, poison="skip")
    assert list(mp.PipeLine([mp.Source(range(6)), segment])) == [0, 1, 2, 4, 5]
    assert len(said_of(caplog, "for one item (timeout_s=0.5)")) == 2


class Hangs:
    """Hangs in its local_init, or only in that of a replacement."""

    def __init__(self, mark: Path | None = None) -> None:
        self.mark = mark

    def local_init(self) -> None:
        if self.mark is None or self.mark.exists():
            time.sleep(600)  # here it hangs

    def run(self, item: int) -> int:
        if self.mark is not None and item == 4:
            self.mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return item


def test_a_start_that_hangs_is_ended_by_its_limit_with_its_stack() -> None:
    segment = mp.Transform(Hangs(), "slow", start_timeout_s=8.0)
    pline = mp.PipeLine([mp.Source(range(3)), segment])
    said = (
        r"(?s)'slow'.*still in its local_init.*start_timeout_s=8\).*functor was at:.*in local_init"
    )
    with pytest.raises(mp.WorkerDiedError, match=said):
        list(pline)


def test_an_item_limit_brings_a_start_limit_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timeouts, "START_S", 8.0)
    segment = mp.Transform(Hangs(), "slow", timeout_s=0.5)
    with pytest.raises(mp.WorkerDiedError, match=r"still in its local_init.*start_timeout_s=8\)"):
        list(mp.PipeLine([mp.Source(range(3)), segment]))


def test_the_start_of_a_replacement_has_the_limit_too(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    segment = mp.Transform(
        Hangs(tmp_path / "died"), "slow", restart=True, start_timeout_s=8.0, max_restarts=1
    )
    with pytest.raises(mp.WorkerDiedError, match="still in its local_init"):
        list(mp.PipeLine([mp.Source(range(9)), segment]))


@pytest.mark.parametrize("late", (False, True), ids=("first", "replacement"))
def test_a_start_that_takes_long_is_said_with_worker_and_call(
    late: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(timeouts, "FIRST_STALL_S", 2.0)
    segment = mp.Transform(Hangs(tmp_path / "died" if late else None), "slow", restart=True)
    pline = mp.PipeLine([mp.Source(range(9)), segment, mp.Sink(Collect())]).run()
    wait_until(lambda: said_of(caplog, "is still in its local_init after"), "the warning")
    pline.stop()
    pline.close(30)
    (said, *_) = said_of(caplog, "is still in its local_init after")
    assert said.startswith("worker 'slow' (pid ")
    assert "start_timeout_s would end that" in said
    assert "in local_init" in said.split("it is at:")[1]
