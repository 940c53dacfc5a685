"""What the tests of scaling run in workers: apart, as a worker imports it."""

from __future__ import annotations

import time
from typing import Any

import numpy as np


class Loaded:
    """An object that stands for itself at each item, and says at the end what it has done."""

    def __init__(self) -> None:
        self.count = 0

    def run(self, x: Any) -> Any:
        self.count += 1
        time.sleep(0.0005)
        return x

    def local_term(self) -> int:
        return self.count


def briefly(x: Any) -> Any:
    time.sleep(0.001)
    return x


def slowly(x: Any) -> Any:
    time.sleep(0.008)
    return x


def uneven_ms(x: int) -> int:
    time.sleep(0.004 if x % 7 == 0 else 0.0005)
    return x


def not_thirds(x: int) -> int | None:
    time.sleep(0.001)
    return x if x % 3 else None


def to_array(x: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    time.sleep(0.0005)
    return np.full(20_000, x)  # large enough to lie in a slot


def of_array(a: np.ndarray[Any, np.dtype[np.int64]]) -> int:
    assert (a == a[0]).all()
    return int(a[0])


def passes_on(a: np.ndarray[Any, np.dtype[np.int64]]) -> np.ndarray[Any, np.dtype[np.int64]]:
    time.sleep(0.0005)
    return a
