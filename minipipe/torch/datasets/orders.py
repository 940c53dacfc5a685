"""What the loop asks of its workers, and what they answer.

Orders go by a socket of each worker's own, answers as items of the pipeline.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, NamedTuple

from minipipe.worker.pickled_functor import Extent


@dataclass(frozen=True)
class Begin:
    """A pass begins; what was asked for in earlier ones, and not begun, is not to be made.

    Attributes:
        pass_: Its number; never used twice.
        base_seed: What random numbers start from; None: they run on.
        restart: How often workers were replaced in this pass.
        loads: The dataset is to be loaded anew.
        data: Its pickle, if it does not lie in the memory whose descriptor comes with this.
        extents: Where in that memory its parts are.
        main: What makes a worker's `__main__` the script's.
    """

    pass_: int
    base_seed: int | None
    restart: int
    loads: bool
    data: bytes = b""
    extents: tuple[Extent, ...] = ()
    main: Mapping[str, str] | None = None


class Fetch(NamedTuple):
    """A batch is to be made.

    Attributes:
        number: That of the batch.
        index: What the sampler has given.
        is_skipped: It was delivered before; only an iterator has to go past it.
    """

    pass_: int
    number: int
    index: Any
    is_skipped: bool = False


class Rest(NamedTuple):
    """The pass is over, or was left."""

    pass_: int


Order = Begin | Fetch | Rest


class Kind(IntEnum):
    """What an answer brings."""

    BATCH = 0
    SKIPPED = 1
    ENDED = 2  # the worker's part of the dataset has
    FAILED = 3  # what the dataset, or the user's code, has raised
    UNLOADED = 4  # what was raised as the dataset was unpickled


class Answer(NamedTuple):
    """A worker's answer to a `Fetch`; it travels as a plain tuple."""

    pass_: int
    number: int
    worker: int
    kind: int
    content: Any
