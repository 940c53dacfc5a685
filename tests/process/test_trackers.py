"""Shared memory of the user's own, and what else a resource tracker looks after."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import os, sys, time
import minipipe as mp
from multiprocessing import shared_memory

{create}
class Attach:
    def __init__(self):
        self.unpicklable = (i for i in ()) if {inherited} else None
    def run(self, name):
        self.memory = shared_memory.SharedMemory(name)
        self.memory.buf[0] = 1
        return name

for _ in range(3):
    for _ in mp.PipeLine([mp.Source([name] * 4), mp.Transform(Attach(), n_processes=2)]):
        pass
    time.sleep(0.3)  # an unlinking tracker would have the time to
    print(os.path.exists("/dev/shm/" + name))
{end}
"""
HERE = """
memory = shared_memory.SharedMemory(create=True, size=1000)
name = memory.name
"""
END = """
memory.close()
memory.unlink()
"""


@pytest.mark.parametrize("tracked", [True, False], ids=["tracked", "untracked"])
@pytest.mark.parametrize("inherited", [False, True], ids=["pickled", "inherited"])
def test_the_users_shared_memory_outlives_the_workers_that_attach_to_it(
    tmp_path: Path, inherited: bool, tracked: bool
) -> None:
    """Whether the caller has a tracker before, or gets it by what its workers register."""
    other = Path(f"/dev/shm/minipipe-test-{os.getpid()}-{int(inherited)}")  # of another program
    other.write_bytes(bytes(1000))
    try:
        path = tmp_path / "script.py"
        create = HERE if tracked else f"name = {other.name!r}"
        end = END if tracked else ""
        path.write_text(SCRIPT.format(create=create, end=end, inherited=inherited))
        command = [sys.executable, str(path)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        assert done.stdout.split() == ["True"] * 3
    finally:
        # At the caller's end its tracker unlinks it (before Python 3.13 nobody can tell it not to).
        other.unlink(missing_ok=True)


LEAKY = """
import os, signal, sys
import minipipe as mp

def leak(item):
    from multiprocessing import shared_memory
    memory = shared_memory.SharedMemory(create=True, size=1000)
    print(memory.name, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)

pline = mp.PipeLine([mp.Source(range(1)), mp.Sink(leak, restart=False)]).run()
try:
    pline.close()
except mp.WorkerDiedError:
    print("died", flush=True)
"""


def test_what_a_killed_worker_leaves_behind_the_callers_tracker_removes(tmp_path: Path) -> None:
    path = tmp_path / "script.py"
    path.write_text(LEAKY)
    command = [sys.executable, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    name, died = done.stdout.split()
    assert died == "died", done.stderr
    assert not os.path.exists(f"/dev/shm/{name}")


JOBLIB = """
import os, signal
import minipipe as mp

def squares(item):
    from joblib import Parallel, delayed
    import numpy as np
    got = Parallel(n_jobs=2, max_nbytes=1000)(delayed(np.sum)(np.ones(10_000)) for _ in range(4))
    if {kills}:
        os.kill(os.getpid(), signal.SIGKILL)
    return sum(got)

before = set(os.listdir("/dev/shm"))
p = mp.PipeLine([mp.Source(range(1)), mp.Transform(squares, restart=False)])
try:
    print(*p)
except mp.WorkerDiedError:
    print("died")
import time
until = time.monotonic() + 20
def made():
    names = [n for n in os.listdir("/dev/shm") if n.startswith(("joblib", "loky", "sem."))]
    return set(names) - before
while (left := made()) and time.monotonic() < until:
    time.sleep(0.05)
print(sorted(left))
"""


@pytest.mark.parametrize("kills", [False, True], ids=["ends", "killed"])
def test_semaphores_and_folders_of_joblib_go_with_the_worker(tmp_path: Path, kills: bool) -> None:
    pytest.importorskip("joblib")
    path = tmp_path / "script.py"
    path.write_text(JOBLIB.format(kills=kills))
    command = [sys.executable, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["died" if kills else "40000.0", "[]"]
