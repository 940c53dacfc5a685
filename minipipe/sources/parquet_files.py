"""Parquet files, by pyarrow: what is in them, and tables as arrays."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from minipipe.errors import BuildError, MissingExtraError, OptionError, did_you_mean
from minipipe.protocol.retrying import Retries
from minipipe.sources.attempts import with_retries
from minipipe.sources.parts import PartError
from minipipe.sources.storage import File, Local

AT_ONCE = 16  # ends of files are read: of remote ones each costs some requests


class Footer(NamedTuple):
    """What the end of a file says.

    Attributes:
        rows: of each row group.
        types: of each column, by name (of pyarrow).
    """

    file: File
    rows: Sequence[int]
    types: Mapping[str, Any]


def footers(files: Sequence[File], where: str, retries: Retries) -> list[Footer]:
    """What is in each file.

    Raises:
        MissingExtraError: pyarrow is not installed.
        BuildError: one cannot be read.
    """
    parquet = _parquet(where)

    def read(file: File) -> Footer:
        with parquet.ParquetFile(_source(file)) as made:
            metadata, schema = made.metadata, made.schema_arrow
            rows = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
            return Footer(file, rows, dict(zip(schema.names, schema.types, strict=True)))

    def tried(file: File) -> Footer:
        what = f"{where} could not read the end of {file.name!r}"
        return with_retries(lambda: read(file), retries, what)

    if len(files) < AT_ONCE:
        return [tried(file) for file in files]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(tried, files))


def _source(file: File) -> Any:
    """What pyarrow reads: a path where it can open that itself, which is faster."""
    return file.path if isinstance(file.storage, Local) else file.open()


def _parquet(where: str) -> Any:
    try:
        return importlib.import_module("pyarrow.parquet")
    except ImportError as error:
        raise MissingExtraError("pyarrow", where, "parquet") from error


@dataclass(frozen=True)
class Schema:
    """Which columns are read, and what stands for nulls in them."""

    columns: Sequence[str]
    nulls: Mapping[str, Any]

    @classmethod
    def of(
        cls,
        found: Sequence[Footer],
        columns: Sequence[str] | None,
        nulls: Mapping[str, Any] | None,
        where: str,
    ) -> Schema:
        """Checks what was asked for against what the files have.

        Raises:
            OptionError: it is no list of columns that there are.
            BuildError: a column is nested, or of another type in another file.
        """
        first = found[0]
        names = tuple(first.types) if columns is None else tuple(columns)
        for option, given in (("columns", names), ("nulls", tuple(nulls or {}))):
            for name in given:
                if name not in first.types:
                    raise OptionError(
                        f"{option} of {where}: {first.file.name!r} has no column {name!r}"
                        f"{did_you_mean(str(name), first.types)} (it has {_listed(first.types)})"
                    )
        types = importlib.import_module("pyarrow.types")
        nested = [name for name in names if types.is_nested(first.types[name])]
        if nested:
            each = ", ".join(f"{name!r} ({first.types[name]})" for name in nested)
            raise BuildError(
                f"{where} cannot make arrays of nested columns: {each} of {first.file.name!r}; "
                "name the columns that you need (columns=), or read the files yourself, as in "
                "mp.Files and a Transform with pyarrow.parquet.read_table"
            )
        for other in found[1:]:
            for name in names:
                if other.types.get(name) != first.types[name]:
                    has = f"is {other.types[name]}" if name in other.types else "is not there"
                    raise BuildError(
                        f"the files of {where} have different columns: {name!r} is "
                        f"{first.types[name]} in {first.file.name!r}, and {has} in "
                        f"{other.file.name!r}"
                    )
        return cls(names, dict(nulls or {}))

    def arrays(self, table: Any) -> dict[str, np.ndarray[Any, np.dtype[Any]]]:
        """The columns of a table.

        Raises:
            PartError: one has nulls where there can be none.
        """
        return {name: self._array(name, table.column(name)) for name in self.columns}

    def _array(self, name: str, column: Any) -> np.ndarray[Any, np.dtype[Any]]:
        types = importlib.import_module("pyarrow.types")
        if types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        if column.null_count:
            if name in self.nulls:
                compute = importlib.import_module("pyarrow.compute")
                column = compute.fill_null(column, self.nulls[name])
            elif types.is_integer(column.type) or types.is_boolean(column.type):
                raise PartError(
                    "",
                    f"column {name!r} ({column.type}) has nulls, for which there is no such value: "
                    f"give one, as in nulls={{{name!r}: 0}}",
                )
        array: np.ndarray[Any, np.dtype[Any]] = column.to_numpy()
        return array


def _listed(names: Mapping[str, Any], most: int = 20) -> str:
    shown = ", ".join(map(repr, list(names)[:most]))
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


class OpenFile:
    """The file that was read last stays open: its next row groups need its end again."""

    def __init__(self) -> None:
        self._name = ""
        self._parquet: Any = None

    def row_group(self, file: File, number: int, columns: Sequence[str]) -> Any:
        """A row group as a table of pyarrow."""
        if self._name != file.name:
            self.close()
            self._parquet = _parquet("Parquet").ParquetFile(_source(file))
            self._name = file.name
        return self._parquet.read_row_group(number, columns=list(columns))

    def close(self) -> None:
        """Closes it."""
        parquet, self._parquet, self._name = self._parquet, None, ""
        if parquet is not None:
            parquet.close(force=True)

    def __reduce__(self) -> tuple[Any, ...]:
        return OpenFile, ()
