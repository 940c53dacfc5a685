"""What the Sources of files have in common: parts, dealt out to workers, read with retries."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import islice
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from minipipe.errors import BuildError, FileReadError, OptionError
from minipipe.process.describe import text_of
from minipipe.process.worker_info import get_worker_info
from minipipe.protocol.retrying import Retries
from minipipe.protocol.sharing import Dealing
from minipipe.segments.kinds import Source
from minipipe.segments.options import check_count, check_flag, check_seed
from minipipe.sources.attempts import waits

if TYPE_CHECKING:
    from typing import Unpack

    from minipipe.segments.signature import PartOptions

# What all of them take, beside the options of a Source.
PART_OPTIONS = ("shuffle", "seed", "shard", "even", "retries")

P = TypeVar("P")


class Reader(Protocol[P]):
    """Knows the parts of a data set, and reads them."""

    @property
    def parts(self) -> Sequence[P]:
        """All parts, in order."""

    def items(self, part: P, begin: int) -> Iterator[Any]:
        """The items of a part, from this one on: always the same ones in the same order.

        Raises:
            OSError, Exception: it could not be read.
        """

    def count(self, part: P) -> int | None:
        """How many items it has, if that is known."""

    def name(self, part: P) -> tuple[str, str]:
        """The file that it is in, and which part of that it is; "" for all of it."""


class PartError(Exception):
    """What is wrong with a part, where the error that was met does not say it well.

    Args:
        part: which part of the file it is, more closely.
        why: in words.
    """

    def __init__(self, part: str, why: str) -> None:
        super().__init__(part, why)
        self.part = part
        self.why = why


class PartSource(Source):
    """A Source of files: what its classes have in common.

    Args:
        shuffle: whether the parts (files, row groups, shards, blocks) are read in random order.
        seed: the same one gives the same orders, whatever the number of workers; each epoch and
            pass has another one.  None (default): another one in each run, unless `run(seed=)`
            was given.
        shard: (rank, world_size), for several processes that train, each with a pipeline of its
            own: this one reads every world_size-th part.
        even: "drop" or "repeat": all ranks get equally many parts, as those that are left over
            are dropped, or some are read by two ranks.  None (default): each part is read once,
            and some ranks have one more than others.
        retries: how often reading is tried again, after 0.25 s, 1 s, 4 s, at errors that may pass
            (OSError, but for a file that is missing or forbidden).  Then it is a failure like any
            other of a functor: it ends the run, or, within `max_failures` or `ignore_exceptions`,
            the rest of that part is left out and the Source goes on with the next one.
        n_processes: how many workers share the parts out among themselves.

    Raises:
        OptionError: an option that does not exist, or with an impossible value.
        BuildError: there is nothing to read.
        FileReadError: in the run: a part could not be read; it names the file.
    """

    options = (*Source.options, *PART_OPTIONS)
    read_only_functor = True

    def __init__(
        self,
        reader: Reader[Any],
        name: str,
        *,
        shuffle: bool,
        seed: int | None,
        shard: tuple[int, int] | None,
        even: str | None,
        retries: Retries,
        **options: Unpack[PartOptions],
    ) -> None:
        where = place(type(self), name)
        seed = check_seed(seed, where, "another one in each run")
        shuffle = check_flag(shuffle, "shuffle", where)
        dealing = _dealing(shuffle, seed, shard, even, where)
        if dealing.per_rank(len(reader.parts)) == 0 and len(reader.parts):
            raise BuildError(
                f"{where} has nothing to read for rank {dealing.rank} of {dealing.world_size}: it "
                f"has {len(reader.parts)} parts in all"
            )
        self.reader = reader
        if options.get("length") is None:
            options["length"] = _length(reader, dealing)
        super().__init__(Parts(where, reader, dealing, seed, retries), name, **options)

    @property
    def repeats_unseeded(self) -> bool:
        return True  # its order follows from a seed of its own, or from what a state has

    def facts(self) -> dict[str, Any]:
        parts, digest = self.reader.parts, blake2b(digest_size=8)
        for part in parts:
            digest.update("\0".join((*self.reader.name(part), "")).encode("utf-8", "surrogatepass"))
        dealing = self.functor_obj.dealing
        return {
            **super().facts(),
            "parts": len(parts),
            "names of parts (a digest)": digest.hexdigest(),
            "shuffle": dealing.shuffle,
            "seed": self.functor_obj.seed,
            "shard": f"{dealing.rank} of {dealing.world_size}",
            "even": dealing.even,
        }


def place(cls: type, name: object) -> str:
    """How errors call a segment that is not made yet."""
    return f"{cls.__name__} {name!r}"


def check_retries(retries: object, where: str) -> Retries:
    """`retries`, if it is a whole number of at least 0.

    Raises:
        OptionError: it is not.
    """
    return Retries(check_count(retries, "retries", where, 0))


def _dealing(shuffle: bool, seed: int | None, shard: object, even: object, where: str) -> Dealing:
    rank, world_size = (0, 1) if shard is None else _checked(shard, where)
    if even not in (None, "drop", "repeat"):
        raise OptionError(f"even of {where} is 'drop', 'repeat' or None, got {even!r}")
    if shuffle and world_size > 1 and seed is None:
        raise OptionError(
            f"{where} with shuffle=True and shard={shard!r} needs a seed, the same one in all "
            "ranks: else each of them draws an order of its own, and parts are read twice, or never"
        )
    return Dealing(shuffle, rank, world_size, even)


def _checked(shard: object, where: str) -> tuple[int, int]:
    if isinstance(shard, tuple | list) and len(shard) == 2:
        rank, world_size = shard
        whole = all(isinstance(n, int) and not isinstance(n, bool) for n in shard)
        if whole and 0 <= rank < world_size:
            return rank, world_size
    raise OptionError(
        f"shard of {where} is (rank, world_size), whole numbers with 0 <= rank < world_size, such "
        f"as (0, 2), got {shard!r}"
    )


def _length(reader: Reader[Any], dealing: Dealing) -> int | None:
    """How many items a pass has, if that is known, and the same in each."""
    counts = [reader.count(part) for part in reader.parts]
    known = [count for count in counts if count is not None]
    if len(known) < len(counts):
        return None
    if len(set(known)) <= 1:
        return sum(known[:1]) * dealing.per_rank(len(known))
    if dealing.shuffle and dealing.world_size > 1:
        return None  # it depends on which parts are drawn
    return sum(known[i] for i in dealing.of_worker(len(known), 0, 1, (0,)))


@dataclass(frozen=True)
class Parts(Generic[P]):
    """The functor: the items of the parts that are this worker's."""

    where: str
    reader: Reader[P]
    dealing: Dealing
    seed: int | None
    retries: Retries

    def run(self, worker: int, n_workers: int) -> PartIterator[P]:
        """Goes through a pass, or an epoch of it."""
        info = get_worker_info()
        seed, pass_, epoch = self.seed, getattr(info, "pass_", 0), getattr(info, "epoch", 0)
        if seed is None:
            seed = getattr(info, "common_seed", 0)
        parts = self.reader.parts
        key = (seed, pass_, epoch)
        mine = self.dealing.of_worker(len(parts), worker, n_workers, key)
        return PartIterator(self, iter([parts[i] for i in mine]))

    def items(self, part: P, begin: int = 0) -> Iterator[Any]:
        """The items of a part; what is read again after an error goes on where it broke off.

        Args:
            begin: the first of them.

        Raises:
            FileReadError: it cannot be read.
        """
        given, failures = begin, 0
        while True:
            try:
                for item in self.reader.items(part, given):
                    given, failures = given + 1, 0
                    yield item
                return
            except Exception as error:
                failures += 1
                file, at = self.reader.name(part)
                what = f"{self.where} could not read {file!r}"
                if isinstance(error, PartError):
                    raise FileReadError(self.where, file, error.part or at, 1, error.why) from error
                if not waits(self.retries, failures, error, what):
                    why = f"{type(error).__name__}: {text_of(error)}"
                    raise FileReadError(self.where, file, at, failures, why) from error


class PartIterator(Generic[P]):
    """The items of some parts; after one that could not be read it goes on with the next."""

    def __init__(self, parts: Parts[P], todo: Iterator[P]) -> None:
        self._parts = parts
        self._todo = todo
        self._items: Iterator[Any] = iter(())

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        while True:
            # (A generator that has raised has ended, so the next call goes on with the next part.)
            for item in self._items:
                return item
            self._items = self._parts.items(next(self._todo))

    def go_past(self, count: int) -> int:
        """Goes past so many items from its beginning, which it reads only where it has to.

        How many that were: fewer, if there are no more.

        Raises:
            FileReadError: a part whose items have to be counted could not be read.
        """
        left = count
        while left:
            part = next(self._todo, None)
            if part is None:
                break
            has = self._parts.reader.count(part)
            if has is None:
                self._items = self._parts.items(part)
                left -= sum(1 for _ in islice(self._items, left))
            elif has <= left:
                left -= has
            else:
                self._items, left = self._parts.items(part, left), 0
        return count - left
