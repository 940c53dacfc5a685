"""Hosts as processes, what they say, and what two of them have exchanged."""

from __future__ import annotations

import hashlib
import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from itertools import accumulate
from pathlib import Path
from random import Random
from typing import Any

import pytest

from minipipe.protocol.hosts.endpoints import Endpoint
from minipipe.protocol.hosts.token import parse_token
from tests.conftest import DEADLOCK_S, wait_until
from tests.hosts.machines import PREFIX, Machines
from tests.hosts.peer import message
from tests.hosts.proxy import Proxy

ROOT = Path(__file__).parents[2]


class Peer:
    """A host, and the lines that it says."""

    def __init__(self, before: list[str], **plan: Any) -> None:
        self.process = subprocess.Popen(
            [*before, sys.executable, "-m", "tests.hosts.peer", json.dumps(plan)],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.log: list[str] = []
        self._lines: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._threads = [
            threading.Thread(target=one, daemon=True) for one in (self._out, self._err)
        ]
        for thread in self._threads:
            thread.start()

    def _out(self) -> None:
        assert self.process.stdout is not None
        try:
            for line in self.process.stdout:
                self._lines.put(json.loads(line))
        finally:
            self._lines.put(None)  # nothing more will be said

    def _err(self) -> None:
        assert self.process.stderr is not None
        self.log.extend(self.process.stderr)

    def until(
        self, key: str, value: object = None, timeout_s: float = DEADLOCK_S
    ) -> dict[str, Any]:
        """The next line with this key (and value)."""
        while True:
            try:
                line = self._lines.get(timeout=timeout_s)
            except queue.Empty:
                raise AssertionError(f"no {key!r} within {timeout_s} s: {self.log}") from None
            if line is None:
                self._lines.put(None)
                self._threads[1].join(DEADLOCK_S)
                ended = f"with {self.process.wait(DEADLOCK_S)}: {self.log}"
                raise AssertionError(f"no {key!r}: it has ended {ended}")
            if key in line and value in (None, line[key]):
                return line

    def tell(self, order: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(order + "\n")
        self.process.stdin.flush()

    def close(self) -> None:
        """Ends it (its standard input does), and all that was made for it."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        try:
            self.process.wait(DEADLOCK_S)
        finally:
            self.process.kill()
            self.process.wait()
            for thread in self._threads:
                thread.join()
            for pipe in (self.process.stdout, self.process.stderr):
                if pipe is not None:
                    pipe.close()


class Hosts:
    """Starts them, and ends what is left of them."""

    def __init__(self, stack: ExitStack) -> None:
        self.stack = stack

    def start(self, role: str, before: list[str] | None = None, **plan: Any) -> Peer:
        peer = Peer(before or [], role=role, **plan)
        self.stack.callback(peer.close)
        return peer


@pytest.fixture
def hosts() -> Iterator[Hosts]:
    with ExitStack() as stack:
        yield Hosts(stack)


def has_noticed(peer: Peer) -> bool:
    """Whether it has given up a silent connection: itself, or before that its kernel has."""
    return any("silent" in line or "has ended" in line for line in peer.log)


def digest(seed: int, count: int) -> str:
    """Of all that the other end is to get."""
    whole = hashlib.sha256()
    for number in range(1, count + 1):
        for frame in message(seed, number):
            whole.update(frame)
    return whole.hexdigest()


def exchanged(one: Peer, other: Peer, counts: tuple[int, int], seeds: tuple[int, int]) -> int:
    """Waits for the good end of both: nothing lost, nothing repeated.  How many connections."""
    connections = 0
    for peer, sent, received, seed in (
        (one, counts[0], counts[1], seeds[1]),
        (other, counts[1], counts[0], seeds[0]),
    ):
        over = peer.until("over", timeout_s=60)
        assert over["over"] == "Ended", (over["over"], one.log, other.log)
        assert (over["received"], over["released"]) == (received, sent)
        assert over["digest"] == digest(seed, received)
        connections = max(connections, over["connections"])
    return connections


def through(proxy: Proxy, token: str) -> str:
    """The same token with the address of the proxy."""
    place = Endpoint("127.0.0.1", proxy.port)
    return replace(parse_token(token), endpoints=(place,)).text


def cut_up(hosts: Hosts, *, seed: int, counts: tuple[int, int], cuts: int, delay_s: float) -> int:
    """Two hosts exchange so many messages, over a line that is cut so often, anywhere.

    Returns:
        How many connections it took.
    """
    random, seeds = Random(seed), (2 * seed, 2 * seed + 1)
    window_bytes = random.choice((1 << 20, 64 << 20))  # only in the larger one do pieces grow
    run = hosts.start("listen", count=counts[0], seed=seeds[0], window_bytes=window_bytes)
    said = run.until("token")
    proxy = Proxy(said["port"])
    hosts.stack.callback(proxy.close)
    proxy.delay_s = delay_s
    # In the handshake, in what is said of the connection, in a small message, in a large one.
    gaps = [random.choice((40, 300, 2000, 20_000, 200_000)) for _ in range(cuts)]
    proxy.cuts.extend(accumulate(random.randrange(1, gap) for gap in gaps))
    token = through(proxy, said["token"])
    options = {"seed": seeds[1], "window_bytes": window_bytes}
    guest = hosts.start("join", token=token, count=counts[1], **options)
    exchanged(run, guest, counts, seeds)
    assert not proxy.cuts, "there was not enough to cut"
    return proxy.connections


def pulled(hosts: Hosts, *, seed: int, lost_after_s: float, pulled_s: float) -> int:
    """Two hosts on two machines, whose cable is pulled until both have noticed, at least so long.

    Returns:
        How many connections it took.
    """
    counts, seeds = (1000, 1000), (2 * seed, 2 * seed + 1)
    machines = hosts.stack.enter_context(Machines())
    places = [[f"{PREFIX}.99", 0], ["fd77::1", 0], [f"{PREFIX}.1", 0]]  # nobody has the first one
    options: dict[str, Any] = {"lost_after_s": lost_after_s, "watchful": True}
    options |= {"seed": seeds[0], "count": counts[0]}
    run = hosts.start("listen", machines.on(0), address="tcp://[::]:0", endpoints=places, **options)
    token = run.until("token")["token"]
    # It reads when the cable is in again, so there is something to be sent whenever it is pulled.
    options |= {"seed": seeds[1], "count": counts[1], "lazy": True}
    guest = hosts.start("join", machines.on(1), token=token, **options)
    run.until("received")
    machines.pull()
    until_s = time.monotonic() + pulled_s
    for peer in (run, guest):
        wait_until(lambda: has_noticed(peer), "the silence to be noticed")
    wait_until(lambda: time.monotonic() >= until_s, "the cable to be plugged in again")
    machines.plug()
    guest.tell("take")
    return exchanged(run, guest, counts, seeds)
