"""An agent that is broken, or was taken over: the run throws it out, and goes on with others."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial

import pytest

import minipipe as mp
from minipipe.agent.paired import Kind, write_paired
from minipipe.agent.proxy import MOST_PRINTED_BYTES
from minipipe.agent.words import ERR, Word
from minipipe.protocol.delivery.membership import LOCAL_HOST, SUPERVISOR
from minipipe.protocol.flow.link_actions import Lost
from minipipe.stream import records
from minipipe.stream.page import OUTSIDE, PATH_WORD, WORD, Page
from minipipe.stream.routes import write_route
from minipipe.transport.curve import NO_KEY, CurveKeys
from tests.conftest import DEADLOCK_S, descriptors, wait_until
from tests.hosts.agents import Agents
from tests.hosts.fake_agent import FakeAgent

KEY, PLACE = CurveKeys.new().public, "tcp://127.0.0.1:1"
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


def listens_twice(fake: FakeAgent) -> None:
    for _ in range(2):
        fake.says(Word.LISTENS, KEY, PLACE)


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
    "no word for another one": lambda fake: fake.sends([b"P"]),
    "again what was for others": lambda fake: fake.sends(
        write_paired(Kind.AGAIN, 1, 1, [b"D" + HERE, b""])
    ),
    "a key that is none": lambda fake: fake.says(Word.LISTENS, "x", PLACE),
    "no key at all": lambda fake: fake.says(Word.LISTENS, NO_KEY, PLACE),
    "a place with a name": lambda fake: fake.says(Word.LISTENS, KEY, "tcp://example.org:1"),
    "no place": lambda fake: fake.says(Word.LISTENS, KEY, ""),
    "places without end": lambda fake: fake.says(Word.LISTENS, KEY, f"{PLACE} " * 99),
    "twice where it listens": lambda fake: listens_twice(fake),
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


def test_by_a_link_of_its_own_it_speaks_for_its_own_workers_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    pline = mp.PipeLine(
        [
            mp.Source(Counts(), "source", on="elder"),
            mp.Transform(double, "far", on="evil", max_restarts=1000),
            mp.Transform(double, "here", on="elder"),
        ]
    )
    with Agents() as agents:
        pline.run(bind="tcp://127.0.0.1:0", ship=False)
        assert pline.token is not None
        agents.join(pline.token, name="elder").says("has joined")
        for is_own in (True, False):
            speaks_for_others(pline.token, is_own)
            why = "it gives an order" if is_own else "which is none of its own"
            wait_until(lambda why=why: why in caplog.text, f"{why!r} to be said")  # type: ignore[misc]
        agents.join(pline.token, "--tags", "evil", name="good")
        assert sorted(pline) == [4 * n for n in range(100)]
        for agent in agents.all:
            agent.ends(0)
    assert "host 'elder' is lost" not in caplog.text


class Counts:
    """A source with a state, for the elder."""

    def run(self) -> Iterator[int]:
        yield from range(100)


def speaks_for_others(token: str, is_own: bool) -> None:
    """It has a link to another agent, and says there what is refused; then by the run, too."""
    with closing(FakeAgent(token)) as fake:
        fake.listens()
        worker = fake.is_asked_for_a_worker().spec.ident
        route = write_route("elder", [1 << 30])  # whom nobody knows
        fake.sends_records(route, worker, records.Close(0))  # so they are introduced
        fake.until(lambda: fake.peer is not None and fake.peer.has_met, "a link to the elder")
        peer = fake.peer
        assert peer is not None
        record = records.Exit() if is_own else records.Close(0)
        elders = 1  # the source
        said = [b"D" + route, fake.head(worker if is_own else elders, record)]
        fake.sends(write_paired(Kind.SWITCHED, fake.link_number, 0))
        peer.send([b"D" + route, fake.head(worker, records.Close(0))])
        fake.until(lambda: peer.released == 1, "what may be said to be taken")
        peer.send(said)
        fake.until(lambda: peer.is_over, "the link to be given up")
        lost = [event for event in iter(peer.event, None) if isinstance(event, Lost)]
        assert "what came by it is refused" in lost[0].why
        fake.sends(write_paired(Kind.FELL_BACK, fake.link_number, 2))
        fake.sends(write_paired(Kind.AGAIN, fake.link_number, 2, said))
        fake.is_thrown_out()
