"""`mp.TarShards`: samples in tar files, in WebDataset's layout."""

from __future__ import annotations

import tarfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import minipipe as mp
from minipipe.sources.parts import PartError
from minipipe.sources.tar_samples import samples
from tests.sources.data import add, shard, write_tar


def items(source: mp.Source) -> list[Any]:
    return list(mp.PipeLine([source]).build(inline=True))


def expected(number: int, count: int = 5) -> list[dict[str, Any]]:
    return [{"__key__": key, **parts} for key, parts in shard(number, count).items()]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(4):
        write_tar(tmp_path / f"{number:03d}.tar", shard(number))
    return tmp_path


def test_samples_by_key(folder) -> None:
    got = items(mp.TarShards(f"{folder}/{{000..003}}.tar"))
    assert got == [sample for number in range(4) for sample in expected(number)]
    assert items(mp.TarShards(f"{folder}/*.tar")) == got
    assert items(mp.TarShards(f"far://{folder}/*.tar")) == got


@pytest.mark.parametrize("mode", ["w:gz", "w:bz2", "w:xz"])
def test_compressed(tmp_path, mode) -> None:
    path = write_tar(tmp_path / "a.tar.packed", shard(1), mode)
    assert items(mp.TarShards(path)) == expected(1)


def test_names_as_webdataset_has_them(tmp_path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        add(tar, "__about__", b"{}")
        add(tar, "a.b/c.seg.PNG", b"1")
        add(tar, "a.b/c.cls", b"2")
        add(tar, "README", b"no part of a sample")
        add(tar, ".hidden", b"neither")
        folder = tarfile.TarInfo("d")
        folder.type = tarfile.DIRTYPE
        tar.addfile(folder)
        add(tar, "d/c.cls", b"")
        link = tarfile.TarInfo("d/c.jpg")
        link.type, link.linkname = tarfile.SYMTYPE, "c.cls"
        tar.addfile(link)
        add(tar, "n" * 150 + ".txt", b"long names have headers of their own")
    assert items(mp.TarShards(tmp_path / "a.tar")) == [
        {"__key__": "a.b/c", "seg.png": b"1", "cls": b"2"},
        {"__key__": "d/c", "cls": b""},
        {"__key__": "n" * 150, "txt": b"long names have headers of their own"},
    ]


def test_a_part_that_comes_twice_is_an_error(tmp_path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        add(tar, "a.jpg", b"1")
        add(tar, "a.JPG", b"2")
    with pytest.raises(mp.FileReadError, match=r"a\.tar' \(member 'a.JPG'\): .* 'jpg' already"):
        items(mp.TarShards(tmp_path / "a.tar"))


# ---------------------------------------------------------------------- what is cut off
def cut(path: Path, size: int) -> Path:
    content = path.read_bytes()
    path.write_bytes(content[:size])
    return path


@pytest.mark.parametrize(
    ("size", "whole", "text"),
    [
        (0, 0, "its beginning.*empty"),
        (100, 0, "its beginning"),
        (512 + 700, 0, r"member '000/0000\.jpg'.* the 4000 bytes of this member are not all there"),
        (512 + 4096, 0, r"behind member '000/0000\.jpg'.*not closed by who wrote it"),
        (512 + 4096 + 100, 0, r"behind member '000/0000\.jpg'"),
        (512 + 4096 + 1024, 0, r"behind member '000/0000\.cls'.*not closed"),
        (5632 + 512 + 1, 1, r"member '000/0001\.jpg'.* are not all there"),
    ],
)
@pytest.mark.parametrize("far", [False, True])
def test_a_shard_that_is_cut_off_names_file_and_member(folder, size, whole, text, far) -> None:
    path = cut(folder / "000.tar", size)
    pattern = f"far://{folder}/*.tar" if far else f"{folder}/*.tar"
    with pytest.raises(mp.FileReadError, match=rf"{path}.*{text}") as caught:
        items(mp.TarShards(pattern))
    assert caught.value.tries == 1  # it will be so the next time, too
    assert caught.value.part and str(path) in caught.value.file
    # Within a budget what was whole before it is there, and the other files are.
    others = [sample for number in (1, 2, 3) for sample in expected(number)]
    assert items(mp.TarShards(pattern, max_failures=1)) == expected(0)[:whole] + others


def test_wherever_it_is_cut_off_it_is_seen(tmp_path) -> None:
    path = write_tar(tmp_path / "a.tar", shard(0, 2))
    content = path.read_bytes()
    end = len(content.rstrip(b"\0")) // 512 * 512 + 512 + 1024  # the last block, two of zeros

    @given(st.integers(0, end - 1025))
    def cut_at(size: int) -> None:
        path.write_bytes(content[:size])
        with path.open("rb") as file, pytest.raises(PartError):
            list(samples(file))

    cut_at()
    path.write_bytes(content[:end])
    with path.open("rb") as file:
        assert len(list(samples(file))) == 2


@pytest.mark.parametrize("mode", ["w:gz", "w:bz2", "w:xz"])
def test_compressed_ones_that_are_cut_off(tmp_path, mode) -> None:
    path = write_tar(tmp_path / "a.tar.packed", shard(1, 50), mode)
    size = path.stat().st_size
    for keep in (10, size // 2):
        write_tar(path, shard(1, 50), mode)
        cut(path, keep)
        with pytest.raises(mp.FileReadError, match=r"a\.tar\.packed' \(.*cut off"):
            items(mp.TarShards(path))


def test_what_is_no_tar_file(tmp_path) -> None:
    (tmp_path / "a.tar").write_bytes(b"no tar file at all" * 200)
    with pytest.raises(
        mp.FileReadError, match=r"a\.tar' \(its beginning\): it is cut off, or not closed"
    ):
        items(mp.TarShards(tmp_path / "a.tar"))


# ---------------------------------------------------------------------- retries
@pytest.mark.parametrize("after", [0, 3000, 9000, 20_000])
def test_a_shard_that_breaks_off_goes_on_where_it_was(
    folder, tmp_path_factory, quick, after
) -> None:
    log = tmp_path_factory.mktemp("log")
    about = {"directory": str(log), "times": 2, "after": after}
    source = mp.TarShards(f"flaky://{folder}/*.tar", storage_options=about)
    assert items(source) == [sample for number in range(4) for sample in expected(number)]
    assert len(list(log.iterdir())) == 8
