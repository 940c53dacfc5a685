"""`mp.Files`: paths, or what is in the files."""

from __future__ import annotations

import logging
import os
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import minipipe as mp
from minipipe.protocol.sharing import Dealing
from minipipe.sources.storage import remote_files
from tests.sources.data import Flaky


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for i in range(7):
        (tmp_path / f"{i:02d}.txt").write_bytes(b"%d" % i)
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "deep" / "er" / "x.txt").write_bytes(b"x")
    return tmp_path


def items(source: mp.Source, **build: Any) -> list[Any]:
    return list(mp.PipeLine([source]).build(inline=True, **build))


def names(source: mp.Source) -> list[str]:
    return [os.path.basename(item) for item in items(source)]


def test_paths_in_order(folder) -> None:
    source = mp.Files(f"{folder}/*.txt")
    assert items(source) == [f"{folder}/{i:02d}.txt" for i in range(7)]
    assert source.length == 7


def test_bytes(folder) -> None:
    assert items(mp.Files(folder / "0[12].txt", read=True)) == [
        (f"{folder}/01.txt", b"1"),
        (f"{folder}/02.txt", b"2"),
    ]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("03.txt", ["03.txt"]),
        ("{02..04}.txt", ["02.txt", "03.txt", "04.txt"]),
        ("**/*.txt", [f"{i:02d}.txt" for i in range(7)] + ["x.txt"]),
        (["06.txt", "0[05].txt"], ["06.txt", "00.txt", "05.txt"]),
        (["03.txt", "0[34].txt"], ["03.txt", "04.txt"]),
    ],
)
@pytest.mark.parametrize("far", [False, True])
def test_patterns(folder, pattern, expected, far) -> None:
    at = f"far://{folder}" if far else str(folder)
    patterns = [pattern] if isinstance(pattern, str) else pattern
    source = mp.Files([f"{at}/{one}" for one in patterns])
    assert names(source) == expected
    assert all(item.startswith(at) for item in items(source))


def test_odd_names(tmp_path: Path) -> None:
    odd = ["a[1].txt", "b{1,2}.txt", "c d.txt", "{x}.txt"]
    for name in odd:
        (tmp_path / name).touch()
    for name in odd:
        assert names(mp.Files(tmp_path / name)) == [name]


def test_in_memory_of_fsspec_and_inside_of_archives(tmp_path: Path) -> None:
    import zipfile

    import fsspec

    memory = fsspec.filesystem("memory")
    for i in range(3):
        memory.pipe(f"/set/{i}.bin", bytes([i]))
    assert items(mp.Files("memory://set/*.bin", read=True)) == [
        (f"memory://set/{i}.bin", bytes([i])) for i in range(3)
    ]
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("in/1.txt", "one")
        archive.writestr("in/2.txt", "two")
    url = f"zip://in/*.txt::far://{tmp_path}/a.zip"
    got = items(mp.Files(url, read=True))
    assert got == [(url.replace("*", n), w) for n, w in (("1", b"one"), ("2", b"two"))]
    # What was yielded can be given in its turn.
    assert items(mp.Files([name for name, _ in got], read=True)) == got
    memory.rm("/set", recursive=True)


