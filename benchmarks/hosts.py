"""Items between machines: a run and an agent, against raw pyzmq over the same kind of connection.

Both ends are on this machine (loopback), so there is no network to be the limit: what is compared
is what each of them costs.  A pair of runs, raw and MiniPipe, follows the other.
"""

from __future__ import annotations

import multiprocessing
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import zmq

import minipipe as mp
from benchmarks.row import Row

LARGE_BYTES = 9_600_000
SMALL_BYTES = 100
PAIRS = 3
_CONTEXT = multiprocessing.get_context("spawn")


class Arrays:
    """Yields new arrays of one size, and notes when it began."""

    def __init__(self, size_bytes: int, count: int) -> None:
        self.size_bytes, self.count = size_bytes, count

    def run(self) -> Iterator[np.ndarray[Any, Any]]:
        for number in range(self.count):
            yield np.full(self.size_bytes, number % 256, np.uint8)


class Arrival:
    """Notes when the first and the last item came."""

    def __init__(self) -> None:
        self.count, self.first_s, self.last_s = 0, 0.0, 0.0

    def run(self, item: np.ndarray[Any, Any]) -> None:
        self.last_s = time.monotonic()
        self.count += 1
        if self.count == 1:
            self.first_s = self.last_s

    def local_term(self) -> tuple[int, float]:
        return self.count, self.last_s - self.first_s


@contextmanager
def agent(token: str, slots: int = 8) -> Iterator[subprocess.Popen[bytes]]:
    """An agent with the tag "there"."""
    command = [sys.executable, "-m", "minipipe", "agent", "--tags", "there", "--slots", str(slots)]
    process = subprocess.Popen(
        command, env={**os.environ, "MINIPIPE_TOKEN": token}, stderr=subprocess.DEVNULL
    )
    try:
        yield process
        process.wait(20)
    finally:
        process.kill()
        process.wait()


def _busy_s() -> float:
    """What all processors of this machine have done so far, in seconds."""
    with open("/proc/stat") as file:
        numbers = [int(number) for number in file.readline().split()[1:9]]
    return (sum(numbers) - numbers[3] - numbers[4]) / os.sysconf("SC_CLK_TCK")


def run_s(size_bytes: int, count: int, security: str, sinks: int = 1) -> tuple[float, float]:
    """From the first item at another host to the last, and the processors' time, in seconds."""
    pline = mp.PipeLine()
    pline.add(mp.Source(Arrays(size_bytes, count), "load"))
    if sinks == 1:
        pline.add(mp.Sink(Arrival, "take", on="there"))
    else:
        takers = {f"take{i}": mp.Sink(Arrival, f"take{i}", on="there") for i in range(sinks)}
        pline.add(mp.Broadcast(takers))
    pline.build(log_lvl="ERROR")
    with _silent():
        pline.run(bind="tcp://127.0.0.1:0", security=security)
    assert pline.token is not None
    before_s = _busy_s()
    with agent(pline.token):
        results = pline.close()
    used_s = _busy_s() - before_s
    times = [took_s for took, took_s in results.values() if took == count]
    assert len(times) == sinks
    return max(times), used_s


@contextmanager
def _silent() -> Iterator[None]:
    """The token is not printed."""
    before, sys.stderr = sys.stderr, open(os.devnull, "w")  # noqa: SIM115 - closed below
    try:
        yield
    finally:
        sys.stderr.close()
        sys.stderr = before


def _push(address: str, size_bytes: int, count: int, keys: tuple[bytes, bytes, bytes]) -> None:
    context: zmq.Context[Any] = zmq.Context()
    socket = context.socket(zmq.PUSH)
    socket.sndhwm = 0 if size_bytes < 10_000 else 8
    if keys:
        socket.curve_serverkey, socket.curve_publickey, socket.curve_secretkey = keys
    socket.connect(address)
    for number in range(count):
        socket.send(np.full(size_bytes, number % 256, np.uint8), copy=size_bytes < 10_000)
    socket.close(linger=-1)
    context.term()


