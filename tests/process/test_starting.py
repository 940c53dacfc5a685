"""How workers start: what they get, what they do not, and what they print."""

from __future__ import annotations

import multiprocessing
import os
import random
import shutil
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import numpy as np
import pytest

import minipipe as mp
from minipipe.supervisor.rundir import LOCK, PREFIX


def run_script(tmp_path: Path, text: str, **environment: str) -> subprocess.CompletedProcess[str]:
    path = tmp_path / "script.py"
    path.write_text(textwrap.dedent(text))
    return subprocess.run(
        [sys.executable, str(path)],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=tmp_path,
        env={**os.environ, **environment},
    )


def test_a_script_needs_no_guard_and_is_not_imported_by_workers(tmp_path: Path) -> None:
    done = run_script(
        tmp_path,
        """
        import os
        import minipipe as mp
        print("once", os.getpid())

        class Scale:
            def __init__(self, by): self.by = by
            def __call__(self, x): return x * self.by

        offset = 100
        def add(x): return x + offset      # a global of the script

        pline = mp.PipeLine([mp.Source(range(5)), mp.Transform(Scale(2)), mp.Transform(add),
                             mp.Transform(lambda x: -x)])
        print(list(pline))
        """,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("once") == 1
    assert "[-100, -102, -104, -106, -108]" in done.stdout


def test_modules_beside_the_script_are_found_by_workers(tmp_path: Path) -> None:
    (tmp_path / "beside.py").write_text("def twice(x): return 2 * x\n")
    done = run_script(
        tmp_path,
        """
        import minipipe as mp
        from beside import twice
        print(list(mp.PipeLine([mp.Source(range(3)), mp.Transform(twice)])))
        """,
    )
    assert done.stdout == "[0, 2, 4]\n", done.stderr


def test_a_started_generator_is_inherited_by_fork_also_at_the_second_run() -> None:
    def numbers():
        yield from range(10)

    generator = numbers()
    assert next(generator) == 0
    pline = mp.PipeLine([mp.Source(generator), mp.Transform(lambda x: x * 10)])
    expected = [10 * x for x in range(1, 10)]
    assert list(pline) == expected
    assert list(pline) == expected  # from where the caller left it
    assert next(generator) == 1


def test_a_global_multiprocessing_event_is_inherited_by_fork() -> None:
    event = multiprocessing.Event()

    def sets(item: int) -> int:
        if item == 3:
            event.set()
        return item

    assert list(mp.PipeLine([mp.Source(range(5)), mp.Transform(sets)])) == [0, 1, 2, 3, 4]
    assert event.is_set()


def test_a_functor_with_a_lock_inside_is_inherited_by_fork() -> None:
    lock = threading.Lock()

    def locked(item: int) -> int:
        with lock:
            return item + 1

    pline = mp.PipeLine([mp.Source(range(50)), mp.Transform(locked, n_processes=2)])
    assert sorted(pline) == list(range(1, 51))


def test_forked_workers_that_die_are_noticed_too() -> None:
    lock = threading.Lock()

    def dies(item: int) -> int:
        with lock:
            os._exit(5)

    said = "exit code 5 while it had item 0"
    with pytest.raises(mp.WorkerDiedError, match=said):
        list(mp.PipeLine([mp.Source(range(50)), mp.Transform(dies, restart=False)]))
    with pytest.raises(mp.PoisonError, match=f"{said}.*{said}"):  # forked anew in between
        list(mp.PipeLine([mp.Source(range(50)), mp.Transform(dies)]))


def test_a_class_is_made_in_the_worker_with_its_init_kwargs() -> None:
    class Where:
        def __init__(self, tag: str) -> None:
            self.pid, self.tag = os.getpid(), tag

        def run(self, item: int) -> tuple[str, bool]:
            return self.tag, self.pid == os.getpid()

    segment = mp.Transform(Where, init_kwargs={"tag": "made"})
    assert list(mp.PipeLine([mp.Source([1]), segment])) == [("made", True)]


def test_worker_info_tells_who_is_asking() -> None:
    def ask(item: int) -> tuple[str, str, int, int]:
        info = mp.get_worker_info()
        assert info is not None
        return info.segment, info.name, info.id, info.num_workers

    got = set(mp.PipeLine([mp.Source(range(300)), mp.Transform(ask, "ask", n_processes=2)]))
    assert got == {("ask", "ask/0", 0, 2), ("ask", "ask/1", 1, 2)}
    assert mp.get_worker_info() is None


def test_every_worker_has_seeds_of_its_own_and_a_seed_repeats_them() -> None:
    def draw(item: int) -> tuple[float, float]:
        return random.random(), float(np.random.random())

    def drawn(seed: int | None) -> list[tuple[float, float]]:
        pline = mp.PipeLine([mp.Source(range(4)), mp.Transform(draw), mp.Transform(tuple)])
        return list(pline.run(seed=seed))

    class Draw:
        def local_init(self) -> None:
            self.drawn = random.random(), float(np.random.random())

        def run(self, item: int) -> None:
            pass

        def local_term(self) -> tuple[float, float]:
            return self.drawn

    workers = mp.PipeLine([mp.Source(range(4)), mp.Sink(Draw(), n_processes=3)]).run().close()
    assert len({first for first, _ in workers.values()}) == 3
    assert len({second for _, second in workers.values()}) == 3
    assert drawn(7) == drawn(7)
    assert drawn(None) != drawn(None)


def test_env_is_set_before_the_interpreter_starts() -> None:
    def look(item: int) -> tuple[str | None, int]:
        return os.environ.get("MY_FLAG"), hash("stable")

    def looked(**env: str) -> tuple[str | None, int]:
        return next(iter(mp.PipeLine([mp.Source([1]), mp.Transform(look, env=env)])))

    flag, value = looked(MY_FLAG="on", PYTHONHASHSEED="42")
    assert flag == "on"
    assert looked(MY_FLAG="on", PYTHONHASHSEED="42")[1] == value
    assert "MY_FLAG" not in os.environ


def test_blas_has_one_thread_where_several_workers_share_the_machine(monkeypatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)

    def look(item: int) -> str:
        return os.environ.get("OMP_NUM_THREADS", "not set")

    def looked(n: int, **env: str) -> set[str]:
        segment = mp.Transform(look, n_processes=n, env=env)
        return set(mp.PipeLine([mp.Source(range(4)), segment]))

    assert looked(2) == {"1"}
    assert looked(1) == {"not set"}
    assert looked(2, OMP_NUM_THREADS="3") == {"3"}


def test_prints_of_workers_appear_line_by_line_in_the_callers_stdout(capsys) -> None:
    def says(item: int) -> int:
        print("item", item)
        print("and", item, end=" ")
        print("so on")
        print("trouble", item, file=sys.stderr)
        return item

    list(mp.PipeLine([mp.Source(range(20)), mp.Transform(says, n_processes=2)]))
    out, err = capsys.readouterr()
    lines = [line for i in range(20) for line in (f"item {i}", f"and {i} so on")]
    assert sorted(out.splitlines()) == sorted(lines)
    assert sorted(err.splitlines()) == sorted(f"trouble {i}" for i in range(20))


def test_the_last_words_of_a_worker_that_died_appear(capsys) -> None:
    def dies(item: int) -> int:
        print("these are my last words", flush=True)
        print("unfinished", end="", flush=True)
        os._exit(1)

    with pytest.raises(mp.WorkerDiedError):
        list(mp.PipeLine([mp.Source([1]), mp.Transform(dies, restart=False)]))
    assert capsys.readouterr().out == "these are my last words\nunfinished\n"


def test_workers_have_the_name_that_top_shows() -> None:
    def name(item: int) -> str:
        return Path("/proc/self/comm").read_text().strip()

    assert list(mp.PipeLine([mp.Source([1]), mp.Transform(name, "decode")])) == ["decode"]


def test_nothing_of_a_run_is_open_to_others() -> None:
    seen: list[int] = []
    pline = mp.PipeLine([mp.Source(range(3))]).run()
    import tempfile

    for path in Path(tempfile.gettempdir()).glob("minipipe-*"):
        seen.append(path.stat().st_mode & 0o777)
    list(pline)
    assert seen == [0o700]


def test_directories_of_dead_runs_are_swept() -> None:
    import tempfile

    orphan = Path(tempfile.mkdtemp(prefix=PREFIX))
    (orphan / LOCK).touch()
    (orphan / "s").touch()
    list(mp.PipeLine([mp.Source(range(3))]))
    assert not orphan.exists()


def test_what_only_looks_like_a_run_is_left_alone() -> None:
    import tempfile

    clone = Path(tempfile.gettempdir()) / "minipipe-main"
    clone.mkdir()
    (clone / "README.md").touch()
    os.utime(clone, (0, 0))
    nearly = Path(tempfile.mkdtemp(prefix=PREFIX))
    (nearly / "precious").touch()
    os.utime(nearly, (0, 0))
    list(mp.PipeLine([mp.Source(range(3))]))
    assert (clone / "README.md").exists()
    assert (nearly / "precious").exists()
    shutil.rmtree(clone)
    shutil.rmtree(nearly)
