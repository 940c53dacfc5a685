"""Items that are not arrays: lists of records, tensors."""

from __future__ import annotations

import importlib.util
import multiprocessing
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import minipipe as mp
from benchmarks.row import Row
from benchmarks.small_items import Clock, same

REPEATS = 5
RECORDS = 4_000
TENSORS = 2_000
TENSOR_BYTES = (12_288, 150_528, 602_112)


def lists(count: int) -> Iterator[list[dict[str, Any]]]:
    """Lists of 100 small dicts; made beforehand."""
    made = [{"id": i, "name": f"sample {i}", "weight": i / 7, "label": i % 10} for i in range(100)]
    for _ in range(count):
        yield made


def through(source: Callable[[], Iterator[Any]], count: int) -> float:
    """Items a second through three segments, from the first one on."""
    pline = mp.PipeLine([mp.Source(source), mp.Transform(same), mp.Sink(Clock(), "clock")])
    pline.build(log_lvl="WARNING")
    seen, took_s = pline.run().close()["clock"]
    assert seen == count
    return float((count - 1) / took_s)


def pools(source: Callable[[], Iterator[Any]], count: int) -> float:
    with multiprocessing.get_context("fork").Pool(1) as pool:
        results = pool.imap(same, source())
        next(results)
        began_s = time.monotonic()
        for _ in results:
            pass
        return (count - 1) / (time.monotonic() - began_s)


def records() -> list[Row]:
    """Beside Pool.imap."""

    def source() -> Iterator[Any]:
        return lists(RECORDS)

    pairs = [(through(source, RECORDS), pools(source, RECORDS)) for _ in range(REPEATS)]
    return [
        Row(
            "lists of 100 small dicts through three segments",
            f"{statistics.median(a for a, _ in pairs):,.0f} /s",
            f"Pool.imap {statistics.median(b for _, b in pairs):,.0f} /s",
            statistics.median(a / b for a, b in pairs),
            "x",
            1.5,
            3.0,
            larger_is_better=True,
        )
    ]


def tensors() -> list[Row]:
    """Tensors of torch beside the same numbers as NumPy arrays; none where torch is not there."""
    if importlib.util.find_spec("torch") is None:
        return []
    import torch

    table = []
    for size in TENSOR_BYTES:
        array = np.arange(size // 4, dtype=np.float32)

        def arrays(array: Any = array) -> Iterator[Any]:
            for _ in range(TENSORS):
                yield array.copy()

        def of_torch(array: Any = array) -> Iterator[Any]:
            for _ in range(TENSORS):
                yield torch.from_numpy(array.copy())

        pairs = [(through(of_torch, TENSORS), through(arrays, TENSORS)) for _ in range(REPEATS)]
        table.append(
            Row(
                f"torch.Tensor of {size / 1000:.0f} kB, one by one",
                f"{statistics.median(a for a, _ in pairs):,.0f} /s",
                f"as NumPy arrays {statistics.median(b for _, b in pairs):,.0f} /s",
                statistics.median(b / a for a, b in pairs),
                "x the time",
                1.2,
                None,
            )
        )
    return table


def rows() -> list[Row]:
    """Both."""
    return records() + tensors()
