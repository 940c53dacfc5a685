"""The floor: source, workers that sleep, sink, in plain pyzmq, with three messages for each item.

An item, its result, and one credit back; an inbox for each process, two items at a worker at most.
No recovery, no errors, one thread in each process beside ZeroMQ's own.  What it needs of the
processors for an item is what a pipeline on ZeroMQ can hardly need less than.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Callable
from typing import Any

import msgpack
import zmq

from benchmarks.cpu import cpu_s

CREDIT = 2
_pack = msgpack.Packer().pack


def _context() -> zmq.Context[Any]:
    context = zmq.Context(io_threads=1)
    for option in (zmq.SNDHWM, zmq.RCVHWM):
        context.setsockopt(option, 0)
    return context


def _worker(place: str, i: int, sleep_s: float) -> None:
    context = _context()
    inbox, source, sink = (context.socket(kind) for kind in (zmq.PULL, zmq.PUSH, zmq.PUSH))
    inbox.bind(f"{place}/w{i}")
    source.connect(f"{place}/source")
    sink.connect(f"{place}/sink")
    source.send(_pack((i, CREDIT)))
    while (item := msgpack.unpackb(inbox.recv())) >= 0:
        time.sleep(sleep_s)
        sink.send(_pack((i, item)))
        source.send(_pack((i, 1)))
    context.destroy(linger=1000)


def _source(place: str, workers: int, items: int) -> None:
    context = _context()
    inbox = context.socket(zmq.PULL)
    inbox.bind(f"{place}/source")
    outlets = [context.socket(zmq.PUSH) for _ in range(workers)]
    for i, outlet in enumerate(outlets):
        outlet.connect(f"{place}/w{i}")
    credit, sent = [0] * workers, 0

    def take(flags: int = 0) -> None:
        i, count = msgpack.unpackb(inbox.recv(flags))
        credit[i] += count

    while sent < items:
        take()
        with contextlib.suppress(zmq.Again):
            while True:
                take(zmq.NOBLOCK)
        for i, outlet in enumerate(outlets):
            while credit[i] and sent < items:
                outlet.send(_pack(sent))
                sent += 1
                credit[i] -= 1
    for outlet in outlets:
        outlet.send(_pack(-1))
    context.destroy(linger=1000)


def measured(workers: int, sleep_s: float, items: int) -> tuple[float, float]:
    """Items a second, and microseconds of processor time for an item, in the middle of a run."""
    with tempfile.TemporaryDirectory(dir="/tmp") as directory:
        place = f"ipc://{directory}"
        context = _context()
        inbox = context.socket(zmq.PULL)
        inbox.bind(f"{place}/sink")
        jobs: list[Callable[[], None]] = [lambda: _source(place, workers, items)]
        jobs += [lambda i=i: _worker(place, i, sleep_s) for i in range(workers)]  # type: ignore[misc]
        pids = []
        for job in jobs:
            pid = os.fork()
            if not pid:
                try:
                    job()
                finally:
                    os._exit(0)
            pids.append(pid)
        first, last = items // 10, items - items // 10
        for i in range(items):
            inbox.recv()
            if i == first:
                began_s, used_s = time.monotonic(), cpu_s([*pids, os.getpid()])
            elif i == last:
                took_s = time.monotonic() - began_s
                used_s = cpu_s([*pids, os.getpid()]) - used_s
        for pid in pids:
            os.waitpid(pid, 0)
        context.destroy(linger=0)
    return (last - first) / took_s, used_s / (last - first) * 1e6
