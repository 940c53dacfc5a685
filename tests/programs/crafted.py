"""Messages that somebody has made to do harm, and functors: workers import this."""

from __future__ import annotations

import pickle
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgpack
import msgpack_numpy
import numpy as np


def fussy(message: memoryview) -> Any:
    text = bytes(message).decode()
    return {"value": int(text)}


class Bomb:
    def __reduce__(self) -> Any:
        return exec, ("raise SystemExit('unpickled')",)


def crafted() -> dict[str, bytes]:
    bomb = pickle.dumps(Bomb())
    return {
        "object array": msgpack.packb(
            {b"nd": True, b"type": "|O", b"kind": b"O", b"shape": [1], b"data": bomb}
        ),
        "object array in text keys": msgpack.packb(
            {"x": [{"nd": True, "type": "O", "kind": "O", "shape": [1], "data": bomb}]}
        ),
        "real object array": msgpack.packb(
            np.array([Bomb()], object), default=msgpack_numpy.encode
        ),
        "object dtype without its kind": msgpack.packb(
            {b"nd": True, b"type": "|O", b"kind": b"", b"shape": [1], b"data": b"\0" * 8}
        ),
        "huge shape": msgpack.packb(
            {b"nd": True, b"type": "<f8", b"kind": b"", b"shape": [2**40], b"data": b""}
        ),
        "a list of 4 billion": b"\xdd\xff\xff\xff\xff",
        "bytes that are not there": b"\xc6\xff\xff\xff\xff",
        "nested 100000 deep": b"\x91" * 100_000 + b"\xc0",
        "nested 500 deep": b"\x91" * 500 + b"\xc0",
        "truncated": msgpack.packb({"x": "y" * 100})[:-3],
        "two items": msgpack.packb(1) * 2,
        "an extension": msgpack.packb(msgpack.ExtType(5, b"x")),
        "nothing": b"",
    }


class Gate:
    """A Sink that takes one item, and the others once a file is there."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.count = 0

    def run(self, item: Any) -> None:
        while not self.path.exists():
            time.sleep(0.01)
        self.count += 1

    def local_term(self) -> int:
        return self.count


def with_array(number: int) -> dict[str, Any]:
    return {"number": number, "array": np.full(7, number, np.float32)}


class Paused:
    """A Source that yields some numbers, and more once a file is there."""

    def __init__(self, path: Path, before: int, after: int) -> None:
        self.path = path
        self.counts = before, after

    def run(self) -> Iterator[int]:
        before, after = self.counts
        yield from range(before)
        while not self.path.exists():
            time.sleep(0.01)
        yield from range(before, before + after)
