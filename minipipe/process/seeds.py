"""What random choices in this process start from: the worker's seed, or that of the item.

It stands apart from the worker, which sets it, so that segments can ask for it without knowing
what a worker is.
"""

from __future__ import annotations

import os
import threading

import numpy as np

from minipipe.process.generators import Generators
from minipipe.protocol.delivery.numbering import pass_of, place_of
from minipipe.protocol.delivery.paths import Outputs
from minipipe.protocol.item_seeds import (
    FIRST_PASS,
    FOR_LIBRARIES,
    FOR_RNG,
    START,
    ItemSeeds,
    SegmentSeeds,
    in_pass,
    more,
)


class Randomness:
    """What the random choices of one worker start from.

    Attributes:
        seed: the worker's; None: there is no worker, and the operating system's entropy serves.
        pass_: that it is at.
    """

    def __init__(self, seed: int | None) -> None:
        self.seed = seed
        self.pass_ = FIRST_PASS
        self._rng: np.random.Generator | None = None

    @property
    def rng(self) -> np.random.Generator:
        """The generator for new code, made when it is first asked for."""
        if self._rng is None:
            self._rng = np.random.default_rng(self._entropy)
        return self._rng

    @property
    def _entropy(self) -> int | None:
        return self.seed

    @property
    def seed_of_libraries(self) -> int | None:
        """What the generators of a library start from that is imported just now."""
        return self.seed

    def begin(self, origin: str, path: Outputs, number: int) -> None:
        """The functor is about to be called with this item.

        Args:
            origin: the name of the worker that has numbered it.
            path: by which outputs it came from there.
        """

    def begin_step(self, origin: str, path: Outputs, number: int) -> None:
        """The same of a Regulator, which may have had this very item before: it goes on then."""

    def begin_outside(self, occasion: str) -> None:
        """The functor is about to be called without an item, as of `protocol.item_seeds`."""

    def begin_pass(self, pass_: int) -> None:
        """What is begun outside of items is of this pass from now on; an item says its own."""
        self.pass_ = pass_

    def begin_more(self) -> None:
        """The functor is about to go on with what it was called with."""

    def of_worker(self, index: int) -> Randomness:
        """That of another worker of its segment."""
        return self

    def of_thread(self, index: int) -> Randomness:
        """That of one of several threads that call the functor."""
        return Randomness(None if self.seed is None else (self.seed << 8) + index)

    def forget(self) -> None:
        """The next `rng` is another generator."""
        self._rng = None


class RandomnessByItem(Randomness):
    """The same in a run with a seed, where each item has seeds of its own.

    Args:
        segment: the seeds of the worker's segment.
        index: the worker's, within it.
        generators: of this process; None: they are not seeded, as several threads share them.
    """

    def __init__(self, segment: SegmentSeeds, index: int, generators: Generators | None) -> None:
        super().__init__(segment.of_worker(index))
        self._segment = segment  # of this pass
        self._index = index
        self._generators = generators
        self._origin: tuple[str, Outputs] | None = None
        self._items: ItemSeeds | None = None  # of that
        self._number: int | None = None  # of the item
        self._first = self._digest = segment.outside(index, START)
        self._steps = 0  # since the first

    def begin(self, origin: str, path: Outputs, number: int) -> None:
        """All generators are seeded for the item."""
        if pass_of(number) != self.pass_:
            self.begin_pass(pass_of(number))
        if self._items is None or (origin, path) != self._origin:
            self._origin = (origin, path)
            self._items = self._segment.items(origin, path)
        self._number = number
        self._begin(self._items.at(place_of(number)))

    def begin_step(self, origin: str, path: Outputs, number: int) -> None:
        if number == self._number and (origin, path) == self._origin:
            self.begin_more()
        else:
            self.begin(origin, path, number)

    def begin_pass(self, pass_: int) -> None:
        self.pass_, self._segment = pass_, self._segment.in_pass(pass_)
        self._items = None

    def begin_outside(self, occasion: str) -> None:
        """All generators are seeded for that."""
        self._number = None
        self._begin(self._segment.outside(self._index, occasion))

    def begin_more(self) -> None:
        """All generators are seeded for the next step.

        (They would run on by themselves; but inline others use them in between.)
        """
        self._steps += 1
        self._seed(more(self._first, self._steps))

    def of_worker(self, index: int) -> Randomness:
        other = RandomnessByItem(self._segment.in_pass(FIRST_PASS), index, self._generators)
        other.begin_pass(self.pass_)
        return other

    def of_thread(self, index: int) -> Randomness:
        return RandomnessByItem(self._segment, self._index, None)

    def _begin(self, digest: bytes) -> None:
        self._first, self._steps = digest, 0
        self._rng = None
        self._seed(digest)

    def _seed(self, digest: bytes) -> None:
        self._digest = digest
        if self._generators is not None:
            self._generators.seed(digest)

    @property
    def _entropy(self) -> int:
        return int.from_bytes(self._digest[FOR_RNG], "little")

    @property
    def seed_of_libraries(self) -> int:
        return int.from_bytes(self._digest[FOR_LIBRARIES], "little")


_nobodys = Randomness(None)
if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    # Else the child would draw the same numbers.
    os.register_at_fork(after_in_child=_nobodys.forget)
_current = _nobodys
_of_thread = threading.local()


def use(randomness: Randomness | None) -> None:
    """This is in use from now on; None: what there is outside of a worker."""
    global _current
    _current = _nobodys if randomness is None else randomness


def use_in_thread(randomness: Randomness) -> None:
    """This is in use in the current thread, whatever others use."""
    _of_thread.randomness = randomness


def current() -> Randomness:
    """What is in use."""
    found: Randomness = getattr(_of_thread, "randomness", _current)
    return found


def seed_of_pass(given: int | None) -> int | None:
    """What a generator of a functor's own starts from in this pass.

    Args:
        given: the seed that its user has given; None: it is the worker's.

    Returns:
        None outside of a worker, if none was given: the operating system's entropy is to serve.
    """
    randomness = current()
    seed = randomness.seed if given is None else given
    return None if seed is None else in_pass(seed, randomness.pass_)


def rng() -> np.random.Generator:
    """A NumPy generator for what a functor draws at random.

        def augment(image):
            rng = mp.rng()
            return image[:, ::-1] if rng.random() < 0.5 else image

    In a run with a seed, `run(seed=7)`, it is the item's: made at the first call while the functor
    has that item, in the same state in whichever worker that is, also inline.  So ask for it at
    each item anew.  In a run without a seed it is the worker's, and runs on from item to item;
    outside of a run (a test that calls a functor, the loop over a pipeline) it is the process's,
    and begins with what the operating system gives.
    """
    return current().rng