@pytest.mark.parametrize(
    ("make", "kind", "text"),
    [
        (lambda f: mp.Files(f"{f}/*.jpg"), mp.BuildError, r"nothing matches '.*/\*\.jpg'"),
        (lambda f: mp.Files("no/such/*.jpg"), mp.BuildError, r"'no/such/\*\.jpg' \(in '/"),
        (lambda f: mp.Files(f"{f}/{{00..07}}.txt"), mp.BuildError, r"'.*/07\.txt', which is of"),
        (lambda f: mp.Files(f"far://{f}/*.jpg"), mp.BuildError, r"nothing matches 'far://.*jpg'"),
        (lambda f: mp.Files(f"far://{f}/no.jpg"), mp.BuildError, r"nothing matches 'far://"),
        (lambda f: mp.Files([]), mp.BuildError, "its list of files is empty"),
        (lambda f: mp.Files(f), mp.BuildError, r"is a directory: '.*/\*' are the files in it"),
        (lambda f: mp.Files("nope://x/*"), mp.BuildError, "cannot open 'nope://x/\\*': .*nope"),
        (lambda f: mp.Files("s3://x/*"), mp.BuildError, "cannot open 's3://x/\\*': .*s3fs"),
        (lambda f: mp.Files(3), mp.OptionError, "is a pattern, or a list of them, got 3"),
        (lambda f: mp.Files([3]), mp.OptionError, "are paths, patterns or URLs, got 3"),
        (lambda f: mp.Files(f"{f}/*", read=1), mp.OptionError, "read of Files 'Files' is True or"),
        (lambda f: mp.Files(f"{f}/*", shuffle=1), mp.OptionError, "shuffle of Files"),
        (lambda f: mp.Files(f"{f}/*", seed=-1), mp.OptionError, "seed of Files"),
        (lambda f: mp.Files(f"{f}/*", retries=-1), mp.OptionError, "retries of Files"),
        (lambda f: mp.Files(f"{f}/*", even="yes"), mp.OptionError, "'drop', 'repeat' or None"),
        (lambda f: mp.Files(f"{f}/*", shard=(2, 2)), mp.OptionError, r"0 <= rank < world_size"),
        (lambda f: mp.Files(f"{f}/*", shard=(-1, 2)), mp.OptionError, r"got \(-1, 2\)"),
        (lambda f: mp.Files(f"{f}/*", shard=(0, 0)), mp.OptionError, r"got \(0, 0\)"),
        (lambda f: mp.Files(f"{f}/*", shard=("0", "2")), mp.OptionError, r"got \('0', '2'\)"),
        (
            lambda f: mp.Files(f"{f}/*", shard=(0, 1, 2)),
            mp.OptionError,
            "shard of Files 'Files' is",
        ),
        (lambda f: mp.TarShards(f"{f}/*", shard=(2, 2)), mp.OptionError, "shard of TarShards"),
        (
            lambda f: mp.TarShards(f"{f}/*", shard=(1, 2), shuffle=True),
            mp.OptionError,
            "TarShards.*needs a seed, the same one in all ranks",
        ),
        (lambda f: mp.Files(f"{f}/*", shard=3), mp.OptionError, r"such as \(0, 2\), got 3"),
        (lambda f: mp.Files(f"{f}/*", shard=(0, 2.0)), mp.OptionError, "whole numbers"),
        (
            lambda f: mp.Files(f"{f}/*", shard=(0, 2), shuffle=True),
            mp.OptionError,
            "needs a seed, the same one in all ranks",
        ),
        (
            lambda f: mp.Files(f"{f}/0[01].txt", shard=(2, 3)),
            mp.BuildError,
            "nothing to read for rank 2 of 3: it has 2 parts",
        ),
        (lambda f: mp.Files(f"{f}/*.txt", shufle=True), mp.OptionError, "did you mean 'shuffle'"),
    ],
)
def test_what_makes_no_sense_is_said_before_anything_starts(folder, make, kind, text) -> None:
    with pytest.raises(kind, match=text):
        make(folder)


def test_without_fsspec_only_urls_miss_it(folder, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "fsspec.core", None)
    assert len(items(mp.Files(f"{folder}/*.txt"))) == 7
    with pytest.raises(mp.MissingExtraError, match=r"fsspec: pip install '\.\[files\]'"):
        mp.Files("s3://bucket/*.jpg")


# ---------------------------------------------------------------------- the order
def test_an_order_by_seed_and_epoch(folder) -> None:
    def order(seed: int | None, **options: Any) -> list[str]:
        return names(mp.Files(f"{folder}/*.txt", shuffle=True, seed=seed, **options))

    assert order(1) == order(1) != order(2)
    assert sorted(order(1)) == names(mp.Files(f"{folder}/*.txt"))
    twice = order(1, epochs=2)
    assert twice[:7] == order(1) and sorted(twice[7:]) == sorted(order(1)) != twice[7:]


def test_without_a_seed_that_of_the_run_counts(folder) -> None:
    pline = mp.PipeLine([mp.Files(f"{folder}/*.txt", shuffle=True)]).build(inline=True)
    assert list(pline.run(seed=3)) == list(pline.run(seed=3)) != list(pline.run(seed=4))
    assert len({tuple(pline) for _ in range(10)}) > 1


