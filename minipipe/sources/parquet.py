"""`Parquet`: rows of tables as dicts of arrays."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from minipipe.errors import OptionError
from minipipe.segments.options import check_count
from minipipe.sources.listing import FILES_OPTIONS, Patterns, list_files
from minipipe.sources.parquet_files import OpenFile, Schema, footers
from minipipe.sources.parts import PartSource, check_retries, place
from minipipe.sources.storage import File

if TYPE_CHECKING:
    from typing import Unpack

    from minipipe.segments.signature import PartOptions


class Parquet(PartSource):
    """Yields the row groups of Parquet files, or parts of them, as dicts of NumPy arrays.

        pline = mp.PipeLine([mp.Parquet("table/*.parquet", columns=["x", "label"], batch_rows=256)])
        for rows in pline:  # {"x": float32[256], "label": int64[256]}
            ...

    Needs pyarrow (the extra `parquet`).  Texts, bytes and decimals are arrays of objects; times
    are datetime64.  Nulls are NaN in floats, NaT in times, None in objects; for integers and
    booleans, which have none of these, `nulls` gives a value.  The ends of all files are read
    here, so that row groups can be dealt out, and what is wrong with a schema is known at once.

    Beside what is named here it takes the options of every Source.

    Args:
        files: a path, a pattern of `glob`, one with braces, or a list of those; or URLs of
            anything that fsspec opens (which needs the extra `files`).  All have the same columns.
        columns: their names; None (default): all.
        batch_rows: how many rows an item has, the last one of a row group maybe fewer; None
            (default): a whole row group.  A row group is in memory as a whole in any case.
        nulls: what stands for nulls, by column.
        storage_options: for fsspec's file system, such as {"anon": True}.
        name: shown in errors and statistics.
        shuffle: whether the row groups are read in random order, another one each epoch and pass.
        seed: of that order; None: another one in each run, unless `run(seed=)` was given.
        shard: (rank, world_size), where several processes train: this one reads every
            world_size-th row group.
        even: "drop" or "repeat": all ranks get equally many; None: some may have one more.
        retries: how often reading is tried again, after 0.25 s, 1 s, 4 s, at errors that may pass.

    Raises:
        OptionError: an option that does not exist, or with an impossible value.
        BuildError: a pattern matches nothing, a file is no Parquet file, its schema is not that
            of the first one, or a column is nested (a list, a struct, a map).
        MissingExtraError: pyarrow, or fsspec for a URL, is not installed.
        FileReadError: in the run: a row group could not be read, or has nulls where none can be.
    """

    options = (*PartSource.options, *FILES_OPTIONS, "columns", "batch_rows", "nulls")

    def __init__(
        self,
        files: Patterns,
        name: str = "Parquet",
        *,
        columns: Sequence[str] | None = None,
        batch_rows: int | None = None,
        nulls: Mapping[str, Any] | None = None,
        shuffle: bool = False,
        seed: int | None = None,
        shard: tuple[int, int] | None = None,
        even: str | None = None,
        retries: int = 3,
        storage_options: Mapping[str, Any] | None = None,
        **options: Unpack[PartOptions],
    ) -> None:
        where = place(type(self), name)
        tries = check_retries(retries, where)
        if batch_rows is not None:
            check_count(batch_rows, "batch_rows", where, 1)
        if isinstance(columns, str) or columns == []:
            raise OptionError(f"columns of {where} is a list of names, or None, got {columns!r}")
        listed = list_files(files, where, storage_options, tries)
        found = footers(listed, where, tries)
        schema = Schema.of(found, columns, nulls, where)
        parts = [
            RowGroup(footer.file, group, rows)
            for footer in found
            for group, rows in enumerate(footer.rows)
            if rows
        ]
        super().__init__(
            RowGroupReader(parts, schema, batch_rows, OpenFile()),
            name,
            shuffle=shuffle,
            seed=seed,
            shard=shard,
            even=even,
            retries=tries,
            **options,
        )


class RowGroup(NamedTuple):
    """A part of a Parquet file."""

    file: File
    number: int
    rows: int


@dataclass(frozen=True)
class RowGroupReader:
    """Each row group is a part."""

    parts: Sequence[RowGroup]
    schema: Schema
    batch_rows: int | None
    opened: OpenFile

    def items(self, part: RowGroup, begin: int) -> Iterator[dict[str, Any]]:
        try:
            table = self.opened.row_group(part.file, part.number, self.schema.columns)
        except BaseException:
            self.opened.close()  # whatever it was: it is opened anew
            raise
        rows = self.batch_rows or part.rows
        for first in range(begin * rows, part.rows, rows):
            yield self.schema.arrays(table.slice(first, rows))

    def count(self, part: RowGroup) -> int:
        return 1 if self.batch_rows is None else -(-part.rows // self.batch_rows)

    def name(self, part: RowGroup) -> tuple[str, str]:
        return part.file.name, f"row group {part.number}"
