"""The codec alone, in one process, beside `pickle.dumps` and `pickle.loads` with protocol 5.

Items go as between two workers of one machine: many small ones share a parcel, large arrays lie in
slots. As these are in the other process then, pickle sends what it is compared with there through a
socket. `python -m benchmarks.codec` prints what each kind costs in parcels and alone in one.
"""

from __future__ import annotations

import datetime
import gc
import pickle
import socket
import statistics
import time
import uuid
from collections import namedtuple
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.row import Row
from minipipe.codec import ATOMS, Borrower, Decoder, Encoder, Lender, LocalEncoder
from minipipe.shm import SlotPool, SlotReader

ROUNDS = 9
ROUND_S = 0.01
PARCEL_BYTES = 256 * 1024  # as `minipipe.stream.outlet` has it
PARCEL_ITEMS = 64
POOL_BYTES = 64 << 20
LARGE = ("of 150 kB", "150 kB array")  # how the kinds are called that lie in slots

Point = namedtuple("Point", "x y")


@dataclass
class Sample:
    data: Any
    label: int = 0


@dataclass(slots=True)
class Slotted:
    data: Any
    label: int = 0


class Plain:
    def __init__(self, data: Any) -> None:
        self.data = data


class Reduced:
    def __init__(self, data: Any) -> None:
        self.data = data

    def __reduce__(self) -> tuple[Any, ...]:
        return Reduced, (self.data,)


def kinds() -> dict[str, Any]:
    """An item of each kind."""
    small = np.arange(750, dtype=np.float32)
    large = np.arange(150_000, dtype=np.uint8)
    text = "a sentence of a text, as it stands in a line of a file"
    items: dict[str, Any] = {
        "an int": 12345,
        "a float": 0.5,
        "a str of 50 characters": text,
        "bytes of 100 B": bytes(100),
        "bytes of 10 kB": bytes(10_000),
        "bytes of 1 MB": bytes(1_000_000),
        "a dict of 5 numbers and texts": {"id": 1, "x": 0.5, "y": 1.5, "name": text, "ok": True},
        "a tuple of 3 numbers": (1, 2.5, 3),
        "a list of 1000 floats": [0.1 * i for i in range(1000)],
        "a list of 1000 str": [f"word {i}" for i in range(1000)],
        "a set of 10 int": set(range(10)),
        "an array of 100 B": np.arange(25, dtype=np.float32),
        "an array of 3 kB": small,
        "an array of 150 kB": large,
        "a structured array of 2.4 kB": np.zeros(100, [("a", "f8"), ("b", "i8"), ("c", "f8")]),
        "an object array of 100 str": np.array([f"word {i}" for i in range(100)], object),
        "a scalar of NumPy": np.float32(0.5),
        "a tuple of a 3 kB array and a label": (small, 3),
        "a tuple of 10 kB of bytes and a label": (bytes(10_000), 3),
        "a dict with a 3 kB array": {"image": small, "label": 3},
        "a dict with a 150 kB array": {"image": large, "label": 3},
        "a list of 32 arrays of 3 kB": [small + i for i in range(32)],
        "a dataclass with a 3 kB array": Sample(small, 3),
        "a dataclass with slots": Slotted(text, 3),
        "a namedtuple": Point(1.5, text),
        "an object of a class": Plain([1, 2, 3]),
        "an object with __reduce__": Reduced([1, 2, 3]),
        "a list of 100 small dicts": [{"id": i, "x": 0.5, "name": f"n{i}"} for i in range(100)],
        "a list of 100 dataclasses": [Sample(f"n{i}", i) for i in range(100)],
        "a list of 100 namedtuples": [Point(f"n{i}", i) for i in range(100)],
        "nested dicts": {f"a{i}": {f"b{j}": {"c": [i, j]} for j in range(4)} for i in range(4)},
        "a datetime": datetime.datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=datetime.UTC),
        "a Path": Path("/data/images/0/1.png"),
        "a Decimal and a UUID": (Decimal("1.5"), uuid.UUID(int=7)),
    }
    try:
        import pandas
    except ImportError:
        pass
    else:
        columns = {"a": np.arange(100), "b": np.arange(100) / 2, "c": ["x", "y"] * 50}
        items["a pandas frame of 100 rows"] = pandas.DataFrame(columns)
    try:
        import torch
    except ImportError:
        pass
    else:
        items["a tensor of 3 kB"] = torch.arange(750, dtype=torch.float32)
        items["a tensor of 150 kB"] = torch.zeros(150_000, dtype=torch.uint8)
        items["a dict with a 3 kB tensor"] = {"image": torch.arange(750.0), "label": 3}
    return items


