"""Whether what a loader reads is the part of this rank of `torch.distributed`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import torch.distributed

from minipipe.pipeline.runnable import Runnable
from minipipe.process.logs import logger
from minipipe.protocol.sharing import Dealing


class Part(NamedTuple):
    """What is read of the data, as something declares it.

    Attributes:
        where: That, in words.
        rank: Whose part it is.
        world_size: Among so many.
    """

    where: str
    rank: int
    world_size: int


def parts_of(pline: Runnable) -> Iterator[Part]:
    """What the Sources of a pipeline read that have `shard=`."""
    for segment in pline.pipes:
        dealing = getattr(getattr(segment, "functor_obj", None), "dealing", None)
        if isinstance(dealing, Dealing):
            where = f"{type(segment).__name__} {segment.name!r}"
            yield Part(where, dealing.rank, dealing.world_size)


def part_of_sampler(sampler: Any) -> Iterator[Part]:
    """The same of a sampler that is like DistributedSampler."""
    rank, world_size = getattr(sampler, "rank", None), getattr(sampler, "num_replicas", None)
    if type(rank) is int and type(world_size) is int and world_size > 0:
        yield Part(f"the {type(sampler).__name__}", rank, world_size)


def disagreement(part: Part, rank: int, world_size: int) -> str | None:
    """What is wrong with a part that is read by this rank; None if it may be meant so.

    Several ranks may read one part, as those do that hold one model together.
    """
    said = f"{part.where} reads the part of rank {part.rank} of {part.world_size}"
    here = f"this is rank {rank} of {world_size} of torch.distributed"
    if world_size % part.world_size:
        return f"{said}, and {here}: some parts are read by more ranks than others, or by none"
    if world_size == part.world_size and rank != part.rank:
        return f"{said}, and {here}: if another one reads that, too, this one's is read by none"
    return None


_told: set[str] = set()


def warn_of_ranks(parts: Iterable[Part]) -> None:
    """Warns, once, of parts that are not this rank's, where there are ranks."""
    ranks: Any = torch.distributed
    if not ranks.is_available() or not ranks.is_initialized():
        return
    for part in parts:
        text = disagreement(part, ranks.get_rank(), ranks.get_world_size())
        if text is not None and text not in _told:
            _told.add(text)
            logger.warning("%s", text)
