"""The global random generators of a process: `random`'s, NumPy's and those of libraries, seeded
for an item in a few microseconds."""

from __future__ import annotations

import ctypes
import random
from collections.abc import Callable

import numpy as np

from minipipe.protocol.item_seeds import FOR_LIBRARIES, FOR_NUMPY, FOR_RANDOM

_WORDS = 624  # of 32 bits: the key of an MT19937


class Generators:
    """Seeds all of them from the digest of an item.

    Args:
        seed_libraries: seeds the generators of what is imported beside.
    """

    def __init__(self, seed_libraries: Callable[[int], None]) -> None:
        self._seed_libraries = seed_libraries
        self._seed_numpy = numpy_seeding()

    def seed(self, digest: bytes) -> None:
        """Every draw from now on follows from the digest alone."""
        random.seed(int.from_bytes(digest[FOR_RANDOM], "little"))
        self._seed_numpy(digest[FOR_NUMPY])
        self._seed_libraries(int.from_bytes(digest[FOR_LIBRARIES], "little"))


class NumPyByItsOwnMeans:
    """NumPy's global generator, seeded by what NumPy has for that.

    Its key is drawn from an SFC64 whose state is the seed: so each item has 192 bits of its own
    (`np.random.seed` takes 32, and among 100,000 items two would then be alike).
    """

    def __init__(self) -> None:
        self._source = np.random.SFC64(0)

    def seed(self, seed: bytes) -> None:
        """Its state follows from these 24 bytes alone."""
        state = self._source.state
        state["state"]["state"][:] = [*np.frombuffer(seed, np.uint64), 1]
        self._source.state = state
        key = self._source.random_raw(_WORDS // 2).view(np.uint32)
        # At position 0 the key itself is what is drawn first: it need not be stirred.
        np.random.set_state(("MT19937", key, 0, 0, 0.0))


class NumPyInPlace(NumPyByItsOwnMeans):
    """The same state, written into the generator's memory: 2 us instead of 80.

    Args:
        generator: the bit generator behind `np.random`.
    """

    def __init__(self, generator: np.random.MT19937) -> None:
        super().__init__()
        self._kept = generator  # the memory is its
        address = generator.ctypes.state_address
        words = (ctypes.c_uint32 * (_WORDS + 1)).from_address(address)
        self._words = words
        self._key = np.frombuffer(memoryview(words), np.uint64, _WORDS // 2)
        self._draws = (ctypes.c_uint64 * 4).from_address(self._source.ctypes.state_address)
        self._seed_of_source = memoryview(self._draws).cast("B")[:24]

    @property
    def fits(self) -> bool:
        """Whether the memory holds what it is taken for, which another NumPy might change."""
        stated = self._kept.state["state"]
        words = [*stated["key"].tolist(), stated["pos"]]
        draws = self._source.state["state"]["state"].tolist()
        return words == list(self._words) and draws == list(self._draws)

    def seed(self, seed: bytes) -> None:
        words = self._words
        self._seed_of_source[:] = seed
        self._draws[3] = 1
        self._key[:] = self._source.random_raw(_WORDS // 2)
        words[_WORDS] = 0
        # Normal numbers are made in pairs.  If the second of one is still kept, the first call
        # takes that, and nothing is drawn; else a pair is made, and the second call takes it.
        np.random.standard_normal()
        if words[_WORDS]:
            np.random.standard_normal()
            words[_WORDS] = 0


def numpy_seeding() -> Callable[[bytes], None]:
    """What seeds NumPy's global generator in this process, from 24 bytes.

    It does nothing where `np.random.set_bit_generator` has set one of another kind.
    """
    generator = np.random.mtrand.get_bit_generator()
    if not isinstance(generator, np.random.MT19937):
        return lambda seed: None
    in_place = NumPyInPlace(generator)
    return in_place.seed if in_place.fits else NumPyByItsOwnMeans().seed
