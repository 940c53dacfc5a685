"""`mp.MemoryMap`: batches of rows of arrays on disk."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minipipe as mp
from minipipe.sources.mapped import Mapped


def items(source: mp.Source) -> list[Any]:
    return list(mp.PipeLine([source]).build(inline=True))


@pytest.fixture
def table() -> np.ndarray:
    return np.arange(100 * 6, dtype=np.int16).reshape(100, 2, 3)


def test_blocks_of_rows(tmp_path, table) -> None:
    np.save(tmp_path / "a.npy", table)
    source = mp.MemoryMap(tmp_path / "a.npy", rows=32)
    got = items(source)
    assert source.length == len(got) == 4
    assert [len(rows) for rows in got] == [32, 32, 32, 4]
    assert all(type(rows) is np.ndarray and rows.dtype == np.int16 for rows in got)
    np.testing.assert_array_equal(np.concatenate(got), table)


@pytest.mark.parametrize("offset", [0, 7])
def test_plain_values(tmp_path, table, offset) -> None:
    (tmp_path / "a.raw").write_bytes(b"x" * offset + table.tobytes())
    about: dict[str, Any] = {"dtype": "int16", "row_shape": (2, 3), "offset": offset}
    got = items(mp.MemoryMap(tmp_path / "a.raw", rows=30, **about))
    np.testing.assert_array_equal(np.concatenate(got), table)
    assert items(mp.MemoryMap(tmp_path / "a.raw", rows=607, dtype=np.uint8))[0].shape == (607,)


def test_several_files_row_by_row(tmp_path, table) -> None:
    np.save(tmp_path / "x.npy", table)
    np.save(tmp_path / "y.npy", np.asfortranarray(table[:, :, 0]))
    source = mp.MemoryMap({"x": tmp_path / "x.npy", "y": tmp_path / "y.npy"}, rows=9)
    for batch in items(source):
        np.testing.assert_array_equal(batch["x"][:, :, 0], batch["y"])
    shuffled = items(mp.MemoryMap(tmp_path / "x.npy", rows=10, shuffle=True, seed=1))
    firsts = [int(rows[0, 0, 0]) for rows in shuffled]
    assert firsts != sorted(firsts)
    assert sorted(firsts) == list(range(0, 600, 60))


def test_nothing_is_nothing(tmp_path) -> None:
    np.save(tmp_path / "a.npy", np.empty((0, 3)))
    (tmp_path / "a.raw").touch()
    assert items(mp.MemoryMap(tmp_path / "a.npy", rows=2)) == []
    assert items(mp.MemoryMap(tmp_path / "a.raw", rows=2, dtype="f4")) == []


def test_what_travels_is_where_the_file_is(tmp_path) -> None:
    np.save(tmp_path / "a.npy", np.zeros(100_000))
    mapped = Mapped(str(tmp_path / "a.npy"))
    assert len(mapped.open()) == 100_000
    assert len(pickle.dumps(mapped)) < 500


def cut_off(path: Path) -> Path:
    np.save(path, np.zeros((10, 10)))
    path.write_bytes(path.read_bytes()[:-8])
    return path


def archive(path: Path) -> Path:
    np.savez(path, a=np.zeros(3))
    return path


def objects(path: Path) -> Path:
    np.save(path, np.array([{}], object), allow_pickle=True)
    return path


def saved(path: Path, array: Any) -> Path:
    np.save(path, array)
    return path


@pytest.mark.parametrize(
    ("make", "kind", "text"),
    [
        (lambda d: {"path": d / "no.npy", "rows": 1}, mp.BuildError, r"no\.npy': No such file"),
        (lambda d: {"path": cut_off(d / "a.npy"), "rows": 1}, mp.BuildError, "is cut off: it has"),
        (lambda d: {"path": archive(d / "a.npz"), "rows": 1}, mp.BuildError, "several arrays"),
        (lambda d: {"path": objects(d / "a.npy"), "rows": 1}, mp.BuildError, "Python objects"),
        (lambda d: {"path": saved(d / "a.npy", 3), "rows": 1}, mp.BuildError, "0-dimensional"),
        (lambda d: {"path": __file__, "rows": 1}, mp.BuildError, r"it is no \.npy file"),
        (lambda d: {"path": "s3://a/b.npy", "rows": 1}, mp.BuildError, "copy it here"),
        (lambda d: {"path": 3, "rows": 1}, mp.BuildError, "path of MemoryMap 'MemoryMap' is that"),
        (lambda d: {"path": {}, "rows": 1}, mp.OptionError, "a dict of some .npy files"),
        (lambda d: {"path": __file__, "rows": 0}, mp.OptionError, "rows .of a batch. of MemoryM"),
        (lambda d: {"path": __file__}, TypeError, "rows"),
        (
            lambda d: {"path": __file__, "rows": 1, "dtype": "f8", "row_shape": (10**6,)},
            mp.BuildError,
            "no whole number of rows of 8000000 bytes",
        ),
        (
            lambda d: {"path": __file__, "rows": 1, "dtype": "f8", "offset": 10**6},
            mp.BuildError,
            "no whole number of rows",
        ),
        (lambda d: {"path": __file__, "rows": 1, "dtype": "O"}, mp.OptionError, "no objects"),
        (lambda d: {"path": __file__, "rows": 1, "dtype": "x9"}, mp.OptionError, "dtype of Mem"),
        (lambda d: {"path": __file__, "rows": 1, "offset": 3}, mp.OptionError, "with dtype="),
        (lambda d: {"path": __file__, "rows": 1, "retries": 3}, mp.OptionError, "retries makes"),
        (
            lambda d: {
                "path": {"x": saved(d / "x.npy", [1, 2]), "y": saved(d / "y.npy", [1])},
                "rows": 1,
            },
            mp.BuildError,
            r"x\.npy' has 2, '.*y\.npy' has 1",
        ),
    ],
)
def test_what_makes_no_sense_is_said_before_anything_starts(tmp_path, make, kind, text) -> None:
    with pytest.raises(kind, match=text):
        mp.MemoryMap(**make(tmp_path))
