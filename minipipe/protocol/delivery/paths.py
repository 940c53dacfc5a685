"""Paths: which of the outputs of a forking worker a leaf of an item is.

A path is () and grows by one step at each fork: (output, mask), the mask being all outputs
that the worker sent of that result.  Whether an item is settled as a whole follows from the
set of its settled paths alone, because each one carries the masks that were promised.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

Step = tuple[int, tuple[int, ...]]  # output, mask: all outputs sent of that result
Path = tuple[Step, ...]

ROOT: Final[Path] = ()
Outputs = tuple[int, ...]
Leaf = tuple[int, int, Outputs]  # an identity: the worker that numbered the item, number, outputs


def outputs(path: Path) -> Outputs:
    """The outputs alone: what two paths are compared by."""
    return tuple(step[0] for step in path) if path else ()


def some_path(outputs: Outputs) -> Path:
    """A path by these outputs, to compare others with."""
    return tuple((output, ()) for output in outputs)


def under(path: Path, settled: Iterable[Path]) -> frozenset[Path]:
    """Those of `settled` that extend `path`."""
    key = outputs(path)
    n = len(key)
    return frozenset(q for q in settled if len(q) > n and outputs(q)[:n] == key)


def promised_mask(path: Path, settled: Iterable[Path]) -> tuple[int, ...] | None:
    """The mask at `path` that an earlier attempt promised, if there was one: it stays."""
    longer = under(path, settled)
    return min(longer)[len(path)][1] if longer else None


def complete(path: Path, settled: Iterable[Path]) -> bool:
    """Whether nothing of `path` is outstanding any more."""
    settled = frozenset(settled)
    key = outputs(path)
    if any(outputs(q) == key for q in settled):
        return True
    mask = promised_mask(path, settled)
    if mask is None:
        return False
    below = under(path, settled)
    return all(complete((*path, (output, mask)), below) for output in mask)


def is_done(path: Path, settled: Iterable[Path]) -> bool:
    """Whether `path`, or what it is a part of, has nothing outstanding any more."""
    settled = frozenset(settled)
    return any(complete(path[:length], settled) for length in range(len(path) + 1))
