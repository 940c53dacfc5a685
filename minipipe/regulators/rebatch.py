"""`Rebatch`: chunks of any number of rows become chunks of n rows."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

import numpy as np

from minipipe.process.seeds import current, seed_of_pass
from minipipe.regulators.layout import Layout, rows_of
from minipipe.regulators.rows import RowPool, RowQueue, Rows
from minipipe.segments.kinds import Regulator
from minipipe.segments.markers import EndOfStream
from minipipe.segments.options import check_count, check_flag, check_seed

if TYPE_CHECKING:
    from typing import Unpack

    from minipipe.segments.signature import RegulatorOptions


class Rebatch(Regulator):
    """Takes chunks of any number of rows, passes on n rows at a time.

    A chunk is an array whose first axis is that of rows, or a dict, tuple, list, namedtuple or
    dataclass (nested, too) of arrays with equal first axis.  What is passed on has its form.

        x: float32[any, 64], y: int64[any]  ->  x: float32[n, 64], y: int64[n]

        pline.add(mp.Rebatch(256, shuffle=100_000))

    A chunk of 0 rows counts for nothing, whatever its dtype.  A CollateError that
    `ignore_exceptions` names skips the chunk only: the rows that wait go on waiting.

    Beside what is named here it takes the options of every Regulator.

    Args:
        n: rows to pass on at a time.
        drop_last: whether fewer rows at the end of the stream are left out.
        shuffle: 0 keeps the order; else rows are drawn at random, always from `shuffle` + n of
            them (fewer at the end), which each worker keeps in memory.
        seed: for the drawing; the same one gives the same rows, others in each pass of a persistent
            pipeline or loader (default: the worker's seed, another one in every worker and, unless
            `run(seed=...)` is given, every run).
        name: shown in errors and statistics.

    Raises:
        OptionError: an option that does not exist, or with an impossible value.
        CollateError: (in the worker) first axes that differ in a chunk, a structure, dtype or
            shape of rows that differs from those before, or something that is no array.
    """

    options = (*Regulator.options, "n", "drop_last", "shuffle", "seed")
    read_only_functor = True

    def __init__(
        self,
        n: int,
        drop_last: bool = False,
        shuffle: int = 0,
        seed: int | None = None,
        name: str = "Rebatch",
        **options: Unpack[RegulatorOptions],
    ) -> None:
        where = f"{type(self).__name__} {name!r}"
        check_count(n, "n (rows to pass on at a time)", where, 1)
        check_flag(drop_last, "drop_last", where)
        check_count(shuffle, "shuffle (rows to draw from; 0: none)", where, 0)
        seed = check_seed(seed, where)
        super().__init__(Rebatching(n, drop_last, shuffle, seed), name, **options)


class Rebatching:
    """The functor of a Rebatch."""

    def __init__(self, n: int, drop_last: bool, shuffle: int, seed: int | None) -> None:
        self.n = n
        self.drop_last = drop_last
        self.shuffle = shuffle
        self.seed = seed
        self.local_init()

    def local_init(self) -> None:
        """Begins without rows.

        They are kept here, not in `run`: an error there ends the coroutine, and if it is ignored,
        the one made anew goes on with them.
        """
        self._pass = current().pass_
        self._chunks = 0
        self._layout: Layout | None = None
        self._rows: Rows = RowQueue(self.n)
        if self.shuffle:
            rng = np.random.default_rng(seed_of_pass(self.seed))
            self._rows = RowPool(self.n, self.shuffle, rng)

    def run(self) -> Generator[Any, Any, None]:
        """Takes chunks, gives n rows at a time."""
        if self._pass != current().pass_:  # rows of one that was left are for nobody any more
            self.local_init()
        while True:
            try:
                chunk = yield
            except EndOfStream:
                break
            index, self._chunks = self._chunks, self._chunks + 1
            if not rows_of(chunk, index):
                continue
            if self._layout is None:
                self._layout = Layout.of(chunk, index)
            layout = self._layout
            columns = layout.arrays(chunk, index)
            chunk = None  # not kept in memory once its rows have been passed on
            for given in self._rows.push(columns):
                yield layout.chunk(given)
            columns = given = []
        for given in self._rows.rest():
            assert self._layout is not None
            if len(given[0]) == self.n or not self.drop_last:
                yield self._layout.chunk(given)

    def __reduce__(self) -> tuple[Any, ...]:
        # The rows belong to the process that waits for more of them.
        return type(self), (self.n, self.drop_last, self.shuffle, self.seed)

    def __repr__(self) -> str:
        return (
            f"Rebatching(n={self.n}, drop_last={self.drop_last}, shuffle={self.shuffle}, "
            f"seed={self.seed})"
        )
