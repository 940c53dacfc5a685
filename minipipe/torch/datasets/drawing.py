"""What a loader draws at random in the caller's process: the seed of its workers, and the order.

It is drawn at the moments and from the generators of DataLoader, so that the order is the same, and
so are the numbers that the script draws itself.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any, NamedTuple

import numpy as np
import torch


class Generators(NamedTuple):
    """The states that the order of a pass follows from, as they were when it began.

    They are plain values, which `torch.load(weights_only=True)` reads, too.

    Attributes:
        own: Of the loader's generator; None: it has none.
        torchs, pythons, numpys: Of the process's.
    """

    own: bytes | None
    torchs: bytes
    pythons: Any
    numpys: Any


def state_of(own: torch.Generator | None) -> bytes | None:
    """Returns the state of a loader's generator now."""
    return None if own is None else _bytes(own.get_state())


def generators(own: torch.Generator | None) -> Generators:
    """Returns the states of now."""
    name, key, *rest = np.random.get_state()
    numpys = (name, np.asarray(key, np.uint32).tobytes(), *rest)
    return Generators(state_of(own), _bytes(torch.get_rng_state()), random.getstate(), numpys)


def go_to(states: Generators, own: torch.Generator | None) -> None:
    """The generators go to these states."""
    set_state(own, states.own)
    torch.set_rng_state(_tensor(states.torchs))
    random.setstate(states.pythons)
    name, key, *rest = states.numpys
    np.random.set_state((name, np.frombuffer(key, np.uint32), *rest))


def check(states: Generators) -> None:
    """Sees that generators can go to these states.

    Raises:
        RuntimeError, TypeError, ValueError: They cannot.
    """
    for state in (states.own, states.torchs):
        set_state(torch.Generator(), state)
    random.Random().setstate(states.pythons)
    name, key, *rest = states.numpys
    np.random.RandomState().set_state((name, np.frombuffer(key, np.uint32), *rest))


def set_state(own: torch.Generator | None, state: bytes | None) -> None:
    """A loader's generator goes to this state, if it has one."""
    if own is not None and state is not None:
        own.set_state(_tensor(state))


@dataclass(frozen=True)
class Drawn:
    """What was drawn at the beginning of a pass.

    Attributes:
        base_seed: What the workers' seeds start from; None: it was not to be drawn.
        indices: What the sampler gives.
    """

    base_seed: int | None
    indices: Iterator[Any]


def draw(
    sampler: Iterable[Any], own: torch.Generator | None, *, draws_seed: bool, begins_again: bool
) -> Drawn:
    """Draws what DataLoader draws when an iterator of it is made.

    Args:
        draws_seed: The seed of workers is drawn.
        begins_again: The sampler is begun twice then, as DataLoader with workers does (a sampler
            may draw when it is begun).
    """
    indices = iter(sampler)
    if not draws_seed:
        return Drawn(None, indices)
    base_seed = int(torch.empty((), dtype=torch.int64).random_(generator=own).item())
    return Drawn(base_seed, iter(sampler) if begins_again else indices)


def draw_again(
    sampler: Iterable[Any],
    own: torch.Generator | None,
    began: Generators,
    count: int,
    *,
    draws_seed: bool,
    begins_again: bool,
) -> tuple[Drawn, list[Any]]:
    """Draws as `draw` did when the generators were in those states, and `count` indices.

    The process's own generators are then as before; the loader's runs on from there.

    Returns:
        What was drawn, with the indices that follow; and the first `count`, or all there are.
    """
    now = generators(None)
    go_to(began, own)
    try:
        drawn = draw(sampler, own, draws_seed=draws_seed, begins_again=begins_again)
        first = list(islice(drawn.indices, count))
    finally:
        go_to(now, None)
    return drawn, first


def after(first: Iterable[Any], then: Iterator[Any]) -> Iterator[Any]:
    """Returns an iterator over both, which may be asked again at its end."""
    return chain(first, then)


def _bytes(state: torch.Tensor) -> bytes:
    return bytes(state.numpy().tobytes())


def _tensor(state: bytes) -> torch.Tensor:
    return torch.frombuffer(bytearray(state), dtype=torch.uint8)