def test_workers_and_ranks_share_out_the_same_order(folder) -> None:
    def part(rank: int, workers: int, **options: Any) -> list[str]:
        options |= {"shuffle": True, "seed": 5, "shard": (rank, 2)}
        return names(mp.Files(f"{folder}/*.txt", n_processes=workers, **options))

    for workers in (1, 2, 3, 9):
        got = [part(rank, workers) for rank in range(2)]
        assert sorted(got[0] + got[1]) == [f"{i:02d}.txt" for i in range(7)]
        assert [sorted(mine) for mine in got] == [sorted(part(r, 1)) for r in range(2)]
    even = [part(rank, 2, even="repeat") for rank in range(2)]
    assert [len(mine) for mine in even] == [4, 4]
    assert max(Counter(even[0] + even[1]).values()) == 2
    assert [len(part(rank, 2, even="drop")) for rank in range(2)] == [3, 3]
    assert mp.Files(f"{folder}/*.txt", shard=(1, 2)).length == 3
    assert mp.Files(f"{folder}/*.txt", shard=(1, 2), even="repeat").length == 4


def test_dealing_is_by_whole_parts() -> None:
    assert Dealing(False, 1, 3).of_worker(8, 0, 2, ()) == [1, 7]


# ---------------------------------------------------------------------- errors
def test_errors_that_pass_are_tried_again(folder, tmp_path_factory, quick, caplog) -> None:
    log = tmp_path_factory.mktemp("log")
    about = {"directory": str(log), "times": 2}
    source = mp.Files(f"flaky://{folder}/*.txt", read=True, storage_options=about)
    with caplog.at_level(logging.WARNING, "minipipe"):
        assert [content for _, content in items(source)] == [b"%d" % i for i in range(7)]
    assert len(list(log.iterdir())) == 14
    assert "01.txt', and tries it again in 0.0 s (try 1 of 4): ConnectionResetError" in caplog.text


def test_errors_that_stay_end_the_run_or_are_counted(folder, tmp_path_factory, quick) -> None:
    def source(times: int, **options: Any) -> mp.Source:
        about = {"directory": str(tmp_path_factory.mktemp("log")), "times": times}
        url = f"flaky://{folder}/*.txt"
        return mp.Files(url, read=True, retries=1, storage_options=about, **options)

    expected = r"Files 'Files' could not read 'flaky://.*/00\.txt' after 2 tries: Connection"
    with pytest.raises(mp.FileReadError, match=expected) as caught:
        items(source(2))
    assert isinstance(caught.value, OSError) and caught.value.file.endswith("00.txt")
    assert isinstance(caught.value.__cause__, ConnectionResetError)
    with pytest.raises(mp.TooManyFailuresError, match=r"02\.txt"):
        items(source(2, max_failures=2))
    assert items(source(2, max_failures=7)) == []
    assert items(source(2, ignore_exceptions=OSError)) == []
    assert len(items(source(1, max_failures=0))) == 7


def test_a_file_that_goes_is_one_failure(folder) -> None:
    source = mp.Files(f"{folder}/*.txt", read=True, max_failures=1)
    os.unlink(folder / "03.txt")
    assert [content for _, content in items(source)] == [b"0", b"1", b"2", b"4", b"5", b"6"]
    with pytest.raises(mp.FileReadError, match=r"03\.txt': FileNotFoundError"):
        items(_without_budget(folder))


def _without_budget(folder: Path) -> mp.Source:
    (folder / "03.txt").touch()
    source = mp.Files(f"{folder}/03.txt", read=True)
    os.unlink(folder / "03.txt")
    return source


def test_listing_is_tried_again(folder, quick, monkeypatch) -> None:
    failures = iter([ConnectionResetError("no")] * 3)

    def fails(self: Any, path: str, **kwargs: Any) -> Any:
        for failure in failures:
            raise failure
        return [f"{folder}/00.txt"]

    monkeypatch.setattr(Flaky, "glob", fails)
    assert len(items(mp.Files(f"flaky://{folder}/*"))) == 1
    failures = iter([ConnectionResetError("no")] * 4)
    with pytest.raises(mp.BuildError, match=r"could not list 'flaky://.*\*': ConnectionReset"):
        mp.Files(f"flaky://{folder}/*")


def test_only_the_first_of_many_urls_is_looked_for(folder) -> None:
    assert remote_files(f"far://{folder}/none", {}, "here", looks=True) == []
    assert len(remote_files(f"far://{folder}/none", {}, "here", looks=False)) == 1
    source = mp.Files(f"far://{folder}/{{06..07}}.txt", read=True)
    with pytest.raises(mp.FileReadError, match=r"07\.txt': FileNotFoundError"):
        items(source)
