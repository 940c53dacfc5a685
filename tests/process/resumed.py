"""Pipelines that are interrupted and gone on with; what their functors need."""

from __future__ import annotations

import json
import os
import random
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

import minipipe as mp

Make = Callable[[], mp.PipeLine]


def augment(x: Any) -> Any:
    """Draws from all generators that a seed is promised for."""
    return [x, float(mp.rng().random()), random.random(), float(np.random.random())]


def drops(x: Any) -> Any:
    return None if x[0] % 5 == 3 else x


def row(x: int) -> Any:
    return np.array([x, mp.rng().random()])


def name(file: tuple[str, bytes]) -> str:
    assert int(Path(file[0]).name) == file[1][0]
    return Path(file[0]).name


def drawn(count: int = 60) -> Iterator[int]:
    """Yields numbers in an order that it draws, some of them None; and it draws more at each."""
    order = random.sample(range(count), count)
    for i in order:
        yield None if i % 7 == 2 else 100 * i + random.randrange(100)  # type: ignore[misc]


def shares(worker: int, n_workers: int) -> Iterator[int]:
    yield from range(worker, 60, n_workers)


class Dataset:
    """A map-style dataset: leaves a file for each item that it is asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __len__(self) -> int:
        return 60

    def __getitem__(self, i: int) -> int:
        (self.folder / str(i)).touch()
        return i


class DiesAt:
    """A function that kills its worker at an item, each time that it is told to."""

    def __init__(self, at: int, folder: Path, deaths: int) -> None:
        self.at, self.folder, self.deaths = at, folder, deaths

    def __call__(self, x: Any) -> Any:
        if x[0] == self.at:
            for i in range(self.deaths):
                if not (self.folder / f"died{i}").exists():
                    (self.folder / f"died{i}").touch()
                    os.kill(os.getpid(), signal.SIGKILL)
        return x


class Adds:
    """Keeps state: what it gives depends on all that came before."""

    def __init__(self) -> None:
        self.sum = 0.0

    def run(self, x: Any) -> Any:
        self.sum += x[0] + x[1]
        return [self.sum, *x]


def key(item: Any) -> str:
    """An item as a text that says every bit of it."""
    return json.dumps(item, default=lambda array: [str(array.dtype), array.tolist()])


def interrupted(
    make: Make, stops: list[int], *, passes: int = 1, seed: int | None = 7
) -> list[list[str]]:
    """All that is delivered by pass, where a new pipeline goes on after each so many items.

    Each one is left in the middle; the next one has its state as a text only.
    """
    delivered: list[list[str]] = [[]]
    text = ""
    for stop in [*stops, None]:
        pline = make()
        if text:
            pline.load_state_dict(json.loads(text))
        pline.run(seed=seed)
        count = 0
        while len(delivered) <= passes:
            for item in pline:
                delivered[-1].append(key(item))
                count += 1
                if count == stop:
                    break
            else:
                delivered.append([])
                if not pline.persistent:
                    break
                continue
            break
        text = json.dumps(pline.state_dict())
        if pline.persistent:
            pline.close()
        if count != stop:
            break
    return delivered[:passes]


def whole(make: Make, *, passes: int = 1, seed: int | None = 7) -> list[list[str]]:
    """The same without an interruption."""
    return interrupted(make, [], passes=passes, seed=seed)
