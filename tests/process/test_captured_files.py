"""A view of a file that a functor refers to is mapped by its workers, not copied."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minipipe as mp
from minipipe.process import memory_maps


@pytest.fixture
def path(tmp_path: Path) -> Path:
    np.arange(100_000, dtype=np.int32).tofile(tmp_path / "numbers.bin")
    return tmp_path / "numbers.bin"


def in_a_worker(array: Any) -> tuple[Any, str, bool, bool]:
    def look(item: int) -> tuple[Any, str, bool, bool]:
        maps = Path("/proc/self/maps").read_text()
        return np.array(array), type(array).__name__, array.flags.writeable, "numbers.bin" in maps

    (found,) = mp.PipeLine([mp.Source([1]), mp.Transform(look)])
    return found


@pytest.mark.parametrize("mode", ["r", "r+"])
@pytest.mark.parametrize(
    "part",
    [
        slice(None),
        slice(5_000, 9_000, 3),
        slice(90_000, 10, -7),
        (slice(None), slice(2, 4)),
    ],
)
def test_a_worker_maps_the_file_and_sees_the_same(path: Path, mode: Any, part: Any) -> None:
    whole = np.memmap(path, np.int32, mode, offset=400)
    array = whole.reshape(-1, 100)[part] if isinstance(part, tuple) else whole[part]
    seen, kind, is_writable, is_mapped = in_a_worker(array)
    assert np.array_equal(seen, array)
    assert (kind, is_writable, is_mapped) == ("memmap", mode != "r", True)


def test_what_a_worker_writes_to_a_view_stays_there(path: Path) -> None:
    view = np.memmap(path, np.int32, "r+")

    def write(item: int) -> int:
        view[0] = 77
        return int(view[0])

    assert list(mp.PipeLine([mp.Source([1]), mp.Transform(write)])) == [77]
    assert view[0] == 0 and np.fromfile(path, np.int32)[0] == 0


def test_a_view_of_a_file_that_was_replaced_or_removed_travels_as_a_copy(path: Path) -> None:
    view = np.memmap(path, np.int32, "r")
    path.with_name("other").write_bytes(bytes(400_000))
    os.replace(path.with_name("other"), path)
    assert memory_maps.reduce(view) is None
    assert in_a_worker(view)[0][-1] == 99_999
    path.unlink()
    assert in_a_worker(view)[0][-1] == 99_999


def test_what_was_written_to_a_private_view_travels_with_it(path: Path) -> None:
    view = np.memmap(path, np.int32, "c")
    view[3] = -1
    assert in_a_worker(view)[0][3] == -1


def test_what_was_computed_from_a_view_is_none(path: Path) -> None:
    view = np.memmap(path, np.int32, "r")
    assert memory_maps.reduce(view + 1) is None
    assert memory_maps.reduce(view[:0]) is None
    assert memory_maps.reduce(np.array(view)) is None
