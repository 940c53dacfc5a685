"""What functors have started: ended with the run and collected, also where PID 1 does not do it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import minipipe as mp
from tests.conftest import wait_until

# Python is PID 1 here, as in many a container, and collects nobody's children but its own.
SCRIPT = """
import os, signal, subprocess, sys, time
import minipipe as mp

class Starts:
    def __init__(self):
        self.unpicklable = (i for i in ()) if {inherited} else None
    def run(self, item):
        assert subprocess.run([sys.executable, "-c", "raise SystemExit(3)"]).returncode == 3
        subprocess.Popen(["sleep", "1000"])
        subprocess.Popen(["sleep", "1001"], start_new_session=True)
        subprocess.run(["sh", "-c", "sleep 1002 & sleep 0.01"])
        from multiprocessing import shared_memory
        memory = shared_memory.SharedMemory(create=True, size=1000)
        memory.close()
        memory.unlink()
        if {kills}:
            os.kill(os.getpid(), signal.SIGKILL)
        return item

def others():
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != os.getpid():
            try:
                stat = open(f"/proc/{{name}}/stat").read().rpartition(")")[2].split()[0]
                command = open(f"/proc/{{name}}/cmdline").read().replace(chr(0), " ")
            except OSError:
                continue
            if "resource_tracker" not in command or stat == "Z":  # the caller's own one lives
                found.append((stat, command))
    return found

assert os.getpid() == 1
for _ in range(2):
    try:
        print(list(mp.PipeLine([mp.Source(range(2)), mp.Transform(Starts(), restart=False)])))
    except mp.WorkerDiedError:
        print("died")
until = time.monotonic() + 10
while others() and time.monotonic() < until:
    time.sleep(0.05)
print(others())
"""
UNSHARE = ["unshare", "--pid", "--fork", "--mount-proc"]


def can_be_pid_1() -> bool:
    try:
        return not subprocess.run([*UNSHARE, "true"], capture_output=True).returncode
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not can_be_pid_1(), reason="no PID namespace may be made here (unshare)")
@pytest.mark.parametrize("kills", [False, True], ids=["ends", "killed"])
@pytest.mark.parametrize("inherited", [False, True], ids=["pickled", "inherited"])
def test_where_python_is_pid_1_neither_zombies_nor_orphans_are_left(
    tmp_path: Path, inherited: bool, kills: bool
) -> None:
    if inherited and kills:
        pytest.skip(
            "what a killed worker, forked from the caller, has put into a session of its own"
        )
    path = tmp_path / "script.py"
    path.write_text(SCRIPT.format(inherited=inherited, kills=kills))
    command = [*UNSHARE, sys.executable, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    result = "died" if kills else "[0, 1]"
    assert done.stdout.splitlines() == [result, result, "[]"], done.stderr


def test_what_a_functor_starts_in_a_session_of_its_own_ends_with_the_run() -> None:
    def starts(item: int) -> int:
        return subprocess.Popen(["sleep", "1000"], start_new_session=True).pid

    (pid,) = mp.PipeLine([mp.Source(range(1)), mp.Transform(starts)])
    wait_until(lambda: not Path(f"/proc/{pid}").exists(), "its end")
    assert os.getpid() != pid
