"""Runs of this process, found from outside."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import minipipe as mp
from minipipe.command import runs
from minipipe.command.runs import Found, ask, directories, find_runs
from minipipe.supervisor.enquiries import SOCKET
from minipipe.supervisor.rundir import PREFIX
from tests.conftest import wait_until


class Gate:
    """A Source of numbers that ends when it is told to, by a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def run(self) -> Iterator[int]:
        n = 0
        while n < 10 or not self.path.exists():
            yield n
            n += 1
            time.sleep(0.002)

    def open(self) -> None:
        self.path.write_text("")


class Count:
    count = 0

    def run(self, n: int) -> None:
        assert n == self.count
        self.count += 1

    def local_term(self) -> int:
        return self.count


def here() -> list[Found]:
    return [run for run in find_runs() if run.pid == os.getpid()]


def watched(gate: Gate) -> mp.PipeLine:
    return mp.PipeLine([mp.Source(gate, "gate"), mp.Sink(Count(), "count")])


def test_two_runs_of_a_process_are_found_and_told_apart(tmp_path: Path) -> None:
    first, second = Gate(tmp_path / "1"), Gate(tmp_path / "2")
    one, two = watched(first).run(), watched(second).run()
    found = here()
    assert len({run.ident for run in found}) == 2
    for run in found:
        assert run.bulletin is not None
        assert [fact.name for fact in run.bulletin.facts] == ["gate", "count"]
        assert run.bulletin.pid == os.getpid()
        assert run.bulletin.stats.state == "running"
    first.open()
    assert one.close()["count"] > 0
    assert len(here()) == 1
    second.open()
    assert two.close()["count"] > 0
    assert here() == []


def test_a_persistent_run_is_found_between_passes_and_an_inline_one_is_not() -> None:
    pline = mp.PipeLine([mp.Source([1, 2], "load")], persistent=True)
    assert list(pline) == [1, 2]
    (run,) = here()
    assert run.bulletin is not None and run.bulletin.total == 2
    pline.close()
    assert here() == []
    inline = mp.PipeLine([mp.Source([1, 2, 3])]).build(inline=True)
    for _ in inline:
        assert here() == []


def test_who_asks_all_the_time_or_never_reads_changes_nothing(tmp_path: Path) -> None:
    gate = Gate(tmp_path / "1")
    pline = watched(gate).run()
    (run,) = here()
    (directory,) = (path for path in directories() if path.endswith(run.ident))
    silent = []
    for _ in range(10):
        client = socket.socket(socket.AF_UNIX)
        client.connect(os.path.join(directory, SOCKET))
        silent.append(client)
    until_s = time.monotonic() + 2
    answers = 0
    while time.monotonic() < until_s:
        told = ask(directory)
        assert told is not None and told.bulletin is not None
        answers += 1
    assert answers > 1
    gate.open()
    counted = pline.close()["count"]
    for client in silent:
        client.close()
    assert pline.stats().segment("gate")[0].items_out == counted


def test_a_worker_that_was_forked_does_not_answer_for_a_dead_run(tmp_path: Path) -> None:
    script = tmp_path / "forks.py"
    script.write_text(
        "import os, signal, sys, threading, time\n"
        "import minipipe as mp\n"
        "class Held:\n"
        "    def __init__(self): self.lock = threading.Lock()\n"
        "    def run(self, n): return n\n"
        "def load():\n"
        "    while True: yield 1; time.sleep(0.01)\n"
        "def note(n): print(n, flush=True)\n"
        "pline = mp.PipeLine([mp.Source(load), mp.Transform(Held()), mp.Sink(note)]).run()\n"
        "if os.fork() == 0:\n"  # and this one has all its descriptors
        "    print('child', os.getpid(), flush=True)\n"
        "    time.sleep(600)\n"
        "    os._exit(0)\n"
        "pline.close()\n"
    )
    process = subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True)
    child = 0
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("child"):
                child = int(line.split()[1])
            if child and line.strip() == "1":
                break
        (run,) = (run for run in find_runs() if run.pid == process.pid)
        assert run.bulletin is not None and run.bulletin.script == str(script)
        process.kill()
        process.wait()
        assert [run for run in find_runs() if run.pid == process.pid] == []
    finally:
        process.kill()
        if child:
            os.kill(child, 9)
        process.communicate()


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where alone runs are looked for (a short path: sockets are to be in it)."""
    with tempfile.TemporaryDirectory(dir="/tmp") as path:
        monkeypatch.setattr(runs, "bases", lambda: iter([path]))
        monkeypatch.setattr(runs, "_of_sockets", lambda: iter(()))
        yield Path(path)


def test_what_killed_runs_have_left_is_none(place: Path) -> None:
    for name in ("aaaaaaaa", "bbbbbbbb", "unlocked-cccccccc"):
        (place / f"{PREFIX}{name}").mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(place / f"{PREFIX}bbbbbbbb" / SOCKET))
    assert len(directories()) == 3
    assert find_runs() == []


def test_what_others_could_have_made_is_passed_over(place: Path) -> None:
    (place / f"{PREFIX}aaaaaaaa").mkdir(mode=0o700)
    os.chmod(place / f"{PREFIX}aaaaaaaa", 0o770)
    (place / "elsewhere").mkdir(mode=0o700)
    (place / f"{PREFIX}bbbbbbbb").symlink_to(place / "elsewhere")
    (place / f"{PREFIX}cccccccc").write_text("")
    assert directories() == []


@pytest.mark.parametrize("answer", [b"{}", b"\xff", b'{"pid": 1}', b"[1]"])
def test_what_is_no_bulletin_is_a_run_that_does_not_answer(place: Path, answer: bytes) -> None:
    directory = place / f"{PREFIX}aaaaaaaa"
    directory.mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(directory / SOCKET))
        listener.listen()

        def serve() -> None:
            with listener.accept()[0] as client:
                client.send(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        assert find_runs() == [Found("aaaaaaaa", os.getpid(), None)]
        thread.join()


def test_who_never_answers_is_listed_as_that(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "PATIENCE_S", 0.2)
    directory = place / f"{PREFIX}aaaaaaaa"
    directory.mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(directory / SOCKET))
        listener.listen(0)
        assert find_runs() == [Found("aaaaaaaa", os.getpid(), None)]
        waiting = [socket.socket(socket.AF_UNIX) for _ in range(3)]
        try:
            for client in waiting:
                client.setblocking(False)
                client.connect_ex(str(directory / SOCKET))
            assert find_runs() == [Found("aaaaaaaa", 0, None)]
        finally:
            for client in waiting:
                client.close()


def test_a_run_in_another_temporary_directory_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(tmp_path / "1")
    pline = watched(gate).run()
    monkeypatch.setattr(runs, "bases", lambda: iter(()))
    assert len(here()) == 1
    gate.open()
    pline.close()
    wait_until(lambda: here() == [], "the run to be gone")
