"""An agent that is broken, or was taken over: the run throws it out, and goes on with others."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from contextlib import closing
from functools import partial

import pytest

import minipipe as mp
from minipipe.agent.proxy import MOST_PRINTED_BYTES
from minipipe.agent.words import ERR, Word
from minipipe.protocol.delivery.membership import LOCAL_HOST, SUPERVISOR
from minipipe.stream import records
from minipipe.stream.page import OUTSIDE, PATH_WORD, WORD, Page
from minipipe.stream.routes import write_route
from tests.conftest import DEADLOCK_S, descriptors, wait_until
from tests.hosts.fake_agent import FakeAgent

HERE, RUN = write_route(LOCAL_HOST, [1]), write_route(LOCAL_HOST, [SUPERVISOR])


def page(word: int, value: int) -> bytes:
    """The page of a worker on which this stands."""
    one = Page()
    one.words[word] = value
    return zlib.compress(one.content, 1)


def shows(fake: FakeAgent, word: int, value: int) -> None:
    worker = fake.is_asked_for_a_worker().spec.ident
    about = (worker, time.monotonic_ns(), 0, 0, 0, 0, 0, 0)
    fake.says(Word.VITALS, *about, frames=[page(word, value), b""])


def parcel(slots: tuple[int, ...] = ()) -> records.Items:
    return records.Items(0, 0, 1, (0, 1), (), (), (), (), slots, (), b"")


SLOT = (os.getpid(), 3, 0, 0, 0)

# What it says; each of this is enough to be thrown out.
WORDS: dict[str, Callable[[FakeAgent], object]] = {
    "nothing": lambda fake: fake.sends([]),
    "an empty frame": lambda fake: fake.sends([b""]),
    "no word": lambda fake: fake.sends([b"C\xc1"]),
    "what cannot be looked up": lambda fake: fake.says(Word.FORGET, ({},)),
    "workers that are none": lambda fake: fake.says(Word.ZYGOTE_LOST, ({},), False, 1, ""),
    "a level of logs": lambda fake: fake.says(Word.NOTE, 1 << 60, "x"),
    "an order": lambda fake: fake.says(Word.KILL, 1, None, True),
    "what only the run ships": lambda fake: fake.says(Word.SHIPMENT),
    "no route": lambda fake: fake.sends([b"Dx", b"", b""]),
    "no head": lambda fake: fake.sends([b"D" + HERE]),
}
OF_WORKER: dict[str, Callable[[FakeAgent, int], object]] = {
    "a pid": lambda fake, worker: fake.says(Word.STARTED, worker, 1 << 40),
    "a reason": lambda fake, worker: fake.says(Word.REFUSED, worker, 1 << 40, ""),
    "how it ended": lambda fake, worker: fake.says(Word.EXITED, worker, 1 << 40, True, ""),
    "a stage": lambda fake, _: shows(fake, WORD["stage"], 99),
    "a time": lambda fake, _: shows(fake, WORD["since_ns"], OUTSIDE),
    "a path": lambda fake, _: shows(fake, PATH_WORD, 1 << 60),
    "prints without end": lambda fake, worker: fake.says(
        Word.PRINTED, worker, ERR, frames=[bytes(MOST_PRINTED_BYTES + 1)]
    ),
    "the supervisor's orders": lambda fake, _: fake.sends_records(HERE, SUPERVISOR, records.Exit()),
    "its own orders": lambda fake, worker: fake.sends_records(HERE, worker, records.Exit()),
    "another's records": lambda fake, _: fake.sends_records(RUN, 1, records.Wired()),
    "reports to workers": lambda fake, worker: fake.sends_records(HERE, worker, records.Wired()),
    "records of workers": lambda fake, worker: fake.sends_records(RUN, worker, records.Close(0)),
    "memory of this machine": lambda fake, worker: fake.sends_records(HERE, worker, parcel(SLOT)),
    "where that lies": lambda fake, worker: fake.sends_records(
        HERE, worker, records.Freight([], SLOT), parcel()
    ),
    "two parcels": lambda fake, worker: fake.sends_records(
        HERE, worker, records.Freight([(0, 8)], SLOT), parcel(SLOT), parcel()
    ),
    "landed": lambda fake, worker: fake.sends_records(HERE, worker, records.Landed(9)),
}


def double(item: int) -> int:
    return 2 * item


def attack(token: str, attacks: Callable[[FakeAgent], object]) -> None:
    with closing(FakeAgent(token)) as fake:
        attacks(fake)
        fake.is_thrown_out()


def test_whatever_an_agent_says_the_run_goes_on(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    far = mp.Transform(double, "far", on="evil", max_restarts=1000)
    pline = mp.PipeLine([mp.Source(range(300)), far])
    pline.run(bind="tcp://127.0.0.1:0", place_timeout_s=DEADLOCK_S)
    assert pline.token is not None
    for says in WORDS.values():
        attack(pline.token, says)
    before = sockets()
    for says_of in OF_WORKER.values():
        attack(pline.token, partial(of_worker, says_of))
    wait_until(lambda: sockets() < before + 5, "what workers had that are dead to be closed")
    command = [sys.executable, "-m", "minipipe", "agent", "--tags", "evil", "--slots", "1"]
    with closing(FakeAgent(pline.token)) as fake:
        fake.says_farewell("\x1b[2J\nall is well")
    with subprocess.Popen(command, env={**os.environ, "MINIPIPE_TOKEN": pline.token}) as agent:
        assert sorted(pline) == [2 * n for n in range(300)]
        assert agent.wait(DEADLOCK_S) == 0
    assert "Traceback" not in capfd.readouterr().err
    assert "?[2J all is well" in caplog.text and "\x1b" not in caplog.text


def sockets() -> int:
    return sum("socket:" in one for one in descriptors())


def of_worker(says: Callable[[FakeAgent, int], object], fake: FakeAgent) -> None:
    says(fake, fake.is_asked_for_a_worker().spec.ident)
