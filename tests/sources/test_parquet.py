"""`mp.Parquet`: row groups as dicts of arrays."""

from __future__ import annotations

import datetime
import decimal
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minipipe as mp

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")


def items(source: mp.Source) -> list[Any]:
    return list(mp.PipeLine([source]).build(inline=True))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(3):
        x = np.arange(100 * number, 100 * number + 100)
        table = pa.table({"x": x, "y": x.astype(np.float32) / 2, "text": [str(i) for i in x]})
        pq.write_table(table, tmp_path / f"{number}.parquet", row_group_size=40)
    return tmp_path


def rows_of(got: list[dict[str, Any]], column: str = "x") -> list[Any]:
    return [value for rows in got for value in rows[column].tolist()]


@pytest.mark.parametrize("at", ["", "far://"])
def test_row_groups(folder, at) -> None:
    source = mp.Parquet(f"{at}{folder}/*.parquet")
    got = items(source)
    assert source.length == len(got) == 9
    assert [len(rows["x"]) for rows in got] == [40, 40, 20] * 3
    assert rows_of(got) == list(range(300))
    assert list(got[0]) == ["x", "y", "text"]
    assert [got[0][name].dtype for name in got[0]] == [np.int64, np.float32, object]
    assert got[0]["text"][3] == "3"


def test_columns_and_batches(folder) -> None:
    source = mp.Parquet(f"{folder}/*.parquet", columns=["y", "x"], batch_rows=16)
    got = items(source)
    assert source.length == len(got) == 3 * (3 + 3 + 2)
    assert [len(rows["x"]) for rows in got][:8] == [16, 16, 8, 16, 16, 8, 16, 4]
    assert rows_of(got) == list(range(300)) and list(got[0]) == ["y", "x"]


def test_row_groups_are_dealt_out(folder) -> None:
    def part(rank: int, **options: Any) -> list[int]:
        return rows_of(items(mp.Parquet(f"{folder}/*.parquet", shard=(rank, 2), **options)))

    assert sorted(part(0) + part(1)) == list(range(300))
    mixed = part(0, shuffle=True, seed=1) + part(1, shuffle=True, seed=1, n_processes=3)
    assert sorted(mixed) == list(range(300)) != mixed
    # Row groups differ in rows, so how many batches a rank has is drawn anew in each pass.
    about: dict[str, Any] = {"shard": (0, 2), "batch_rows": 16, "seed": 1}
    assert mp.Parquet(f"{folder}/*.parquet", **about).length == 13
    assert mp.Parquet(f"{folder}/*.parquet", shuffle=True, **about).length is None


