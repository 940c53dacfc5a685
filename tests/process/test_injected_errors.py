"""Every call of the supervisor that can fail fails: the run ends by a stop all the same.

An injector makes the first call of an effect raise, or that one and all later ones. Whatever it is,
`close()` raises it, workers that are well run their `local_term`, and nothing is left behind.
"""

from __future__ import annotations

import errno
import functools
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import minipipe as mp
from minipipe.protocol.run.merging import Merging
from minipipe.stream import wire
from minipipe.supervisor import conductor, shared_page, suspect_files
from minipipe.supervisor.deaths import Deaths
from minipipe.supervisor.failures import Failures
from minipipe.supervisor.hosts.zygote import ZygoteClient
from minipipe.supervisor.monitor import Monitor
from minipipe.supervisor.output import OutputPump
from minipipe.supervisor.processes import WorkerProcesses
from minipipe.supervisor.run_log import RunLog
from minipipe.supervisor.rundir import RunDirectory
from minipipe.supervisor.shared_page import SharedPage
from minipipe.supervisor.watchdog import Watchdog
from minipipe.supervisor.worker_handle import WorkerHandle
from minipipe.transport import Controls
from minipipe.transport.zeromq import ZeroMQTransport
from minipipe.transport.zeromq_receiving import ZeroMQInbox
from minipipe.worker import failure_forms

# What the conductor does, and where.
EFFECTS: dict[str, tuple[Any, str]] = {
    "make a way for orders": (Controls, "open"),
    "open the way to a worker": (Controls, "outlet"),
    "pickle an order": (wire.Writer, "write"),
    "send an order": (Controls, "send"),
    "send to slow workers": (Controls, "flush"),
    "wait": (ZeroMQInbox, "wait"),
    "receive": (ZeroMQInbox, "receive"),
    "read a message": (conductor.wire, "read"),
    "unpickle a failure": (failure_forms.pickle, "loads"),
    "count a failure": (Failures, "skipped"),
    "read the counters": (WorkerHandle, "stats"),
    "read a page": (SharedPage, "progress"),
    "look at a call": (Watchdog, "look"),
    "log how full streams are": (Monitor, "log_if_due"),
    "see who has died": (WorkerProcesses, "reports"),
    "say how one has died": (Deaths, "error_of"),
    "start a replacement": (WorkerProcesses, "replace"),
    "make a page": (shared_page, "_memory"),
    "make pipes": (os, "pipe"),
    "take over a pipe": (OutputPump, "add"),
    "ask the zygote": (ZygoteClient, "start"),
    "kill a worker": (WorkerProcesses, "kill"),
    "read what workers print": (OutputPump, "_read_some"),
    "write what workers print": (Merging, "due"),
    "observe an event": (RunLog, "event"),
    "observe an action": (Monitor, "action"),
    "log a death": (RunLog, "_death"),
    "write a dead letter": (suspect_files, "add_record"),
}
# With none of these a worker cannot be told to stop, or to go.
MUTE = {"pickle an order", "send an order"}


class Injected(OSError):
    """What the injector raises once."""


class InjectedAgain(MemoryError):
    """What it raises again and again."""


class Injector:
    """Makes one effect fail, from when it is armed on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, effect: str, *, again: bool) -> None:
        owner, name = EFFECTS[effect]
        self.armed = False
        self.fired = 0
        real = getattr(owner, name)

        def fails(*args: Any, **kwargs: Any) -> Any:
            if self.armed and (again or not self.fired):
                self.fired += 1
                raise InjectedAgain(effect) if again else Injected(errno.ENOSPC, effect)
            return real(*args, **kwargs)

        monkeypatch.setattr(owner, name, fails)


def numbers() -> Iterator[int]:
    for number in range(4000):
        time.sleep(0.002)
        yield number


class Saves:
    """A sink that leaves a file when it has begun, and another one when it has saved."""

    def __init__(self, place: Path) -> None:
        self.place = place
        # No Python code: a stop comes before it, or after it, and then local_term runs.
        self.local_init = functools.partial(os.mkdir, str(place / "begun"))

    def run(self, item: int) -> None:
        if item % 100 == 0:
            print("item", item)

    def local_term(self) -> None:
        (self.place / "saved").touch()


def everything(place: Path) -> mp.PipeLine:
    """A pipeline in which an item is skipped; another one hangs, then kills, then is set aside."""

    def work(item: int) -> int:
        if item == 3:
            raise ValueError("skipped")
        if item == 5:
            if (place / "hung").exists():
                os._exit(1)
            (place / "hung").touch()
            time.sleep(600)
        return item

    segment = mp.Transform(
        work,
        "work",
        timeout_s=1.0,
        max_restarts=100,
        poison="skip",
        max_failures=100,
        dead_letter=place / "letters",
    )
    pline = mp.PipeLine([mp.Source(numbers), segment, mp.Sink(Saves(place), "keep")], monitor=True)
    return pline


@pytest.mark.parametrize("again", (False, True), ids=("once", "from then on"))
@pytest.mark.parametrize("effect", EFFECTS)
def test_whatever_fails_in_the_supervisor_workers_save_and_it_is_raised(
    effect: str, again: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    injector = Injector(monkeypatch, effect, again=again)
    pline = everything(tmp_path).run(grace_s=10.0)
    injector.armed = True
    with pytest.raises((Injected, InjectedAgain), match=effect) as caught:
        pline.close(120)
    injector.armed = False
    assert injector.fired
    if not (again and effect in MUTE):
        assert (tmp_path / "begun").exists() == (tmp_path / "saved").exists()
    assert any("in the supervisor" in note for note in caught.value.__notes__)


@pytest.mark.parametrize(
    ("owner", "name"),
    (
        (RunDirectory, "__init__"),
        (ZeroMQTransport, "bind"),
        (ZygoteClient, "__init__"),
        (ZygoteClient, "start"),
        (OutputPump, "__init__"),
        (OutputPump, "start"),
        (OutputPump, "add"),
        (shared_page, "_memory"),
        (Controls, "open"),
        (os, "pipe"),
    ),
    ids=lambda part: part if isinstance(part, str) else part.__name__,
)
@pytest.mark.parametrize("nth", (1, 2, 3, 4, 5))
def test_whatever_fails_at_the_start_run_raises_it_and_nothing_is_left(
    owner: Any, name: str, nth: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    real, calls = getattr(owner, name), 0

    def fails(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == nth:
            raise Injected(errno.EMFILE, "at the start")
        return real(*args, **kwargs)

    monkeypatch.setattr(owner, name, fails)
    pline = everything(tmp_path)
    if (nth > 1 and name in ("__init__", "bind")) or (nth > 3 and name == "_memory"):
        pytest.skip("it is not called so often")
    if owner is OutputPump and name == "start" and nth > 1:
        pytest.skip("it is not called so often")
    if owner in (ZygoteClient, Controls) and nth > 3:
        pytest.skip("it is not called so often")
    with pytest.raises((Injected, mp.StartError), match="at the start"):
        pline.run()
