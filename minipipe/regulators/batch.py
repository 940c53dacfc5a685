"""`Batch`: n samples become one batch."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any

from minipipe.errors import OptionError
from minipipe.regulators.collate import collate as default_collate
from minipipe.segments.kinds import Regulator
from minipipe.segments.markers import EndOfStream
from minipipe.segments.options import check_count, check_flag


class Batch(Regulator):
    """Makes one batch of every n samples; each of its workers makes batches of what it gets.

    Samples are alike: nested dicts, tuples, namedtuples, lists and dataclasses of arrays,
    numbers, bools and texts.  A batch has their form, with dtype[batch, ...] in the place of an
    array dtype[...], and a list in the place of a text (`minipipe.regulators.collate` has it all).

        images: uint8[28, 28], label: int  ->  images: uint8[n, 28, 28], label: int64[n]

        pline.add(mp.Batch(32))

    A CollateError that `ignore_exceptions` names skips the whole batch.

    Args:
        n: samples in a batch.
        drop_last: whether a shorter batch at the end of the stream is left out.
        collate: makes the batch, of a list of 1 to n samples (default: as above).  If it gives
            None, nothing is passed on.
        name, **options: those of a Regulator.

    Raises:
        OptionError: an option that does not exist, or with an impossible value.
        CollateError: (in the worker) samples that are not alike, or have None in them.
    """

    options = (*Regulator.options, "n", "drop_last", "collate")

    def __init__(
        self,
        n: int,
        drop_last: bool = False,
        collate: Callable[[list[Any]], Any] | None = None,
        name: str = "Batch",
        **options: Any,
    ) -> None:
        where = f"{type(self).__name__} {name!r}"
        check_count(n, "n (samples in a batch)", where, 1)
        check_flag(drop_last, "drop_last", where)
        if collate is not None and not callable(collate):
            raise OptionError(
                f"collate of {where} is a function of the list of samples, got {collate!r}"
            )
        super().__init__(Batching(n, drop_last, collate), name, **options)
        self.read_only_functor = collate is None


@dataclass
class Batching:
    """The functor of a Batch."""

    n: int
    drop_last: bool
    collate: Callable[[list[Any]], Any] | None

    def run(self) -> Generator[Any, Any, None]:
        """Takes samples, gives batches."""
        collate = self.collate or default_collate
        samples: list[Any] = []
        while True:
            try:
                samples.append((yield))
            except EndOfStream:
                break
            if len(samples) == self.n:
                batch, samples = collate(samples), []
                # `yield None` would take the next sample, and lose it.
                if batch is not None:
                    yield batch
        if samples and not self.drop_last:
            yield collate(samples)
