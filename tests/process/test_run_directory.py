"""The run's directory: where it is, who may sweep it, and what happens when somebody removes it."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest

import minipipe as mp
from minipipe.errors import RunDirectoryLostError
from minipipe.supervisor import rundir
from minipipe.supervisor.rundir import LOCK, PREFIX, RunDirectory, sweep
from tests.conftest import wait_until
from tests.process.functors import Collect, same
from tests.refusal import run_refused

CLOSE_S = 60.0  # a deadlock


def place() -> Path:
    """The directory of the one run that is on."""
    (found,) = Path(tempfile.gettempdir()).glob(f"{PREFIX}*")
    return found


def holds(path: Path) -> bool:
    fd = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


class Slowly(Collect):
    def run(self, *parts: Any) -> None:
        time.sleep(0.01)
        super().run(*parts)


# ------------------------------------------------------------------ where
def test_it_is_where_temporary_files_are_and_not_where_a_logout_removes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    pline = mp.PipeLine([mp.Source(range(3)), mp.Sink(Collect(), "keep")]).run()
    assert not list(tmp_path.iterdir())
    assert place().parent == Path(tempfile.gettempdir())
    assert pline.close() == {"keep": [0, 1, 2]}


@pytest.mark.parametrize("name", ["a" * 80, os.fsdecode(b"caf\xe9")])
def test_a_base_directory_that_no_socket_can_be_named_in_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    base = tmp_path / name
    base.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(base))
    directory = RunDirectory()
    assert Path(directory.path).parent == Path("/tmp")
    assert not list(base.iterdir())
    directory.remove()
    assert not Path(directory.path).exists()


def test_a_base_directory_without_locks_is_passed_over_and_nothing_is_left_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    real = fcntl.flock

    def flock(fd: int, operation: int) -> None:
        if os.readlink(f"/proc/self/fd/{fd}").startswith(str(tmp_path)):
            raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))  # as Lustre may
        real(fd, operation)

    monkeypatch.setattr(fcntl, "flock", flock)
    directory = RunDirectory()
    assert Path(directory.path).parent == Path("/tmp")
    assert not list(tmp_path.iterdir())
    directory.remove()


def test_a_base_directory_without_room_for_files_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    real = os.open

    def no_inodes(path: Any, flags: int, *args: Any, **options: Any) -> int:
        if flags & os.O_CREAT and str(path).startswith(str(tmp_path)):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(path, flags, *args, **options)

    monkeypatch.setattr(os, "open", no_inodes)
    directory = RunDirectory()
    assert Path(directory.path).parent == Path("/tmp")
    assert not list(tmp_path.iterdir())
    directory.remove()


def test_where_it_can_be_made_nowhere_each_place_is_named_with_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = Path("/tmp/mp-missing")
    monkeypatch.setattr(rundir, "bases", lambda: iter([str(missing), str(tmp_path / ("a" * 80))]))
    with pytest.raises(mp.StartError, match="set TMPDIR") as caught:
        mp.PipeLine([mp.Source(range(3)), mp.Sink(print)]).run()
    text = str(caught.value)
    assert f"'{missing}' (No such file or directory)" in text and "longer than 70 bytes" in text


@pytest.mark.parametrize("error", [errno.ENOSYS, errno.EPERM])
def test_where_the_kernel_refuses_locks_a_run_does_without(tmp_path: Path, error: int) -> None:
    code = """
import minipipe as mp
print(sorted(mp.PipeLine([mp.Source(range(5)), mp.Transform(abs)])))
"""
    done = run_refused({"flock": error}, code, tmp_path, TMPDIR=str(tmp_path))
    assert done.stdout == "[0, 1, 2, 3, 4]\n", done.stderr
    assert not list(tmp_path.iterdir())


# ----------------------------------------------------------------- whose
def test_while_a_run_lives_its_directory_is_locked() -> None:
    pline = mp.PipeLine([mp.Source(range(3)), mp.Sink(Collect())]).run()
    path = place()
    assert holds(path) and holds(path / LOCK)  # the former is what systemd-tmpfiles looks at
    sweep(str(path.parent))
    assert path.exists()
    pline.close()


def test_a_directory_that_was_never_locked_is_swept_when_it_is_no_longer_young() -> None:
    young, old = (Path(tempfile.mkdtemp(prefix=PREFIX)) for _ in range(2))
    for path in (young, old):
        (path / "young").touch()
    os.utime(old, (0, 0))
    list(mp.PipeLine([mp.Source(range(3))]))
    assert young.exists() and not old.exists()
    shutil.rmtree(young)


KILLED = """
import os, signal, sys
from minipipe.supervisor import rundir

