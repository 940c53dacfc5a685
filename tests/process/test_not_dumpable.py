"""Workers that others may not look into: their arrays travel in messages, and nothing hangs."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.privileges import run_ordinary

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_DUMPABLE is Linux")

FUNCTORS = """
import ctypes, os, time
import numpy as np
import minipipe as mp

def forbid():
    ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)  # PR_SET_DUMPABLE

def arrays():
    for i in range(12):
        yield np.full(100_000, i, float)

def forbidding():
    forbid()
    yield from arrays()

def add(x):
    return x + 1

def add_and_forbid_midway(x):
    if x[0] == 5:
        forbid()
    return x + 1

def pass_on(x):
    forbid()
    return x

class Total:
    def local_init(self):
        self.total = 0.0
    def run(self, x):
        self.total += float(x.sum()) / x.size
    def local_term(self):
        return self.total

def total(*pipes):
    pline = mp.PipeLine([*pipes, mp.Sink(Total(), "total")])
    print(pline.run().close(60)["total"])
"""
WARNING = "its large arrays travel inside messages"


@pytest.mark.parametrize(
    ("pipes", "expected", "who"),
    [
        ("mp.Source(forbidding), mp.Transform(add)", 78.0, "source 'Source'"),
        ("mp.Source(arrays), mp.Transform(pass_on, n_processes=2)", 66.0, "transform 'Transform'"),
        ("mp.Source(arrays), mp.Transform(add_and_forbid_midway)", 78.0, "transform 'Transform'"),
    ],
    ids=["a source from the start", "a relay that passes on", "a transform in the middle"],
)
def test_arrays_of_a_worker_that_others_may_not_look_into_travel_in_messages(
    tmp_path: Path, pipes: str, expected: float, who: str
) -> None:
    done = run_ordinary(FUNCTORS + f"total({pipes})\n", tmp_path)
    assert done.stdout == f"{expected}\n", done.stderr
    assert done.stderr.count(WARNING) == 1 and f"{who}: {WARNING}" in done.stderr


BARRED = """
from minipipe.codec import lender
lender.is_open_to_others = lambda: True  # as where the kernel does not tell

try:
    total(mp.Source(forbidding), mp.Transform(add))
except OSError as error:
    print(type(error).__name__, error)
"""


def test_an_array_that_cannot_be_had_of_one_who_lives_is_an_error(tmp_path: Path) -> None:
    # The functor brings it into the worker, whose modules are imported anew.
    patched = FUNCTORS.replace(
        "def forbid():\n",
        "def forbid():\n    from minipipe.codec import lender\n"
        "    lender.is_open_to_others = lambda: True  # as where the kernel does not tell\n",
    )
    done = run_ordinary(patched + BARRED, tmp_path)
    assert done.stdout.startswith("SlotBarredError an array in the shared memory of process")
    assert "Permission denied" in done.stdout and "run(shared_bytes=0)" in done.stdout
    assert WARNING not in done.stderr


OTHER_USER = """
class Changes(Total):
    def local_init(self):
        super().local_init()
        os.setuid(65534)
try:
    pline = mp.PipeLine([mp.Source(arrays), mp.Transform(add), mp.Sink(Changes(), "total")])
    pline.run().close(60)
except (mp.RunTimeoutError, OSError) as error:
    print(type(error).__name__)
"""


def test_a_worker_that_becomes_another_user_does_not_hang(tmp_path: Path) -> None:
    done = run_ordinary("import os\n" + FUNCTORS + OTHER_USER, tmp_path)
    if "Operation not permitted" in done.stderr + done.stdout or "PermissionError" in done.stdout:
        pytest.skip("only root may become another user")
    # It may come to connect to the others before, or not to their sockets any more either.
    assert done.stdout.strip() in ("SlotBarredError", "TransportError"), done.stderr
