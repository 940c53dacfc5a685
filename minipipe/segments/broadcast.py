"""`Broadcast`: several branches, each of which gets every item."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from minipipe.errors import BuildError, reject_unknown
from minipipe.segments.segment import Segment


class Broadcast:
    """Every branch gets every item once, in order, whatever the speed of the others.

    A branch is a segment or a list of them; the workers of a segment share its items.  What the
    branches put out goes, merged, to the segment that is added next.

        mp.Broadcast([mp.Sink(a), [mp.Transform(b), mp.Sink(c)]])
        mp.Broadcast({f"lr={lr}": mp.Sink(Trainer(lr), "Train") for lr in (0.1, 0.01)})

    Args:
        branches: a list of branches, or a dict of them, whose keys prefix the names of their
            segments (`lr=0.1/Train`).

    Raises:
        BuildError: there is no branch, or something in one that cannot be there.
    """

    def __init__(self, branches: Any, **unknown: Any) -> None:
        reject_unknown(unknown, ("branches",), "Broadcast")
        if isinstance(branches, Mapping):
            named = [(str(key), branch) for key, branch in branches.items()]
        elif isinstance(branches, Iterable):
            named = [("", branch) for branch in branches]
        else:
            raise BuildError(f"mp.Broadcast takes a list or a dict of branches, got {branches!r}")
        if not named:
            raise BuildError("mp.Broadcast has no branches: nobody would get the items")
        self.branches: tuple[tuple[str, tuple[Segment | Broadcast, ...]], ...] = tuple(
            (key, _branch(branch, f"branch {key!r}" if key else f"branch {i}"))
            for i, (key, branch) in enumerate(named)
        )

    @property
    def where(self) -> str:
        """How errors call it."""
        return f"Broadcast of {len(self.branches)} branches"

    def __repr__(self) -> str:
        branches = [" -> ".join(repr(part) for part in branch) for _, branch in self.branches]
        return f"<Broadcast: {'; '.join(branches)}>"


def _branch(branch: Any, where: str) -> tuple[Segment | Broadcast, ...]:
    parts = (branch,) if isinstance(branch, Segment | Broadcast) else branch
    if isinstance(parts, str) or not isinstance(parts, Iterable):
        raise BuildError(f"{where} of mp.Broadcast is a segment or a list of them, got {branch!r}")
    parts = tuple(parts)
    if not parts:
        raise BuildError(f"{where} of mp.Broadcast is empty: put a segment in it, or leave it out")
    for i, part in enumerate(parts):
        if isinstance(part, type) and issubclass(part, Segment):
            raise BuildError(
                f"{where} of mp.Broadcast has the class {part.__name__} in it: "
                f"write mp.{part.__name__}(...)"
            )
        if not isinstance(part, Segment | Broadcast):
            raise BuildError(f"{where} of mp.Broadcast is made of segments, got {part!r} in it")
        if isinstance(part, Segment) and part.kind == "source":
            raise BuildError(f"{where} of mp.Broadcast has {part.where} in it: items come from it")
        if i and isinstance(parts[i - 1], Segment) and parts[i - 1].kind == "sink":
            raise BuildError(
                f"{part.where} of {where} comes after {parts[i - 1].where}, which ends the branch"
            )
    return parts
