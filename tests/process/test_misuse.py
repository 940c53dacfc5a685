"""What users do that nobody had thought of: a clear answer, or what they expected."""

from __future__ import annotations

import itertools
import os
import resource
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minipipe as mp
from minipipe.pipeline import at_exit
from tests.conftest import wait_until
from tests.process.functors import Collect, same, streams


def script(path: Path, text: str, *command: str, timeout_s: float = 40) -> Any:
    """Runs a script in a directory of its own."""
    path.mkdir(exist_ok=True)
    (path / "train.py").write_text(text)
    return subprocess.run(
        [sys.executable, *(command or ("train.py",))],
        cwd=path,
        capture_output=True,
        text=True,
        timeout=timeout_s,
    )


ON_IMPORT = """
import os, minipipe as mp
with open("times", "a") as file:
    file.write("imported\\n")
class Item:
    def __init__(self, x):
        self.x = x
def f(x):
    return Item(x + 1)
if os.path.getsize("times") < 200:
    print([item.x for item in mp.PipeLine([mp.Source(range(3)), mp.Transform(f)])])
"""


# ------------------------------------------------------------------ scripts and modules
def test_a_module_that_runs_a_pipeline_when_imported_is_imported_once(tmp_path: Path) -> None:
    done = script(tmp_path, ON_IMPORT, "-c", "import train")
    assert done.stdout == "[1, 2, 3]\n", done.stderr
    assert (tmp_path / "times").read_text().count("imported") == 1


def test_a_module_that_a_worker_imports_must_not_start_a_pipeline(tmp_path: Path) -> None:
    (tmp_path / "other.py").write_text(
        "import os\ndef f(x):\n    return x\n"
        "if os.path.exists('armed'):\n"
        "    import minipipe as mp\n    list(mp.PipeLine([mp.Source([1])]))\n"
    )
    text = (
        "import minipipe as mp, other\nopen('armed', 'w').close()\n"
        "list(mp.PipeLine([mp.Source([1]), mp.Transform(other.f)]))\n"
    )
    done = script(tmp_path, text)
    assert done.returncode == 1
    assert "starts a pipeline while it is imported" in done.stderr


def test_files_in_the_current_directory_shadow_nothing(tmp_path: Path) -> None:
    cwd = tmp_path / "cwd"
    cwd.mkdir()
    for name in ("struct.py", "zmq.py", "socket.py"):
        (cwd / name).write_text("raise SystemExit('imported from the current directory')")
    (tmp_path / "s.py").write_text(
        "import minipipe as mp\nprint(list(mp.PipeLine([mp.Source([1]), mp.Transform(str)])))"
    )
    done = subprocess.run(
        [sys.executable, str(tmp_path / "s.py")],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=40,
    )
    assert done.stdout == "['1']\n", done.stderr


def test_an_earlier_error_in_an_interactive_session_is_no_end(tmp_path: Path) -> None:
    lines = (
        "import minipipe as mp\nnosuchname\n"
        "r = mp.PipeLine([mp.Source(range(5)), mp.Sink(lambda x: print('got', x))]).run()\n"
    )
    done = subprocess.run(
        [sys.executable, "-i"], input=lines, capture_output=True, text=True, timeout=40
    )
    assert done.stdout.count("got") == 5


# ------------------------------------------------------------------ functors
def test_a_map_style_dataset_has_the_length_that_it_says() -> None:
    class Keyed:
        def __len__(self) -> int:
            return 3

        def __getitem__(self, i: int) -> str:
            return {0: "a", 1: "b", 2: "c"}[i]

    for inline in (False, True):
        for functor in (Keyed(), Keyed):
            pline = mp.PipeLine([mp.Source(functor, epochs=2)]).build(inline=inline)
            assert list(pline) == ["a", "b", "c"] * 2


def test_the_same_iterator_again_is_no_second_epoch() -> None:
    items = iter([1, 2])
    for inline in (False, True):
        pline = mp.PipeLine([mp.Source(lambda: items, epochs=2)]).build(inline=inline)
        with pytest.raises(ValueError, match="same iterator again"):
            list(pline)
        items = iter([1, 2])


def test_managers_of_multiprocessing_work_in_workers(tmp_path: Path) -> None:
    text = (
        "import multiprocessing, minipipe as mp\n"
        "shared = multiprocessing.Manager().dict()\n"
        "def note(x):\n    shared[x] = -x\n    return x\n"
        "print(list(mp.PipeLine([mp.Source(range(3)), mp.Transform(note)])), dict(shared))\n"
    )
    done = script(tmp_path, text)
    assert done.stdout == "[0, 1, 2] {0: 0, 1: -1, 2: -2}\n", done.stderr


def test_torch_is_seeded_when_a_functor_imports_it_late(tmp_path: Path) -> None:
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").write_text(
        "SEED = None\ndef manual_seed(seed):\n    global SEED\n    SEED = seed\n"
    )
    text = (
        "import minipipe as mp\n"
        "def f(x):\n    import torch\n    return torch.SEED == mp.get_worker_info().seed\n"
        "print(list(mp.PipeLine([mp.Source([1]), mp.Transform(f)])))\n"
    )
    assert script(tmp_path, text).stdout == "[True]\n"


