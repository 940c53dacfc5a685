"""What a worker does around each call of its functor at an item, beside what every call needs.

What every call needs is in `calls`.  To add something: a `Hook`, and its place in `hooks_of`.
"""

from __future__ import annotations

from collections.abc import Sequence

from minipipe.process import seeds
from minipipe.protocol.delivery.paths import Outputs
from minipipe.worker.spec import WorkerSpec


class Hook:
    """What is done right before, or right after, each call of the functor at an item.

    Arguments are the identity of the item: the worker that numbered it, its number, by which
    outputs of forks it came.  For a Source: this worker, and the number that the item will have
    (the same once more, if the last one was None).  A second try of an item is a call, too; so is
    each time that a Regulator is asked for more.

    Runs in the functor's place: what it raises is the item's failure, and the service thread may
    serve meanwhile, so it leaves the node alone.  A method that is not overridden costs nothing.
    """

    def before(self, origin: int, number: int, path: Outputs) -> None:
        """The functor is about to be called."""

    def after(self, origin: int, number: int, path: Outputs) -> None:
        """The functor has returned, or raised."""


class SeedForItem(Hook):
    """Seeds for the item that the functor is called with; the same again at a second try."""

    def __init__(self, spec: WorkerSpec) -> None:
        self._names = spec.names

    def before(self, origin: int, number: int, path: Outputs) -> None:
        seeds.current().begin(self._names[origin], path, number)


class SeedForRegulator(SeedForItem):
    """Seeds for the item that is sent in, then for each further step that this leads to."""

    def before(self, origin: int, number: int, path: Outputs) -> None:
        seeds.current().begin_step(self._names[origin], path, number)


class SeedForSource(Hook):
    """Seeds for the item that the Source is asked for.

    By how many it was asked for before, not by the number that the item will have: a Source that
    gives None makes none of it, and would draw the same numbers once more, perhaps for ever.
    """

    def __init__(self, spec: WorkerSpec) -> None:
        self._name = spec.name
        self._asked = 0  # with the pass in it, as numbers have

    def before(self, origin: int, number: int, path: Outputs) -> None:
        # (A Source is never asked less often than it has given: only in a new pass, or where it
        # has gone past items by their position, is the number the higher one.)
        self._asked = max(self._asked, number)
        seeds.current().begin(self._name, (), self._asked)
        self._asked += 1


def hooks_of(spec: WorkerSpec) -> Sequence[Hook]:
    """The hooks of this worker, in the order in which they are called."""
    if spec.run_seed is None:
        return ()
    if spec.kind == "source":
        return (SeedForSource(spec),)
    return (SeedForRegulator(spec) if spec.kind == "regulator" else SeedForItem(spec),)
