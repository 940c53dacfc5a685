"""The way by which a worker gets its orders, and notices that its supervisor has ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

import minipipe as mp
from tests.conftest import children, run_directories, wait_until

SCRIPT = """
import ctypes
import threading
import time
import minipipe as mp

lock = threading.Lock() if {inherited} else None  # cannot be pickled

class Sleepy:
    def __init__(self):
        self.lock = lock

    def local_init(self):
        ctypes.CDLL(None).prctl(1, 0, 0, 0, 0)  # no signal when its parent ends (PR_SET_PDEATHSIG)

    def run(self, item):
        open("{place}/" + mp.get_worker_info().name, "w").close()
        time.sleep(0.001)
        return item

source, first, second = range(10**9), Sleepy(), Sleepy()
pline = mp.PipeLine([mp.Source(source), mp.Transform(first, "aa"), mp.Transform(second, "bb")])
for item in pline:
    pass
"""


@pytest.mark.parametrize("inherited", (False, True), ids=("zygote", "forked"))
def test_workers_end_with_their_supervisor_also_if_nobody_kills_them(
    tmp_path: Path, inherited: bool
) -> None:
    # By the end of what their orders come by: the kernel does not do it here, and the zygote of
    # those that have one cannot.
    before, zygotes, pids = children(), set[int](), list[int]()
    places = run_directories()
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(SCRIPT.format(inherited=inherited, place=tmp_path)))
    process = subprocess.Popen([sys.executable, str(script)], stderr=subprocess.DEVNULL)

    def workers() -> list[int]:
        return [pid for pid in children() - before if name_of(pid) in ("aa", "bb")]

    try:
        wait_until(lambda: all((tmp_path / name).exists() for name in ("aa", "bb")), "its workers")
        pids = workers()
        assert len(pids) == 2
        zygotes = {parent_of(pid) for pid in pids} - {process.pid}
        assert bool(zygotes) != inherited
        for zygote in zygotes:
            os.kill(zygote, signal.SIGSTOP)
        process.kill()
        process.wait()
        wait_until(lambda: not any(is_at_work(pid) for pid in pids), "the end of its workers", 20)
    finally:
        process.kill()
        process.wait()
        for pid in filter(is_at_work, pids):
            os.kill(pid, signal.SIGKILL)
        for zygote in zygotes:
            os.kill(zygote, signal.SIGCONT)  # it removes the run's directory
            wait_until(lambda: not any(map(is_at_work, zygotes)), "the end of the zygote", 20)
        # That of the Source does, too, and nobody here is its parent.
        wait_until(lambda: run_directories() <= places, "the run's directory to be gone", 20)


def stat_of(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def parent_of(pid: int) -> int:
    return int(stat_of(pid)[1])


def name_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except FileNotFoundError:
        return ""


def is_at_work(pid: int) -> bool:
    """Whether a process is there, and no zombie."""
    try:
        return stat_of(pid)[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("inherited", (False, True), ids=("zygote", "forked"))
def test_programs_that_a_functor_starts_have_nothing_of_how_its_orders_come(
    inherited: bool,
) -> None:
    lock = threading.Lock() if inherited else None

    def sockets(item: int) -> tuple[list[str], object]:
        command = ["readlink", *(f"/proc/self/fd/{fd}" for fd in range(64))]
        found = subprocess.run(command, close_fds=False, capture_output=True, text=True)
        held = [f for f in found.stdout.split() if f.startswith(("socket", "/memfd:minipipe"))]
        return held, None if lock is None else lock.locked()

    pline = mp.PipeLine([mp.Source([1]), mp.Transform(sockets, n_processes=1)])
    assert [held for held, _ in pline] == [[]]