@pytest.mark.parametrize("inline", [False, True])
def test_a_class_with_other_parameters_is_told_at_build(inline: bool) -> None:
    class Two:
        def run(self, x: int, y: int) -> None:
            pass

    class Wants:
        def __init__(self, size: int) -> None:
            self.size = size

        def run(self, x: int) -> None:
            pass

    with pytest.raises(
        mp.BuildError, match=r"Two.run\(self, x.* of Sink 'Sink' is called with one"
    ):
        mp.PipeLine([mp.Source([1]), mp.Sink(Two)]).build(inline=inline)
    with pytest.raises(mp.BuildError, match=r"is made with its init_kwargs \{\}.*'size'"):
        mp.PipeLine([mp.Source([1]), mp.Sink(Wants)]).build(inline=inline)


def test_an_ignored_exception_whose_text_fails_is_ignored_all_the_same() -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            return self.args[1]

    def f(x: int) -> int:
        if x == 1:
            raise Mute
        return x

    for inline in (False, True):
        pline = mp.PipeLine([mp.Source(range(3)), mp.Transform(f, ignore_exceptions=[Mute])])
        assert list(pline.build(inline=inline)) == [0, 2]


# ------------------------------------------------------------------ the end
class Saves:
    """A sink or transform whose last words go wrong."""

    def __init__(self, how: str) -> None:
        self.how = how

    def run(self, x: int) -> int:
        time.sleep(0.002)
        return x

    def local_term(self) -> None:
        if self.how == "dies":
            os._exit(3)
        if self.how == "hangs":
            time.sleep(1000)
        raise OSError("disk full")


@pytest.mark.parametrize(("how", "error"), [("raises", OSError), ("dies", mp.WorkerDiedError)])
def test_what_was_not_saved_after_a_stop_is_raised(how: str, error: type[Exception]) -> None:
    pline = mp.PipeLine([mp.Source(itertools.count), mp.Sink(Saves(how), "s")]).run()
    wait_until(lambda: pline.stats()["s"].items_in > 3, "items")
    pline.stop()
    for _ in range(2):
        with pytest.raises(error):
            pline.close(30)


def test_what_was_not_saved_after_a_loop_was_left_is_said(caplog: pytest.LogCaptureFixture) -> None:
    pline = mp.PipeLine([mp.Source(itertools.count), mp.Transform(Saves("raises"), "s")])
    for _ in range(2):  # the second loop waits for the end of what the first one left
        for _ in pline:
            break
    assert (
        "after the loop was left, OSError: disk full in its local_term of segment 's'"
        in caplog.text
    )
    with pytest.raises(OSError, match="disk full"):
        pline.close()
    with pytest.raises(OSError, match="disk full"), pline:
        for _ in pline:
            break


def test_a_local_term_that_is_cut_off_is_said(caplog: pytest.LogCaptureFixture) -> None:
    pline = mp.PipeLine([mp.Source(itertools.count), mp.Sink(Saves("hangs"), "s")])
    pline.run(grace_s=0.2)
    wait_until(lambda: pline.stats()["s"].items_in > 3, "items")
    pline.stop()
    assert pline.close(30) == {}
    assert "local_term of segment 's'" in caplog.text and "was cut off" in caplog.text


def test_what_sources_of_a_join_have_left_over_when_drained_is_no_error() -> None:
    a, b = streams(2)
    sources = [mp.Source(itertools.count, "s", a), mp.Source(itertools.count, "t", b)]
    psys = mp.PipeSystem([*sources, mp.Sink(Collect(), "j", [a, b])]).run()
    wait_until(lambda: psys.stats()["j"].items_in > 10, "items")
    psys.stop(drain=True)
    got = psys.close(30)["j"]
    assert got == [(i, i) for i in range(len(got))]


def test_an_end_that_nobody_reads_is_told_at_each_close() -> None:
    pline = mp.PipeLine([mp.Source([1])]).run()
    for _ in range(2):
        with pytest.raises(mp.LifecycleError, match="has no consumer"):
            pline.close()


# ------------------------------------------------------------------ inline
@pytest.mark.parametrize("drain", [False, True])
def test_inline_can_be_stopped_from_another_thread(drain: bool) -> None:
    pline = mp.PipeLine([mp.Source(itertools.count), mp.Sink(Collect(), "k")]).build(inline=True)
    pline.run()
    threading.Timer(0.2, pline.stop, (drain,)).start()
    assert pline.close()["k"]


def test_inline_a_functor_cannot_stop_its_pipeline_as_it_cannot_in_a_worker() -> None:
    def stops(x: int) -> None:
        if x == 5:
            pline.stop()

    pline = mp.PipeLine([mp.Source(itertools.count), mp.Sink(stops)]).build(inline=True)
    with pytest.raises(mp.LifecycleError, match="in a functor of the pipeline"):
        pline.run().close()
    assert pline.stats()["Sink"].items_in == 6


