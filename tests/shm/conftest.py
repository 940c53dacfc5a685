"""Processes that share slots."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator

import pytest

from minipipe.shm import SlotPool, SlotReader, supported
from tests.shm.harness import MIB, Neighbour, Scene


@pytest.fixture(autouse=True)
def only_where_supported() -> None:
    if not supported():
        pytest.skip("shared memory slots do not work here")


@pytest.fixture
def scene() -> Iterator[Scene]:
    made = Scene()
    yield made
    made.close()
    gc.collect()  # a failed assertion's traceback may be all that keeps a view


@pytest.fixture
def pool(scene: Scene) -> SlotPool:
    """A pool of 64 MiB."""
    assert scene.pool.limit_bytes == 64 * MIB
    return scene.pool


@pytest.fixture
def reader(scene: Scene) -> SlotReader:
    return scene.reader


@pytest.fixture
def neighbour_of() -> Iterator[Callable[[], Neighbour]]:
    """Makes other processes."""
    made: list[Neighbour] = []

    def make() -> Neighbour:
        made.append(Neighbour())
        return made[-1]

    yield make
    for neighbour in made:
        neighbour.close()


@pytest.fixture
def neighbour(neighbour_of: Callable[[], Neighbour]) -> Neighbour:
    return neighbour_of()
