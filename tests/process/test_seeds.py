"""The generators of a process: seeded for an item, in place; `mp.rng()`."""

from __future__ import annotations

import ctypes
import os
import random
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import minipipe as mp
from minipipe.codec.registry import LibraryGenerators
from minipipe.process import seeds
from minipipe.process.generators import (
    Generators,
    NumPyByItsOwnMeans,
    NumPyInPlace,
    numpy_seeding,
)
from minipipe.protocol.item_seeds import END, SegmentSeeds

SEEDS = SegmentSeeds(7, 0, "augment")


@pytest.fixture
def in_use() -> Iterator[seeds.RandomnessByItem]:
    made = seeds.RandomnessByItem(SEEDS, 0, Generators(LibraryGenerators().seed))
    seeds.use(made)
    yield made
    seeds.use(None)


def bit_generator() -> np.random.MT19937:
    return np.random.mtrand.get_bit_generator()


def numpy_draws() -> list[float]:
    """Draws of several kinds, also beyond what one key holds."""
    plain = np.random.random(700).tolist()
    return [*plain, np.random.normal(), np.random.normal(), float(np.random.randint(10**6))]


@pytest.mark.parametrize("normals", range(3))
@pytest.mark.parametrize("number", [0, 1, 2**40])
def test_numpys_generator_is_seeded_in_place_as_by_its_own_means(number: int, normals: int) -> None:
    seed = SEEDS.items("load", ()).at(number)[:24]
    np.random.normal(size=normals)  # after an odd number, the second of a pair is kept
    in_place = NumPyInPlace(bit_generator())
    assert in_place.fits
    in_place.seed(seed)
    assert bit_generator().state["state"]["pos"] == 0
    first = [np.random.normal(), *numpy_draws()]
    np.random.normal(size=normals)
    NumPyByItsOwnMeans().seed(seed)
    assert [np.random.normal(), *numpy_draws()] == first


def test_what_is_drawn_stays_what_it_is(in_use: seeds.RandomnessByItem) -> None:
    in_use.begin("load", (), 3)
    assert random.getrandbits(32) == 3865823875
    assert bit_generator().state["state"]["key"][:2].tolist() == [2864098034, 1967531759]


def test_memory_that_is_laid_out_otherwise_is_not_written_to() -> None:
    words = (ctypes.c_uint32 * 625)()
    other: Any = SimpleNamespace(
        ctypes=SimpleNamespace(state_address=ctypes.addressof(words)), state=bit_generator().state
    )
    assert not NumPyInPlace(other).fits


def test_another_generator_behind_numpys_functions_is_left_alone() -> None:
    before = bit_generator()
    np.random.set_bit_generator(np.random.PCG64(5))
    try:
        numpy_seeding()(bytes(24))
        drawn = np.random.random()
    finally:
        np.random.set_bit_generator(before)
    assert drawn == np.random.Generator(np.random.PCG64(5)).random()


def test_torchs_default_generator_is_seeded() -> None:
    torch = pytest.importorskip("torch")
    generators = Generators(LibraryGenerators().seed)
    drawn = []
    for number in (1, 2, 1):
        generators.seed(SEEDS.items("load", ()).at(number))
        drawn.append(torch.rand(3).tolist())
    assert drawn[0] == drawn[2] != drawn[1]


# ---------------------------------------------------------------- mp.rng()


def test_the_rng_of_an_item_is_made_once_and_is_its_own(in_use: seeds.RandomnessByItem) -> None:
    in_use.begin("load", (), 1)
    kept = mp.rng()
    first = mp.rng().random(3).tolist()
    assert mp.rng() is kept
    in_use.begin("load", (), 2)
    assert mp.rng() is not kept
    second = mp.rng().random(3).tolist()
    in_use.begin("load", (1,), 1)
    third = mp.rng().random(3).tolist()
    in_use.begin("load", (), 1)
    assert mp.rng().random(3).tolist() == first
    assert first != second != third != first


def test_a_further_step_at_an_item_keeps_its_rng_and_seeds_the_others_anew(
    in_use: seeds.RandomnessByItem,
) -> None:
    drawn = []
    for _ in range(2):
        in_use.begin("load", (), 1)
        rng = mp.rng()
        drawn.append(random.random())
        in_use.begin_more()
        assert mp.rng() is rng
        drawn.append(random.random())
        in_use.begin_more()
        drawn.append(random.random())
    assert drawn[:3] == drawn[3:]
    assert len(set(drawn)) == 3


def test_outside_of_items_the_rng_is_that_of_the_occasion(in_use: seeds.RandomnessByItem) -> None:
    at_start = mp.rng().random()
    in_use.begin("load", (), 1)
    in_use.begin_outside(END)
    assert mp.rng().random() != at_start
    other = in_use.of_worker(1)
    assert (other.rng.random(), other.seed) != (at_start, in_use.seed)
    assert in_use.of_worker(0).rng.random() == at_start


def test_without_a_seed_the_rng_is_the_workers_and_runs_on() -> None:
    seeds.use(seeds.Randomness(5))
    try:
        seeds.current().begin("load", (), 1)
        first = mp.rng()
        drawn = [first.random()]
        seeds.current().begin("load", (), 1)
        drawn.append(mp.rng().random())
        assert mp.rng() is first
    finally:
        seeds.use(None)
    assert drawn == np.random.default_rng(5).random(2).tolist()


def test_outside_of_a_run_the_rng_is_the_processs() -> None:
    assert mp.rng() is mp.rng()
    assert 0 <= mp.rng().random() < 1
    read, write = os.pipe()
    child = os.fork()
    if not child:
        os.write(write, repr(mp.rng().random(4).tolist()).encode())
        os._exit(0)
    os.waitpid(child, 0)
    os.close(write)
    assert os.read(read, 999).decode() != repr(mp.rng().random(4).tolist())
    os.close(read)
