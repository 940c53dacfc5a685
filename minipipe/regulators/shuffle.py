"""`Shuffle`: items in random order, by a buffer."""

from __future__ import annotations

import random
from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from minipipe.process.seeds import seed_of_pass
from minipipe.regulators.apart import apart
from minipipe.segments.kinds import Regulator
from minipipe.segments.markers import EndOfStream
from minipipe.segments.options import check_count, check_seed

if TYPE_CHECKING:
    from typing import Unpack

    from minipipe.segments.signature import RegulatorOptions


class Shuffle(Regulator):
    """Passes on every item once, in random order, as `tf.data.Dataset.shuffle` does.

    It keeps `buffer` items; each one more takes the place of one drawn at random, which is passed
    on.  The order is as random as all orders only if the buffer holds the whole stream: an item
    can come as late as it likes, but at most `buffer` - 1 places early.

        pline.add(mp.Shuffle(10_000, seed=0))

    Beside what is named here it takes the options of every Regulator.

    Args:
        buffer: how many items each worker keeps, in memory.
        seed: the same one gives the same order of the same items, another one in each pass of a
            persistent pipeline or loader (default: the worker's seed, another one in every worker
            and, unless `run(seed=...)` is given, every run).
        name: shown in errors and statistics.

    Raises:
        OptionError: an option that does not exist, or with an impossible value.
    """

    options = (*Regulator.options, "buffer", "seed")
    read_only_functor = True

    def __init__(
        self,
        buffer: int,
        seed: int | None = None,
        name: str = "Shuffle",
        **options: Unpack[RegulatorOptions],
    ) -> None:
        where = f"{type(self).__name__} {name!r}"
        check_count(buffer, "buffer (items to draw from)", where, 1)
        seed = check_seed(seed, where)
        super().__init__(Shuffling(buffer, seed), name, **options)

    def length_behind(self, count: int, n_processes: int) -> int | None:
        return count


@dataclass
class Shuffling:
    """The functor of a Shuffle."""

    buffer: int
    seed: int | None

    def run(self) -> Generator[Any, Any, None]:
        """Takes items, gives them in random order."""
        draw = random.Random(seed_of_pass(self.seed))
        kept: list[Any] = []
        while True:
            try:
                item = yield
            except EndOfStream:
                break
            item = apart(item)  # else the buffer would hold whole messages, for each item of them
            if len(kept) < self.buffer:
                kept.append(item)
            else:
                index = draw.randrange(self.buffer)
                kept[index], item = item, kept[index]
                yield item
            item = None  # what was passed on is not kept in memory until the next one arrives
        draw.shuffle(kept)
        while kept:
            yield kept.pop()
