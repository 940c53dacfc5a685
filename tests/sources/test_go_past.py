"""Sources of real data go past what was delivered before, and read it only if they must."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minipipe as mp
from minipipe.errors import FileReadError
from minipipe.sources.parts import PartSource
from tests.sources.data import shard, write_tar


def files(folder: Path) -> PartSource:
    for i in range(11):
        (folder / f"{i:02d}.txt").write_text(str(i))
    return mp.Files(f"{folder}/*.txt", read=True, shuffle=True, seed=2)


def tars(folder: Path) -> PartSource:
    for i in range(4):
        write_tar(folder / f"{i}.tar", shard(i, count=2 + i))
    return mp.TarShards(f"{folder}/*.tar", shuffle=True, seed=2)


def rows(folder: Path) -> PartSource:
    np.save(folder / "x.npy", np.arange(45).reshape(15, 3))
    return mp.MemoryMap(folder / "x.npy", rows=4)


def table(folder: Path) -> PartSource:
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as parquet

    parquet.write_table(pa.table({"x": range(50)}), folder / "t.parquet", row_group_size=13)
    return mp.Parquet(f"{folder}/t.parquet", batch_rows=5, shuffle=True, seed=1)


@pytest.mark.parametrize("make", [files, tars, rows, table])
@pytest.mark.parametrize("n_workers", [1, 2])
def test_what_follows_is_what_would_have_followed(
    make: Callable[[Path], PartSource], n_workers: int, tmp_path: Path
) -> None:
    functor: Any = make(tmp_path).functor_obj
    for worker in range(n_workers):
        everything = [repr(item) for item in functor.run(worker, n_workers)]
        assert everything
        for count in range(len(everything) + 2):
            iterator = functor.run(worker, n_workers)
            assert iterator.go_past(count) == min(count, len(everything))
            assert [repr(item) for item in iterator] == everything[count:]


def test_files_whose_items_are_counted_are_not_opened(tmp_path: Path) -> None:
    source: Any = files(tmp_path).functor_obj
    expected = list(source.run(0, 1))
    iterator = source.run(0, 1)
    for path, _ in expected[:6]:
        Path(path).unlink()
    assert iterator.go_past(6) == 6
    assert list(iterator) == expected[6:]


def test_a_shard_that_must_be_counted_and_is_not_there_is_named(tmp_path: Path) -> None:
    source: Any = tars(tmp_path).functor_obj
    for path in tmp_path.glob("*.tar"):
        path.unlink()
    with pytest.raises(FileReadError, match=r"\.tar"):
        source.run(0, 1).go_past(3)


def test_another_set_of_files_is_another_source(tmp_path: Path) -> None:
    before = files(tmp_path).facts()
    assert files(tmp_path).facts() == before
    (tmp_path / "05.txt").rename(tmp_path / "20.txt")
    changed = mp.Files(f"{tmp_path}/*[0-9].txt", read=True, shuffle=True, seed=2).facts()
    (tmp_path / "05.txt").unlink(missing_ok=True)
    assert {name for name in before if before[name] != changed[name]} == {
        "names of parts (a digest)"
    }
    ranked = mp.Files(f"{tmp_path}/*.txt", shard=(1, 2)).facts()
    assert ranked["shard"] == "1 of 2" and ranked["seed"] is None