def raw_s(size_bytes: int, count: int, security: str) -> tuple[float, float]:
    """The same for a PUSH and a PULL, `copy=False` for large ones."""
    context: zmq.Context[Any] = zmq.Context()
    socket = context.socket(zmq.PULL)
    socket.rcvhwm = 0 if size_bytes < 10_000 else 8
    keys: Any = ()
    if security == "curve":
        public, secret = zmq.curve_keypair()
        socket.curve_server = True
        socket.curve_secretkey = secret
        keys = (public, *zmq.curve_keypair())
    port = socket.bind_to_random_port("tcp://127.0.0.1")
    before_s = _busy_s()
    about = (f"tcp://127.0.0.1:{port}", size_bytes, count, keys)
    process = _CONTEXT.Process(target=_push, args=about)
    process.start()
    first_s = 0.0
    for _ in range(count):
        socket.recv(copy=size_bytes < 10_000)
        first_s = first_s or time.monotonic()
    took_s = time.monotonic() - first_s
    process.join()
    used_s = _busy_s() - before_s
    socket.close(linger=0)
    context.term()
    return took_s, used_s


class _Pairs(NamedTuple):
    """Pairs of runs: medians, and the ratio of each pair.

    Attributes:
        ours_cpu_s: what all processors have done for it, without what starts and ends cost.
    """

    ours_s: float
    raw_s: float
    ratios: list[float]
    ours_cpu_s: float
    raw_cpu_s: float


def _pairs(size_bytes: int, count: int, security: str) -> _Pairs:
    rows = list[tuple[float, float, float, float]]()
    for _ in range(PAIRS):
        raw_took_s, raw_used_s = raw_s(size_bytes, count, security)
        took_s, used_s = run_s(size_bytes, count, security)
        rows.append((took_s, raw_took_s, used_s, raw_used_s))
    ours, raw, used, raw_used = map(statistics.median, zip(*rows, strict=True))
    (_, at_rest_s), (_, raw_at_rest_s) = (one(size_bytes, 2, security) for one in (run_s, raw_s))
    ratios = [raw_took_s / took_s for took_s, raw_took_s, _, _ in rows]
    return _Pairs(ours, raw, ratios, used - at_rest_s, raw_used - raw_at_rest_s)


def _first_item_s() -> float:
    """From the start of an agent's process to the first item there."""
    pline = mp.PipeLine()
    pline.add(mp.Source(Arrays(8, 10), "load"))
    pline.add(mp.Sink(First, "take", on="there"))
    pline.build(log_lvl="ERROR")
    with _silent():
        pline.run(bind="tcp://127.0.0.1:0")
    assert pline.token is not None
    time.sleep(1.0)  # what is here has started
    began_s = time.monotonic()
    with agent(pline.token):
        results = pline.close()
    return float(results["take"]) - began_s


class First:
    """Notes when its first item came, by the clock of this machine."""

    def __init__(self) -> None:
        self.first_s = 0.0

    def run(self, item: np.ndarray[Any, Any]) -> None:
        self.first_s = self.first_s or time.monotonic()

    def local_term(self) -> float:
        return self.first_s


def rows() -> list[Row]:
    """Throughput of large and small items, with and without encryption; a join."""
    found: list[Row] = []
    for security, must, goal in (("none", 0.9, 1.5), ("curve", 0.9, None)):
        pairs = _pairs(LARGE_BYTES, 200, security)
        gigabytes = LARGE_BYTES * 199 / 1e9
        found.append(
            Row(
                f"9.6 MB arrays to another host, security={security!r}",
                f"{gigabytes / pairs.ours_s:.2f} GB/s",
                f"raw pyzmq {gigabytes / pairs.raw_s:.2f} GB/s",
                statistics.median(pairs.ratios),
                "x",
                must,
                goal,
                larger_is_better=True,
            )
        )
        found.append(
            Row(
                f"processor time of that, security={security!r}",
                f"{pairs.ours_cpu_s / gigabytes:.2f} s/GB",
                f"raw pyzmq {pairs.raw_cpu_s / gigabytes:.2f} s/GB",
                pairs.ours_cpu_s / pairs.raw_cpu_s,
                "x",
                1.0,
                None,
            )
        )
    pairs = _pairs(SMALL_BYTES, 100_000, "curve")
    found.append(
        Row(
            "arrays of 100 B to another host",
            f"{99_999 / pairs.ours_s:,.0f}/s",
            f"raw pyzmq {99_999 / pairs.raw_s:,.0f}/s",
            statistics.median(pairs.ratios),
            "x",
            0.7,
            1.0,
            larger_is_better=True,
        )
    )
    first_s = statistics.median(_first_item_s() for _ in range(PAIRS))
    about = ("from an agent's start to its first item", f"{first_s:.2f} s", "")
    found.append(Row(*about, first_s, " s", 2.0, 1.0))
    return found
