"""`MemoryMap`: batches of rows of arrays on disk."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from minipipe.errors import BuildError, OptionError
from minipipe.protocol.retrying import Retries
from minipipe.segments.options import check_count
from minipipe.sources.mapped import Mapped, mapped_npy, mapped_raw
from minipipe.sources.parts import PartSource, place

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]
Path: TypeAlias = str | os.PathLike[str]

if TYPE_CHECKING:
    from typing import Unpack

    from minipipe.segments.signature import PartOptions


class MemoryMap(PartSource):
    """Yields batches of rows of an array on disk, which is mapped, never loaded.

        mp.MemoryMap("images.npy", rows=64)  # uint8[64, 32, 32, 3] after uint8[64, 32, 32, 3]
        mp.MemoryMap({"x": "images.npy", "y": "labels.npy"}, rows=64)
        mp.MemoryMap("images.raw", rows=64, dtype="uint8", row_shape=(32, 32, 3))

    Each batch is read from the disk once, into the shared memory that the next segment sees.
    What is dealt out to workers and ranks, and shuffled, are blocks of `rows` rows; the last one
    may be shorter.  `mp.Rebatch(n, shuffle=)` behind it mixes rows.

    Beside what is named here it takes the options of every Source.

    Args:
        path: a file of NumPy's (.npy), or, with `dtype`, one of plain values; or a dict of .npy
            files with equally many rows each: then batches are dicts.
        rows: how many rows a batch has.
        dtype: of a file that is no .npy.
        row_shape: of one row of such a file; (): a row is one value.
        offset: how many bytes of such a file are before the first row.
        name: shown in errors and statistics.
        shuffle: whether the blocks are read in random order, another one each epoch and pass.
        seed: of that order; None: another one in each run, unless `run(seed=)` was given.
        shard: (rank, world_size), where several processes train: this one reads every
            world_size-th block.
        even: "drop" or "repeat": all ranks get equally many; None: some may have one more.

    Raises:
        OptionError: an option that does not exist, or with an impossible value.
        BuildError: a file is not there, is none of NumPy's, holds objects, or is cut off; or the
            files of a dict differ in rows.
    """

    options = (*PartSource.options, "path", "rows", "dtype", "row_shape", "offset")

    def __init__(
        self,
        path: Path | Mapping[str, Path],
        name: str = "MemoryMap",
        *,
        rows: int,
        dtype: Any = None,
        row_shape: Sequence[int] = (),
        offset: int = 0,
        shuffle: bool = False,
        seed: int | None = None,
        shard: tuple[int, int] | None = None,
        even: str | None = None,
        **options: Unpack[PartOptions],
    ) -> None:
        where = place(type(self), name)
        check_count(rows, "rows (of a batch)", where, 1)
        if "retries" in options:
            raise OptionError(
                f"retries makes no sense for {where}: what is mapped is read without a call that "
                "could fail and be tried again"
            )
        about = (_dtype(dtype, where), _row_shape(row_shape, where))
        check_count(offset, "offset (in bytes)", where, 0)
        if dtype is None and (row_shape != () or offset):
            raise OptionError(f"row_shape and offset of {where} are for files with dtype=")
        if isinstance(path, Mapping):
            if dtype is not None or not path:
                raise OptionError(f"path of {where} is a file, or a dict of some .npy files")
            maps = {key: mapped_npy(one, where) for key, one in path.items()}
        elif dtype is None:
            maps = {"": mapped_npy(path, where)}
        else:
            maps = {"": mapped_raw(path, *about, offset, where)}
        counts = {len(one.open()) for one in maps.values()}
        if len(counts) > 1:
            each = ", ".join(f"{one.path!r} has {len(one.open())}" for one in maps.values())
            raise BuildError(f"the files of {where} have different numbers of rows: {each}")
        reader = MapReader(maps, counts.pop(), rows, isinstance(path, Mapping))
        super().__init__(
            reader,
            name,
            shuffle=shuffle,
            seed=seed,
            shard=shard,
            even=even,
            retries=Retries(0),
            **options,
        )


def _dtype(dtype: Any, where: str) -> np.dtype[Any]:
    try:
        made = np.dtype(np.uint8 if dtype is None else dtype)
    except TypeError as error:
        raise OptionError(f"dtype of {where} is none: {error}") from error
    if made.hasobject or not made.itemsize:
        raise OptionError(f"dtype of {where} has to have a size, and no objects, got {dtype!r}")
    return made


def _row_shape(row_shape: Any, where: str) -> tuple[int, ...]:
    shape = (row_shape,) if isinstance(row_shape, int) else tuple(row_shape)
    for size in shape:
        check_count(size, "each number in row_shape", where, 1)
    return shape


@dataclass(frozen=True)
class MapReader:
    """A block of rows is a part; its number says which."""

    maps: Mapping[str, Mapped]
    rows: int  # in all
    rows_of_part: int
    in_dicts: bool
    parts: Sequence[int] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "parts", range(-(-self.rows // self.rows_of_part)))

    def items(self, part: int, begin: int) -> Iterator[Array | dict[str, Array]]:
        first = part * self.rows_of_part
        found = {
            key: one.open()[first : first + self.rows_of_part] for key, one in self.maps.items()
        }
        yield found if self.in_dicts else found[""]

    def count(self, part: int) -> int:
        return 1

    def name(self, part: int) -> tuple[str, str]:
        first = part * self.rows_of_part
        files = ", ".join(one.path for one in self.maps.values())
        return files, f"rows {first} to {min(first + self.rows_of_part, self.rows) - 1}"