def test_types(tmp_path) -> None:
    day = datetime.date(2024, 2, 29)
    table = pa.table(
        {
            "bool": [True, False],
            "bytes": [b"a", b""],
            "decimal": [decimal.Decimal("1.5"), decimal.Decimal("2.5")],
            "day": [day, day],
            "time": pa.array([1, 2], pa.timestamp("us")),
            "word": pa.array(["a", "b"]).dictionary_encode(),
            "half": pa.array(np.array([1, 2], np.float16)),
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    (got,) = items(mp.Parquet(tmp_path / "a.parquet"))
    assert {name: str(array.dtype) for name, array in got.items()} == {
        "bool": "bool",
        "bytes": "object",
        "decimal": "object",
        "day": "datetime64[D]",
        "time": "datetime64[us]",
        "word": "object",
        "half": "float16",
    }
    assert got["word"].tolist() == ["a", "b"] and got["bytes"].tolist() == [b"a", b""]


def test_nulls(tmp_path) -> None:
    table = pa.table(
        {"f": [1.0, None], "s": ["a", None], "i": [1, None], "t": pa.array([1, None], pa.date32())}
    )
    path = tmp_path / "a.parquet"
    pq.write_table(table, path)
    (got,) = items(mp.Parquet(path, nulls={"i": -1}))
    assert np.isnan(got["f"][1]) and got["s"][1] is None and np.isnat(got["t"][1])
    assert got["i"].tolist() == [1, -1] and got["i"].dtype == np.int64
    with pytest.raises(mp.FileReadError, match=r"\(row group 0\): column 'i' \(int64\) has nulls"):
        items(mp.Parquet(path))
    assert items(mp.Parquet(path, max_failures=1)) == []


def nested(folder: Path) -> Path:
    table = pa.table({"a": [1], "points": [[1, 2]], "about": [{"k": 1}]})
    pq.write_table(table, folder / "nested.parquet")
    return folder / "nested.parquet"


def other(folder: Path, **columns: Any) -> list[Path]:
    pq.write_table(pa.table(columns), folder / "other.parquet")
    return [folder / "0.parquet", folder / "other.parquet"]


@pytest.mark.parametrize(
    ("make", "kind", "text"),
    [
        (
            lambda f: {"files": nested(f)},
            mp.BuildError,
            r"nested columns: 'points' \(list<.*>\), 'about' \(struct<.*>\) of '.*nested\.parquet'",
        ),
        (
            lambda f: {"files": f / "0.parquet", "columns": ["x", "texd"]},
            mp.OptionError,
            "no column 'texd'; did you mean 'text'. .it has 'x', 'y', 'text'",
        ),
        (
            lambda f: {"files": f / "0.parquet", "nulls": {"z": 1}},
            mp.OptionError,
            "nulls of Parquet 'Parquet': .* has no column 'z'",
        ),
        (lambda f: {"files": f / "0.parquet", "columns": "x"}, mp.OptionError, "list of names"),
        (lambda f: {"files": f / "0.parquet", "columns": []}, mp.OptionError, "list of names"),
        (lambda f: {"files": f / "0.parquet", "batch_rows": 0}, mp.OptionError, "batch_rows of"),
        (lambda f: {"files": f / "*.csv"}, mp.BuildError, r"nothing matches '.*\*\.csv'"),
        (lambda f: {"files": __file__}, mp.BuildError, r"the end of '.*test_parquet\.py': Arrow"),
        (
            lambda f: {"files": other(f, x=[1.5], y=[1.0], text=["a"])},
            mp.BuildError,
            r"'x' is int64 in '.*0\.parquet', and is double in '.*other\.parquet'",
        ),
        (
            lambda f: {"files": other(f, x=[1])},
            mp.BuildError,
            r"'y' is float in '.*0\.parquet', and is not there in '.*other\.parquet'",
        ),
    ],
)
def test_what_makes_no_sense_is_said_before_anything_starts(folder, make, kind, text) -> None:
    with pytest.raises(kind, match=text):
        mp.Parquet(**make(folder))


def test_a_nested_column_that_is_not_asked_for_is_none_of_ours(folder) -> None:
    assert items(mp.Parquet(nested(folder), columns=["a"]))[0]["a"].tolist() == [1]


def test_without_pyarrow(folder, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(mp.MissingExtraError, match=r"pyarrow: pip install '\.\[parquet\]'"):
        mp.Parquet(f"{folder}/*.parquet")


@pytest.mark.parametrize("after", [-1, 200])
def test_errors_that_pass_are_tried_again(folder, tmp_path_factory, quick, after) -> None:
    about = {"directory": str(tmp_path_factory.mktemp("log")), "times": 3, "after": after}
    source = mp.Parquet(f"flaky://{folder}/*.parquet", storage_options=about, batch_rows=7)
    assert rows_of(items(source)) == list(range(300))


def test_many_files_are_looked_at_side_by_side(tmp_path) -> None:
    for number in range(40):
        pq.write_table(pa.table({"x": [number]}), tmp_path / f"{number:02d}.parquet")
    assert rows_of(items(mp.Parquet(f"{tmp_path}/*.parquet"))) == list(range(40))
