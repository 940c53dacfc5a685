"""One small item through three idle segments, beside raw pyzmq over the same two hops."""

from __future__ import annotations

import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection

import msgpack
import zmq

import minipipe as mp
from benchmarks.row import Row

ITEMS = 300
PAUSE_S = 0.005
ROUNDS = 5


def ticks() -> Iterator[int]:
    for _ in range(ITEMS):
        time.sleep(PAUSE_S)
        yield time.monotonic_ns()


class Ages:
    """How old each item was when it came, in nanoseconds."""

    def local_init(self) -> None:
        self.ages: list[int] = []

    def run(self, item: int) -> None:
        self.ages.append(time.monotonic_ns() - item)

    def local_term(self) -> list[int]:
        return self.ages


def same(item: int) -> int:
    return item


def ours_us() -> float:
    pline = mp.PipeLine([mp.Source(ticks), mp.Transform(same), mp.Sink(Ages(), "ages")])
    pline.build(log_lvl="WARNING")
    return statistics.median(pline.run().close()["ages"]) / 1000


def _relay(take: str, put: str) -> None:
    context = zmq.Context()
    source, target = context.socket(zmq.PULL), context.socket(zmq.PUSH)
    source.bind(take)
    target.connect(put)
    for _ in range(ITEMS):
        target.send(msgpack.packb(same(msgpack.unpackb(source.recv()))))
    context.destroy(linger=1000)


def _end(take: str, out: Connection) -> None:
    context = zmq.Context()
    source = context.socket(zmq.PULL)
    source.bind(take)
    ages = Ages()
    ages.local_init()
    for _ in range(ITEMS):
        ages.run(msgpack.unpackb(source.recv()))
    out.send(ages.ages)
    context.destroy()


def raw_us() -> float:
    fork = multiprocessing.get_context("fork")
    with tempfile.TemporaryDirectory(dir="/tmp") as place:
        first, second = f"ipc://{place}/a", f"ipc://{place}/b"
        receive, send = fork.Pipe(duplex=False)
        others = [
            fork.Process(target=_relay, args=(first, second)),
            fork.Process(target=_end, args=(second, send)),
        ]
        for process in others:
            process.start()
        context = zmq.Context()
        target = context.socket(zmq.PUSH)
        target.connect(first)
        time.sleep(0.2)
        for item in ticks():
            target.send(msgpack.packb(item))
        ages = receive.recv()
        for process in others:
            process.join()
        context.destroy(linger=1000)
    return statistics.median(ages) / 1000


def rows() -> list[Row]:
    """Alternating rounds; the median of the ratios of the medians."""
    pairs = [(ours_us(), raw_us()) for _ in range(ROUNDS)]
    return [
        Row(
            "a small item through three idle segments: median latency",
            f"{statistics.median(a for a, _ in pairs):.0f} us",
            f"raw pyzmq {statistics.median(b for _, b in pairs):.0f} us",
            statistics.median(a / b for a, b in pairs),
            "x",
            1.5,
            1.2,
        )
    ]
