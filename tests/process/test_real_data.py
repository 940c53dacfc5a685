"""Sources of real data in processes: every part exactly once, whoever dies and whatever fails."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import fsspec
import fsspec.asyn
import numpy as np
import pytest

import minipipe as mp
from tests.process.functors import Collect
from tests.sources.data import Far, Flaky, shard, write_tar
from tests.sources.http_store import serving

for _cls in (Far, Flaky):
    fsspec.register_implementation(_cls.protocol, _cls, clobber=True)


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    folder = tmp_path / "shards"
    folder.mkdir()
    for number in range(6):
        write_tar(folder / f"{number:03d}.tar", shard(number, 8))
    return folder


def keys(number: int) -> list[str]:
    return list(shard(number, 8))


def key_of(sample: dict[str, Any]) -> str:
    return sample["__key__"]


@pytest.mark.parametrize("at", ["", "far://"])
def test_several_workers_read_each_shard_once(shards, at) -> None:
    source = mp.TarShards(f"{at}{shards}/*.tar", shuffle=True, seed=1)
    pline = mp.PipeLine().add(source, n_processes=3)
    got = list(pline)
    assert sorted(map(key_of, got)) == sorted(key for number in range(6) for key in keys(number))
    assert got[0]["jpg"][:2] == bytes([int(got[0]["__key__"][:3]), int(got[0]["cls"])])
    inline = list(mp.PipeLine().add(source, n_processes=3).build(inline=True))
    assert sorted(map(key_of, inline)) == sorted(map(key_of, got))


def test_the_order_of_one_worker_is_that_of_inline(shards) -> None:
    source = mp.TarShards(f"{shards}/*.tar", shuffle=True, seed=1, epochs=2)
    got = list(map(key_of, mp.PipeLine([source])))
    assert got == list(map(key_of, mp.PipeLine([source]).build(inline=True)))
    assert sorted(got[:48]) == sorted(got[48:]) and got[:48] != got[48:]


def test_a_run_draws_one_order_for_all_its_workers(tmp_path) -> None:
    for number in range(30):
        (tmp_path / f"{number:02d}").touch()
    source = mp.Files(f"{tmp_path}/*", shuffle=True)  # no seed: all workers need the same one
    orders = [list(mp.PipeLine().add(source, n_processes=3)) for _ in range(2)]
    for order in orders:
        assert sorted(order) == [f"{tmp_path}/{number:02d}" for number in range(30)]


class Killer:
    """Its worker dies at each item whose number is so divisible, once."""

    def __init__(self, directory: Path) -> None:
        self.directory = str(directory)

    def __call__(self, item: tuple[str, bytes]) -> str:
        name = os.path.basename(item[0])
        if int(name) % 13 == 5:
            try:
                path = os.path.join(self.directory, name)
                os.close(os.open(path, os.O_CREAT | os.O_EXCL))
            except FileExistsError:
                return name
            os.kill(os.getpid(), signal.SIGKILL)
        return name


def test_each_file_once_through_deaths_and_errors_that_pass(tmp_path, caplog) -> None:
    for folder in ("files", "log", "deaths"):
        (tmp_path / folder).mkdir()
    for number in range(40):
        (tmp_path / "files" / f"{number:02d}").write_bytes(os.urandom(100_000))
    about = {"directory": str(tmp_path / "log"), "times": 2}
    url = f"flaky://{tmp_path}/files/{{00..39..7}}"
    few = mp.Files(url, read=True, storage_options=about, shuffle=True, seed=0, n_processes=2)
    rest = mp.Files(f"{tmp_path}/files/*", read=True, n_processes=2)
    for source, count in ((few, 6), (rest, 40)):
        work = mp.Transform(
            Killer(tmp_path / "deaths"), n_processes=2, restart=True, max_restarts=20
        )
        pline = mp.PipeLine([source, work, mp.Sink(Collect(), "keep")])
        got = pline.run().close()["keep"]
        assert len(got) == len(set(got)) == count
    assert len(list((tmp_path / "log").iterdir())) == 12


def test_a_cut_shard_is_named_and_costs_one_failure(shards) -> None:
    path = shards / "003.tar"
    path.write_bytes(path.read_bytes()[:7000])
    match = r"003\.tar' \(member '003/0001\.jpg'\): it is cut off"
    with pytest.raises(mp.FileReadError, match=match) as caught:
        list(mp.PipeLine([mp.TarShards(f"{shards}/*.tar", n_processes=2)]))
    assert caught.value.part == "member '003/0001.jpg'"
    got = list(mp.PipeLine([mp.TarShards(f"{shards}/*.tar", n_processes=2, max_failures=1)]))
    others = [key for number in (0, 1, 2, 4, 5) for key in keys(number)]
    assert sorted(map(key_of, got)) == sorted([*others, "003/0000"])


@pytest.fixture(scope="module")
def _loop_of_fsspec() -> None:
    """It has one for the whole process, which stays: it is there before the test looks."""
    pytest.importorskip("aiohttp")  # what fsspec opens http:// with
    fsspec.asyn.get_loop()


@pytest.mark.usefixtures("_loop_of_fsspec")
def test_shards_of_a_web_server_that_refuses_and_breaks_off(shards) -> None:
    with serving(shards) as (url, tries):
        got = []
        for rank in range(2):
            about: dict[str, Any] = {"shuffle": True, "seed": 3, "shard": (rank, 2)}
            source = mp.TarShards(f"{url}/*.tar", **about)
            part = list(mp.PipeLine().add(source, n_processes=2).build(inline=rank == 1))
            assert len(part) == 3 * 8
            got += part
    assert sorted(map(key_of, got)) == [key for number in range(6) for key in keys(number)]
    assert all(
        sample["jpg"][:2] == bytes([int(sample["__key__"][:3]), int(sample["cls"])])
        for sample in got
    )
    tries.pop("")
    assert tries == {f"{number:03d}.tar": 2 if number < 2 else 1 for number in range(6)}


def test_row_groups_to_several_workers(tmp_path) -> None:
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    x = np.arange(1000)
    table = pa.table({"x": x, "text": [f"t{i}" for i in x]})
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=64)
    source = mp.Parquet(tmp_path / "a.parquet", batch_rows=20, shuffle=True, seed=2)
    got = list(mp.PipeLine().add(source, n_processes=3))
    assert len(got) == source.length
    assert sorted(i for rows in got for i in rows["x"].tolist()) == x.tolist()
    assert all(t == f"t{i}" for rows in got for i, t in zip(rows["x"], rows["text"], strict=True))


def test_rows_of_a_memory_map_lie_in_slots(tmp_path) -> None:
    rows = np.random.default_rng(0).random((1000, 200))
    np.save(tmp_path / "a.npy", rows)
    np.save(tmp_path / "i.npy", np.arange(1000))
    files = {"x": tmp_path / "a.npy", "i": tmp_path / "i.npy"}
    source = mp.MemoryMap(files, rows=64, shuffle=True, seed=3, n_processes=2)
    seen = 0
    for batch in mp.PipeLine([source]):
        np.testing.assert_array_equal(batch["x"], rows[batch["i"]])
        assert type(batch["x"]) is np.ndarray
        batch["x"][:] = 0  # the loop's own
        seen += len(batch["i"])
    assert seen == 1000
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), rows)


def test_stopped_in_the_middle_of_a_shard(shards) -> None:
    pline = mp.PipeLine([mp.TarShards(f"{shards}/*.tar", n_processes=2, epochs=1000)])
    for number, _ in enumerate(pline):
        if number == 5:
            break
    assert next(iter(pline))["__key__"]


def slowly(x: Any) -> Any:
    time.sleep(0.005)
    return x


def test_passes_of_one_pipeline_have_orders_of_their_own(tmp_path) -> None:
    for number in range(20):
        (tmp_path / f"{number:02d}").touch()
    names = [f"{tmp_path}/{number:02d}" for number in range(20)]
    source = mp.Files(f"{tmp_path}/*", shuffle=True, seed=1)
    with mp.PipeLine([source], persistent=True) as pline:
        first, second = list(pline), list(pline)
    assert sorted(first) == sorted(second) == names and first != second
    # Several workers, several threads, and a pass that is left early with calls under way.
    source = mp.Files(f"{tmp_path}/*", shuffle=True, seed=1, n_processes=3)
    fetch = mp.Transform(slowly, threads=4, n_processes=2)
    batch = mp.Transform(slowly, threads=3, batch=3, collate=list)
    with mp.PipeLine([source, fetch, batch], persistent=True) as pline:
        for number in range(4):
            if number == 1:
                next(iter(pline))
            else:
                assert sorted(name for names in pline for name in names) == names
