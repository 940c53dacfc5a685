"""Where the kernel refuses a call, as in many a container, a run takes the next best way."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from minipipe.worker import zygote
from minipipe.worker.descendants import UNKNOWN
from tests.conftest import wait_until
from tests.refusal import NUMBERS, run_refused

CALLS = sorted(NUMBERS["x86_64"])

BOTH_WAYS = """
import threading
import numpy as np
import minipipe as mp

lock = threading.Lock()

def inherited(x):  # a lock cannot be pickled
    with lock:
        return x + 1

class Add:
    def local_init(self):
        self.sum = 0.0
    def run(self, x):
        self.sum += float(x[0])
    def local_term(self):
        return self.sum

def arrays():
    for i in range(10):
        yield np.full(100_000, i, float)

pline = mp.PipeLine([mp.Source(arrays), mp.Transform(inherited), mp.Sink(Add(), "add")])
print(pline.run().close())
"""


@pytest.mark.parametrize("error", [errno.EPERM, errno.ENOSYS])
def test_a_run_does_without_all_calls_that_it_can_do_without(tmp_path: Path, error: int) -> None:
    refused = dict.fromkeys(CALLS, error)
    done = run_refused(refused, BOTH_WAYS, tmp_path, TMPDIR=str(tmp_path))
    assert done.stdout == "{'add': 55.0}\n", done.stderr
    assert done.stderr.count("large arrays travel inside messages") == 1
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


DEATHS = """
import os, threading
import minipipe as mp

lock = threading.Lock()

def dies(x):
    with lock:
        if x == 3:
            os._exit(7)
        return x

for functor in (dies, lambda x: os._exit(7)):
    pline = mp.PipeLine([mp.Source(range(9)), mp.Transform(functor, restart=False), mp.Sink(id)])
    try:
        pline.run().close()
    except mp.WorkerDiedError as error:
        print(error.how)
"""


def test_deaths_are_seen_where_nothing_wakes_up_for_them(tmp_path: Path) -> None:
    done = run_refused({"pidfd_open": errno.ENOSYS, "waitid": errno.ENOSYS}, DEATHS, tmp_path)
    assert done.stdout == "ended with exit code 7\n" * 2, done.stderr


LIVES_ON = """
import os, threading, time
import minipipe as mp

lock = threading.Lock()

def slow(x):
    with lock:
        print("pid", os.getpid(), flush=True)
        time.sleep(600)

pline = mp.PipeLine([mp.Source(range(9)), mp.Transform(slow), mp.Sink(id)]).run()
while not any(w.item is not None for w in pline.stats().segment("Transform")):
    time.sleep(0.01)
print("on", pline.stats().segment("Transform")[0].pid, flush=True)
os.kill(os.getpid(), 9)
"""


def test_workers_without_a_group_of_their_own_end_with_the_run_and_end_nobody_else(
    tmp_path: Path,
) -> None:
    # In a group with somebody else, who must not be hit.
    bystander = subprocess.Popen(["sleep", "600"], process_group=0)
    try:
        script = f"import os\nos.setpgid(0, {bystander.pid})\nrefuse(setpgid={errno.EPERM})\n"
        done = run_refused({"pidfd_open": errno.EPERM}, script + LIVES_ON, tmp_path)
        assert done.returncode == -signal.SIGKILL, done.stderr
        worker = int(done.stdout.split("on ")[1].split()[0])
        wait_until(lambda: not Path(f"/proc/{worker}/fd").exists(), "the worker's end")
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_a_child_is_collected_where_there_is_no_waitid(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "waitid")  # macOS, before Python 3.13
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    assert zygote.collect(child.pid) is None
    child.kill()
    found: list[int] = []
    wait_until(lambda: found.extend(filter(None, [zygote.collect(child.pid)])) or found, "its end")
    assert os.waitstatus_to_exitcode(found[0]) == -signal.SIGKILL
    assert zygote.collect(child.pid) == UNKNOWN
    child.communicate()