def test_inline_honours_the_time_limit_of_close() -> None:
    pline = mp.PipeLine([mp.Source(itertools.count), mp.Sink(Collect(), "k")]).build(inline=True)
    pline.run()
    with pytest.raises(mp.RunTimeoutError, match="stands still"):
        pline.close(timeout_s=0.1)
    pline.stop()
    assert pline.close()["k"]


def doubled(x: np.ndarray) -> list[float]:
    x *= 2
    return x.tolist()


def shares(worker: int, n_workers: int) -> range:
    return range(worker, 5, n_workers)


def test_inline_gives_what_processes_give() -> None:
    def results(inline: bool) -> list[Any]:
        branches = [mp.Transform(doubled), mp.Transform(lambda x: x.tolist())]
        first = mp.PipeLine([mp.Source(lambda: [np.ones(1)]), mp.Broadcast(branches)])
        shuffled = mp.PipeLine([mp.Source(range(30)), mp.Shuffle(9)]).build(inline=inline)
        a = mp.Stream()
        twice = mp.PipeSystem([mp.Source(shares, "s", a, n_processes=2), mp.Sink(Collect, "k", a)])
        return [
            sorted(first.build(inline=inline)),
            list(shuffled.run(seed=7)) == list(shuffled.run(seed=7)),
            sorted(twice.build(inline=inline).run().close()["k"]),
        ]

    assert results(False) == results(True) == [[[1.0], [2.0]], True, [0, 1, 2, 3, 4]]


def test_inline_says_what_it_cannot_do(caplog: pytest.LogCaptureFixture) -> None:
    made = (x for x in range(3))
    pline = mp.PipeLine([mp.Source(made, env={"A": "b"})]).build(inline=True)
    assert "without effect inline: env of Source 'Source'" in caplog.text
    assert list(pline) == [0, 1, 2]
    with pytest.raises(mp.LifecycleError, match="has been used up"):
        list(pline)


# ------------------------------------------------------------------ limits and bad input
def test_too_few_descriptors_are_told_before_anything_starts() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    try:
        pline = mp.PipeLine([mp.Source(range(300))])
        pline.add(mp.Transform(same), n_processes=60)
        with pytest.raises(mp.StartError, match=r"of 62 workers needs about .* raise the limit"):
            pline.run()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_an_interpreter_that_does_not_start_is_named(capfd: pytest.CaptureFixture[str]) -> None:
    pline = mp.PipeLine([mp.Source([1]), mp.Transform(same, "t", env={"PYTHONHOME": "/nowhere"})])
    with pytest.raises(mp.StartError, match=r"segment 't' did not start: .*PYTHONHOME"):
        list(pline)
    capfd.readouterr()


def test_workers_of_one_name_are_refused() -> None:
    pline = mp.PipeLine([mp.Source([1]), mp.Transform(same, "a", n_processes=2)])
    pline.add(mp.Broadcast({"a": mp.Sink(same, "0"), "b": mp.Sink(same, "1")}))
    with pytest.raises(mp.BuildError, match="same name, 'a/0'"):
        pline.build()


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: mp.Batch(3, droplast=True), "did you mean 'drop_last'"),
        (lambda: mp.Rebatch(3, shufle=3), "did you mean 'shuffle'"),
        (lambda: mp.Transform(abs, upstream=[]), "did you mean 'upstreams'"),
        (lambda: mp.PipeLine([mp.Source([1])]).close(timeout=1), "did you mean 'timeout_s'"),
        (lambda: mp.PipeLine([mp.Source([1])]).stop(drian=True), "did you mean 'drain'"),
        (lambda: mp.PipeLine([mp.Source([1])]).run(seed="a"), "seed of run is a whole number"),
        (lambda: mp.Transform(abs, env={"A\0": "b"}), "maps texts to texts"),
        (
            lambda: mp.Transform(abs, init_kwargs=[1]),
            "init_kwargs of Transform 'Transform' is a dict",
        ),
        (lambda: mp.Transform(abs, ignore_exceptions=5), "lists exception classes, got 5"),
        (lambda: mp.Transform(abs, ignore_exceptions="KeyError"), "got 'KeyError'"),
    ],
)
def test_misspelt_and_impossible_options_are_told(make: Any, said: str) -> None:
    with pytest.raises(mp.OptionError, match=said):
        make()


def test_a_pipeline_is_made_of_a_list() -> None:
    with pytest.raises(mp.BuildError, match="takes a list of segments, got <Source"):
        mp.PipeLine(mp.Source([1]))  # type: ignore[arg-type]


def test_passes_of_an_inline_loop_are_not_kept() -> None:
    pline = mp.PipeLine([mp.Source(range(3)), mp.Transform(abs)]).build(inline=True)
    before = len(at_exit._unended)
    for _ in range(3):
        assert list(pline) == [0, 1, 2]
        next(iter(pline))
    assert len(at_exit._unended) <= before


def test_a_thread_that_cannot_be_started_is_an_error_of_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    start = threading.Thread.start

    def fails(thread: threading.Thread) -> None:
        if thread.name == "minipipe-run":
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", fails)
    pline = mp.PipeLine([mp.Source(range(3)), mp.Sink(abs)])
    with pytest.raises(RuntimeError, match="can't start new thread"):
        pline.run()