class Trip:
    """Items to a parcel and back, as one worker sends and another one takes them."""

    def __init__(self, encoder: Callable[[Lender], Encoder]) -> None:
        self._pool = SlotPool(POOL_BYTES)
        self._reader = SlotReader()
        lender = Lender(self._pool)
        self._encoder = encoder(lender)
        self._encoder.exclusive = True
        self._decoder = Decoder(borrower=Borrower(self._reader))

    def __call__(self, items: Sequence[Any]) -> list[Any]:
        """The items, as they arrive."""
        encoder, decoder = self._encoder, self._decoder
        snapshot = encoder.snapshot
        tokens = [item if type(item) in ATOMS else snapshot(item)[0] for item in items]
        parcel = encoder.encode(tokens)
        for token, blob in parcel.classes.items():
            decoder.define(token, blob)
        found = decoder.decode(parcel.body, parcel.frames)
        parcel.release()
        return found

    def close(self) -> None:
        """Gives its memory back."""
        self._reader.close()
        self._pool.close()


def local(lender: Lender) -> Encoder:
    """What workers of one machine send with."""
    return LocalEncoder(lender=lender)


def native(lender: Lender) -> Encoder:
    """What would be sent to another machine, but that large arrays lie in slots."""
    return Encoder(lender=lender)


def pickled(item: Any) -> Any:
    """The peer."""
    return pickle.loads(pickle.dumps(item, 5))


class Socket:
    """Both ends of one, with room for what is sent."""

    def __init__(self) -> None:
        self._ends = socket.socketpair()

    def __call__(self, item: Any) -> Any:
        """The peer of what lies in slots."""
        here, there = self._ends
        data = pickle.dumps(item, 5)
        here.sendall(data)
        received = memoryview(bytearray(len(data)))
        at = 0
        while at < len(received):
            at += there.recv_into(received[at:])
        return pickle.loads(received)

    def close(self) -> None:
        """Closes both."""
        for end in self._ends:
            end.close()


def in_parcel(item: Any) -> int:
    """How many of an item share a parcel."""
    return max(1, min(PARCEL_ITEMS, PARCEL_BYTES // len(pickle.dumps(item, 5))))


def costs(calls: Sequence[Callable[[], Any]]) -> list[list[float]]:
    """The microseconds of a call of each, measured in turn, ROUNDS times."""
    counts = []
    for call in calls:
        call()
        began_s = time.process_time()
        call()
        counts.append(max(1, int(ROUND_S / (time.process_time() - began_s))))
    found: list[list[float]] = [[] for _ in calls]
    for _ in range(ROUNDS):
        for call, count, each in zip(calls, counts, found, strict=True):
            began_s = time.process_time()
            for _ in range(count):
                call()
            each.append((time.process_time() - began_s) / count * 1e6)
    return found


def measured(
    item: Any, trip: Trip, count: int, peer: Callable[[Any], Any] = pickled
) -> tuple[float, float, float]:
    """Microseconds an item: ours, pickle's, and the median of their ratios."""
    gc.collect()
    gc.freeze()  # a look at all that torch has made would be longer than what is measured
    items = [item] * count
    ours, peers = costs([lambda: trip(items), lambda: [peer(each) for each in items]])
    ratios = [a / b for a, b in zip(ours, peers, strict=True)]
    return min(ours) / count, min(peers) / count, statistics.median(ratios)


def rows() -> list[Row]:
    """What each kind costs in parcels."""
    table = []
    through_socket = Socket()
    for name, item in kinds().items():
        trip = Trip(local)
        in_slots = name.endswith(LARGE)
        peer = through_socket if in_slots else pickled
        ours_us, peers_us, ratio = measured(item, trip, in_parcel(item), peer)
        table.append(
            Row(
                f"encode and decode {name}",
                f"{ours_us:.2f} us",
                f"pickle 5{' and a socket' if in_slots else ''} {peers_us:.2f} us",
                ratio,
                "x",
                1.1,
                None,
            )
        )
        trip.close()
    through_socket.close()
    return table


def main() -> None:
    """Prints a table, with the form for other machines, and of items alone in a parcel."""
    print("| us | pickle 5 | in parcels | | for other machines | | alone | |")
    print("|---|---|---|---|---|---|---|---|")
    through_socket = Socket()
    for name, item in kinds().items():
        locals_, natives = Trip(local), Trip(native)
        peer = through_socket if name.endswith(LARGE) else pickled
        ours_us, peers_us, ratio = measured(item, locals_, in_parcel(item), peer)
        native_us, _, native_ratio = measured(item, natives, in_parcel(item), peer)
        alone_us, _, alone_ratio = measured(item, locals_, 1, peer)
        print(
            f"| {name} | {peers_us:.2f} | {ours_us:.2f} | {ratio:.2f} "
            f"| {native_us:.2f} | {native_ratio:.2f} | {alone_us:.2f} | {alone_ratio:.2f} |"
        )
        locals_.close()
        natives.close()
    through_socket.close()


if __name__ == "__main__":
    main()
