"""Arrays of a run that has workers on another machine: they cross once, and lie in slots there."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minipipe as mp
from minipipe.codec.wire import OUT_OF_BAND_BYTES
from minipipe.protocol.hosts.endpoints import Endpoint
from minipipe.protocol.hosts.pieces import MAX_FRAMES
from minipipe.protocol.hosts.token import parse_token
from minipipe.shm import find_slot, supported
from tests.conftest import DEADLOCK_S
from tests.hosts.proxy import Proxy

Join = Callable[[mp.PipeLine], Proxy]
LENGTH = 125_000


@pytest.fixture
def join() -> Iterator[Join]:
    """Has an agent join a run that waits for it, over a proxy that counts the bytes."""
    if not supported():
        pytest.skip("shared memory slots do not work here")
    proxies: list[Proxy] = []
    agents: list[subprocess.Popen[bytes]] = []

    def joined(pline: mp.PipeLine) -> Proxy:
        assert pline.token is not None
        token = parse_token(pline.token)
        proxies.append(Proxy(token.endpoints[0].port))
        through = replace(token, endpoints=(Endpoint("127.0.0.1", proxies[-1].port),))
        command = [sys.executable, "-m", "minipipe", "agent", "--name", "far", "--slots", "4"]
        agents.append(subprocess.Popen(command, env={**os.environ, "MINIPIPE_TOKEN": through.text}))
        return proxies[-1]

    yield joined
    for one in agents:
        assert one.wait(DEADLOCK_S) == 0
    for proxy in proxies:
        proxy.close()


def three_arrays() -> Iterator[list[Any]]:
    for number in range(6):
        yield [np.full(LENGTH, float(number + k)) for k in range(3)]


class Sums:
    """What it got: the sum of each array, if it lies in a slot."""

    def __init__(self) -> None:
        self.got: list[list[float]] = []

    def __call__(self, item: list[Any]) -> None:
        assert all(find_slot(array) is not None for array in item)
        self.got.append([array.sum() for array in item])

    def local_term(self) -> list[list[float]]:
        return self.got


def test_what_is_broadcast_crosses_once(join: Join) -> None:
    sinks = [mp.Sink(Sums(), f"k{n}", on="far") for n in range(4)]
    pline = mp.PipeLine([mp.Source(three_arrays), mp.Broadcast(sinks)])
    pline.run(bind="tcp://127.0.0.1:0", place_timeout_s=DEADLOCK_S)
    proxy = join(pline)
    results = pline.close(DEADLOCK_S)
    sums = [[LENGTH * float(n + k) for k in range(3)] for n in range(6)]
    assert results == {f"k{n}": sums for n in range(4)}
    arrays_bytes = 6 * 3 * 8 * LENGTH
    assert arrays_bytes <= proxy.bytes < 1.2 * arrays_bytes


def test_workers_there_that_are_killed_take_nothing_with_them(join: Join, tmp_path: Path) -> None:
    def work(item: list[Any]) -> list[Any]:
        if item[0][0] == 2 and not (tmp_path / "killed").exists():
            (tmp_path / "killed").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return [array + 1 for array in item] + item[:1]

    parts = [mp.Source(three_arrays), mp.Transform(work, "work", n_processes=2, on="far")]
    pline = mp.PipeLine(parts)
    pline.run(bind="tcp://127.0.0.1:0", place_timeout_s=DEADLOCK_S)
    join(pline)
    got = []
    for item in pline:
        assert all(find_slot(array) is not None for array in item)
        got.append([set(array.tolist()) for array in item])
        item[0][:] = 0  # here, and nowhere else
    assert sorted(got, key=str) == [[{n + 1.0}, {n + 2.0}, {n + 3.0}, {n}] for n in range(6)]


def many_arrays() -> Iterator[list[Any]]:
    yield [np.full(OUT_OF_BAND_BYTES // 8, float(number)) for number in range(MAX_FRAMES + 1)]


def are_right(item: list[Any]) -> int:
    return sum(bool((one == number).all()) for number, one in enumerate(item))


def test_an_item_of_more_frames_than_a_link_takes_comes_from_an_agent(join: Join) -> None:
    pline = mp.PipeLine([mp.Source(many_arrays, on="far"), mp.Transform(are_right, on="local")])
    pline.run(bind="tcp://127.0.0.1:0", ship=False, shared_bytes=0)
    join(pline)
    assert list(pline) == [MAX_FRAMES + 1]
