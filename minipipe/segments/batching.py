"""What a Transform with `batch=` is declared to make of what its functor gives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from minipipe.errors import OptionError
from minipipe.protocol.frozen import frozen
from minipipe.segments.options import check_count, check_flag

Collate: TypeAlias = Callable[[list[Any]], Any]


@frozen
class Batching:
    """Batches of what a functor gives for the items that are dealt out together.

    Attributes:
        size: how many items are.
        drops_last: whether fewer, at the end of the stream, are left out.
        collate: makes the batch, of a list of samples; None: as `mp.Batch` does.
    """

    size: int
    drops_last: bool = False
    collate: Collate | None = None

    def batches(self, count: int) -> int:
        """How many batches so many items make."""
        return count // self.size if self.drops_last else -(-count // self.size)


def batching_of(
    batch: object, collate: Collate | None, drop_last: object, where: str
) -> Batching | None:
    """What these options of a Transform come to; None if it makes no batches.

    Raises:
        OptionError: one of them is impossible, or there is no `batch` that it could be for.
    """
    if collate is not None and not callable(collate):
        raise OptionError(
            f"collate of {where} is a function of the list of samples, got {collate!r}"
        )
    drops_last = check_flag(drop_last, "drop_last", where)
    if batch is None:
        for option, given in (("collate", collate is not None), ("drop_last", drops_last)):
            if given:
                raise OptionError(
                    f"{option} of {where} is for its batches, and it makes none: give batch= too"
                )
        return None
    return Batching(check_count(batch, "batch (items in a batch)", where, 1), drops_last, collate)
