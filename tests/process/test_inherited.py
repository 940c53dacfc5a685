"""Functors that are inherited by fork: said, with the reason, and refused where it breaks."""

from __future__ import annotations

import io
import logging
import os
import signal
import socket
import sqlite3
import sys
import tarfile
import threading
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minipipe as mp
from minipipe.supervisor.references import unpicklable
from minipipe.worker.spec import Task
from tests.conftest import wait_until
from tests.process.test_by_value import says, script


def task(functor: Any, **init_kwargs: Any) -> Task:
    return Task(functor, init_kwargs, ())


# ------------------------------------------------------------------ what it was
class Model:
    def __init__(self, **fields: Any) -> None:
        vars(self).update(fields)

    def run(self, item: Any) -> Any:
        return item


def test_what_cannot_be_pickled_is_named_with_the_way_to_it() -> None:
    lock = threading.Lock()
    pool = {"jobs": [1, Model(guard=lock)]}

    def locked(item: int) -> int:
        return item if pool else 0

    def numbers() -> Any:
        yield lock

    why = "a _thread.lock: TypeError: cannot pickle '_thread.lock' object"
    inside = f"attribute 'guard' of item 1 of item 'jobs' of {{}}, {why}"
    assert unpicklable(task(locked)) == inside.format("variable 'pool' of the functor")
    assert unpicklable(task(Model(x=pool).run)) == inside.format(
        "attribute 'x' of its object of the functor"
    )
    assert unpicklable(task(Model, x=pool)) == inside.format("item 'x' of init_kwargs")
    assert "numbers (a generator): TypeError" in str(unpicklable(task(numbers())))
    assert unpicklable(task(Model(x=5))) is None


def test_an_inherited_functor_is_said_once_with_what_could_not_travel(
    caplog: pytest.LogCaptureFixture,
) -> None:
    lock = threading.Lock()

    def locked(item: int) -> int:
        with lock:
            return item

    pline = mp.PipeLine([mp.Source(range(3)), mp.Transform(locked, "locked")])
    with caplog.at_level(logging.INFO, "minipipe"):
        for _ in range(2):
            assert list(pline) == [0, 1, 2]
    lines = [r for r in caplog.records if "forked" in r.message]
    (line,) = lines
    assert line.levelno < logging.WARNING
    assert "Transform 'locked' cannot be pickled (variable 'lock' of the functor" in line.message