def die(fd, operation):
    os.kill(os.getpid(), signal.SIGKILL)

rundir.fcntl.flock = die
rundir.RunDirectory()
"""


def test_a_run_that_was_killed_before_it_had_locked_its_directory_leaves_none_for_ever() -> None:
    done = subprocess.run([sys.executable, "-c", KILLED], timeout=60)
    assert done.returncode == -signal.SIGKILL
    left = place()
    os.utime(left, (0, 0))
    list(mp.PipeLine([mp.Source(range(3))]))
    assert not left.exists()


def test_a_directory_that_is_swept_before_it_was_locked_is_made_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real, removed = fcntl.flock, []

    def flock(fd: int, operation: int) -> None:
        if not removed:
            removed.append(os.readlink(f"/proc/self/fd/{fd}"))
            os.rmdir(removed[0])
        real(fd, operation)

    monkeypatch.setattr(fcntl, "flock", flock)
    directory = RunDirectory()
    assert directory.path != removed[0] and not directory.is_lost
    directory.remove()


# -------------------------------------------------------------- its loss
def test_a_directory_that_is_removed_ends_the_run_by_an_error_that_names_it() -> None:
    pline = mp.PipeLine([mp.Source(range(100_000)), mp.Transform(same), mp.Sink(Slowly(), "keep")])
    pline.run()
    wait_until(lambda: pline.stats().segment("keep")[0].items_in, "the first items")
    path = place()
    shutil.rmtree(path)
    with pytest.raises(RunDirectoryLostError, match="removed while the run was on") as caught:
        pline.close(CLOSE_S)
    assert str(path) in str(caught.value)
    assert pline.results["keep"][:3] == [0, 1, 2]  # local_term has run


def test_a_caller_who_loops_hears_of_it_too() -> None:
    with pytest.raises(RunDirectoryLostError):
        for number, _ in enumerate(mp.PipeLine([mp.Source(iter(int, 1)), mp.Transform(same)])):
            if number == 10:
                shutil.rmtree(place())


def test_a_death_that_cannot_be_mended_without_it_is_told_as_its_loss(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rundir, "LOOK_S", 3600.0)  # nobody looks but at a death
    pline = mp.PipeLine([mp.Source(iter(int, 1)), mp.Transform(same, "work"), mp.Sink(Slowly())])
    pline.run()
    wait_until(lambda: pline.stats().segment("work")[0].items_in, "the first items")
    shutil.rmtree(place())
    os.kill(pline.stats().segment("work")[0].pid, signal.SIGKILL)
    with pytest.raises(RunDirectoryLostError):
        pline.close(CLOSE_S)


def line() -> list[mp.Segment]:
    return [
        mp.Source(range(200)),
        mp.Transform(same, "one", n_processes=2),
        mp.Transform(same, "two"),
        mp.Sink(Slowly(), "keep", n_processes=2),
    ]


def in_order() -> list[mp.Segment]:
    return [
        mp.Source(range(200)),
        mp.Transform(same, "one", n_processes=2, ordered=True),
        mp.Transform(same, "two", n_processes=2),
        mp.Sink(Slowly(), "keep"),
    ]


def functions() -> list[mp.Segment]:
    return [
        mp.Source(range(200)),
        mp.Transform(lambda x: None if x % 7 == 0 else x, "some"),
        mp.Transform(lambda x: (time.sleep(0.005), x)[1], "slow", n_processes=2),
        mp.Sink(print, "print"),
    ]


def branches() -> list[Any]:
    return [
        mp.Source(range(200)),
        mp.Broadcast({"a": mp.Sink(Slowly(), "keep"), "b": mp.Transform(same, "through")}),
        mp.Transform(same, "after"),
        mp.Sink(Slowly(), "last"),
    ]


@pytest.mark.parametrize("pipes", [line, in_order, functions, branches])
def test_once_a_run_is_on_nobody_has_to_connect_to_anybody(
    pipes: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(rundir, "LOOK_S", 3600.0)
    pline = mp.PipeLine(pipes())
    pline.run()
    wait_until(lambda: pline.stats().workers[-1].items_in, "the first items to arrive")
    shutil.rmtree(place())
    try:
        pline.close(CLOSE_S)
    finally:
        pline.stop()
    assert sum(w.items_out for w in pline.stats().segment("Source")) == 200
