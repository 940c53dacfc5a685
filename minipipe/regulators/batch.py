"""`Batch`: n samples become one batch."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from minipipe.errors import OptionError
from minipipe.regulators.collator import Collator
from minipipe.segments.batching import Batching as SizeOfBatches
from minipipe.segments.kinds import Regulator
from minipipe.segments.markers import EndOfStream
from minipipe.segments.options import check_count, check_flag

if TYPE_CHECKING:
    from typing import Unpack

    from minipipe.segments.signature import RegulatorOptions


class Batch(Regulator):
    """Makes one batch of every n samples; each of its workers makes batches of what it gets.

    Samples are alike: nested dicts, tuples, namedtuples, lists and dataclasses of arrays,
    numbers, bools and texts.  A batch has their form, with dtype[batch, ...] in the place of an
    array dtype[...], and a list in the place of a text (`minipipe.regulators.collate` has it all).

        images: uint8[28, 28], label: int  ->  images: uint8[n, 28, 28], label: int64[n]

        pline.add(mp.Batch(32))

    Its batches are full, whatever was dropped before it; one process makes all of them.  Where
    several workers make the samples, `mp.Transform(load, batch=32)` has them make the batches, too.

    One worker copies some GB a second, each sample once.  With `n_processes=2`, each of the two
    makes batches of what it gets: which samples are together is then a matter of timing, and at
    the end each has a shorter batch, or drops it.  Where batches are to be the same each time, or
    many workers make the samples, these can make the batches, too: `mp.Transform(load, batch=n)`.

    A CollateError that `ignore_exceptions` names skips the whole batch.

    Beside what is named here it takes the options of every Regulator.

    Args:
        n: samples in a batch.
        drop_last: whether a shorter batch at the end of the stream is left out.
        collate: makes the batch, of a list of 1 to n samples (default: as above).  If it gives
            None, nothing is passed on.
        name: shown in errors and statistics.

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
        **options: Unpack[RegulatorOptions],
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
        self._batches = SizeOfBatches(n, drop_last).batches

    def length_behind(self, count: int, n_processes: int) -> int | None:
        return self._batches(count) if n_processes == 1 else None


@dataclass
class Batching:
    """The functor of a Batch."""

    n: int
    drop_last: bool
    collate: Callable[[list[Any]], Any] | None

    def run(self) -> Generator[Any, Any, None]:
        """Takes samples, gives batches."""
        if self.collate is None:
            yield from self._filled()
        else:
            yield from self._collected(self.collate)

    def _filled(self) -> Generator[Any, Any, None]:
        collator = Collator(self.n)
        while True:
            try:
                collator.add((yield))  # copied at once, and not kept
            except EndOfStream:
                break
            if len(collator) == self.n:
                yield collator.finish()
        if len(collator) and not self.drop_last:
            yield collator.finish()

    def _collected(self, collate: Callable[[list[Any]], Any]) -> Generator[Any, Any, None]:
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