class Unloadable:
    """Can be pickled, and not loaded."""

    def __getstate__(self) -> dict[str, Any]:
        return {"made_in": os.getpid()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        raise RuntimeError("not in another process")


@pytest.mark.parametrize("kind", ["source", "function", "state", "caller's last"])
def test_a_functor_that_cannot_be_loaded_in_a_worker_is_inherited(
    kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    stubborn = Unloadable()

    def numbers() -> Any:
        yield from range(5 if stubborn else 0)

    def same(item: int) -> Any:
        return item if stubborn else None

    keeps = Model(stubborn=stubborn)
    plain = lambda x: x  # noqa: E731
    segments = {
        "source": [mp.Source(numbers), mp.Transform(plain)],
        "function": [mp.Source(range(5)), mp.Transform(same, n_processes=3), mp.Transform(plain)],
        "state": [mp.Source(range(5)), mp.Transform(keeps), mp.Transform(plain, n_processes=2)],
        "caller's last": [mp.Source(range(5)), mp.Transform(same)],
    }[kind]
    pline = mp.PipeLine(segments)
    for _ in range(2):
        assert sorted(pline) == list(range(5))
    lines = [r.message for r in caplog.records if "forked" in r.message]
    assert len(lines) == 1
    assert "cannot be loaded (RuntimeError: not in another process)" in lines[0]


def test_one_that_can_neither_be_loaded_nor_inherited_says_both() -> None:
    stubborn = Unloadable()
    segment = mp.Transform(lambda x: stubborn and x, env={"A": "b"})
    with pytest.raises(mp.MiniPipeError, match=r"loaded \(RuntimeError: not in.*env= cannot be"):
        list(mp.PipeLine([mp.Source([1]), segment]))


# ------------------------------------------------------------------ what breaks
@pytest.fixture
def open_things(tmp_path: Path) -> Any:
    path = tmp_path / "file.bin"
    path.write_bytes(bytes(1000))
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("inner", b"x")
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        tar.add(path, "inner")
    one, other = socket.socketpair()
    things = {
        "file": open(path, "rb"),  # noqa: SIM115
        "raw": open(path, "rb", buffering=0),  # noqa: SIM115
        "text": open(path, "a"),  # noqa: SIM115
        "zip": zipfile.ZipFile(tmp_path / "a.zip"),
        "tar": tarfile.open(tmp_path / "a.tar"),  # noqa: SIM115
        "socket": one,
        "database": sqlite3.connect(tmp_path / "db"),
    }
    yield things
    for thing in (*things.values(), other):
        thing.close()


@pytest.mark.parametrize(
    "name, said",
    [
        ("file", "the open file '.*file.bin'"),
        ("raw", "the open file '.*file.bin'"),
        ("text", "the open file '.*file.bin'"),
        ("zip", "the open file '.*a.zip'"),
        ("tar", "the open file '.*a.tar'"),
        ("socket", "an open socket"),
        ("database", "a connection to a database"),
    ],
)
def test_what_processes_take_from_each_other_is_an_error_that_says_what_to_do(
    open_things: Any, name: str, said: str
) -> None:
    thing = open_things[name]
    held = Model(parts=[{"deep": thing}])
    mend = "open it in local_init"
    for functor in (lambda x: thing and x, held):
        segment = mp.Transform(functor, "read", n_processes=2)
        with pytest.raises(mp.MiniPipeError, match=f"'read' refers to {said} .*{mend}"):
            list(mp.PipeLine([mp.Source([1]), segment]))
    with pytest.raises(mp.MiniPipeError, match=f"refers to {said} .*item 'x' of init_kwargs"):
        kwargs = {"x": thing}
        list(mp.PipeLine([mp.Source([1]), mp.Transform(Model, init_kwargs=kwargs, n_processes=2)]))


def test_two_segments_do_not_share_an_open_file_either(open_things: Any) -> None:
    file = open_things["file"]
    segments = [mp.Source(lambda: file and [1], "a"), mp.Transform(lambda x: file and x, "b")]
    with pytest.raises(mp.MiniPipeError, match=r"'a' cannot.*'b' cannot.*both refer to the open"):
        list(mp.PipeLine(segments))


def test_a_database_is_refused_also_for_one_worker(open_things: Any) -> None:
    database = open_things["database"]
    with pytest.raises(mp.MiniPipeError, match="forked from this one cannot use it"):
        list(mp.PipeLine([mp.Source([1]), mp.Transform(lambda x: database and x)]))


def test_one_worker_may_read_an_open_file_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    np.arange(100, dtype=np.int32).tofile(tmp_path / "a.bin")
    with open(tmp_path / "a.bin", "rb") as file:

        def read(i: int) -> int:
            file.seek(4 * i)
            return int(np.frombuffer(file.read(4), np.int32)[0])

        assert list(mp.PipeLine([mp.Source(range(100)), mp.Transform(read)])) == list(range(100))
    (line,) = [r for r in caplog.records if "forked" in r.message]
    assert line.levelno == logging.WARNING
    assert "a.bin" in line.message and "local_init" in line.message


@pytest.mark.parametrize("mode", ["w", "wb", "a"])
def test_what_one_worker_writes_to_an_open_file_is_there_once(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "out"
    encode = str.encode if "b" in mode else str
    with open(path, mode) as file:
        file.write(encode("head\n"))  # in the buffer of this process at the fork

        def save(item: int) -> None:
            file.write(encode(f"{item}\n"))

        mp.PipeLine([mp.Source(range(3)), mp.Sink(save)]).run().close()
        file.write(encode("tail\n"))
    assert path.read_text() == "head\n0\n1\n2\ntail\n"


def test_closed_files_memory_files_and_prints_are_no_matter(tmp_path: Path) -> None:
    with open(os.devnull, "rb") as closed:
        pass
    memory, lock = io.BytesIO(b"abc"), threading.Lock()

    def use(item: int) -> Any:
        with lock:
            print("said", file=sys.stderr)
            return closed.closed, memory.getvalue()

    segment = mp.Transform(use, n_processes=2)
    assert list(mp.PipeLine([mp.Source([1]), segment])) == [(True, b"abc")]


def test_standard_input_is_refused(tmp_path: Path) -> None:
    text = """
        import sys, minipipe as mp
        try:
            list(mp.PipeLine([mp.Source(sys.stdin)]))
        except mp.MiniPipeError as error:
            print("standard input" in str(error), "path of a file" in str(error))
    """
    says(script(tmp_path, text), "True True\n")


# ------------------------------------------------------------------ when it dies
def test_the_death_of_a_worker_that_was_forked_says_so_and_why() -> None:
    lock = threading.Lock()

    def dies(item: int) -> None:
        with lock:
            os.kill(os.getpid(), signal.SIGKILL)

    said = "workers are forked from this process, as the functor .* pickled .*'lock'.*OpenMP"
    with pytest.raises(mp.WorkerDiedError, match=said):
        list(mp.PipeLine([mp.Source([1]), mp.Transform(dies, restart=False)]))
    with pytest.raises(mp.PoisonError, match=said):
        list(mp.PipeLine([mp.Source([1]), mp.Transform(dies)]))


class Deadly:
    """Ends the process that loads it."""

    def __getstate__(self) -> dict[str, Any]:
        return {"made_in": os.getpid()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        os._exit(9)


def test_a_death_while_the_functor_is_loaded_is_a_death_and_no_other_way_is_tried() -> None:
    deadly = Deadly()
    segment = mp.Transform(lambda x: deadly and x, "load", restart=False)
    with pytest.raises(mp.WorkerDiedError, match=r"'load' .* ended with exit code 9") as raised:
        list(mp.PipeLine([mp.Source([1]), segment]))
    assert "before it reached its functor" not in str(raised.value)


def test_nothing_is_left_of_a_run_with_workers_that_started_twice() -> None:
    stubborn = Unloadable()
    descriptors = len(os.listdir("/proc/self/fd"))
    pline = mp.PipeLine([mp.Source(range(5)), mp.Transform(lambda x: stubborn and x)])
    assert list(pline) == [0, 1, 2, 3, 4]
    wait_until(lambda: len(os.listdir("/proc/self/fd")) <= descriptors, "descriptors to be closed")
