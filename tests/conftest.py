"""What every test has: a check that it left nothing behind, and a way to wait for a condition."""

from __future__ import annotations

import gc
import logging
import os
import re
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from minipipe.supervisor.rundir import PREFIX
from minipipe.version import core

DEADLOCK_S = 20.0

if os.environ.get("MINIPIPE_COMPILED") and core() != "compiled":
    raise pytest.UsageError("these tests are to run over a compiled core, and this one is pure")


def pytest_collection_finish() -> None:
    """What all test modules have imported (torch, for one) stays: no collection looks at it again.

    Each took half a second with it, and many tests make dozens.
    """
    gc.collect()
    gc.freeze()


def wait_until(condition: Callable[[], object], what: str, timeout_s: float = DEADLOCK_S) -> None:
    """Waits for `condition`; that it never comes is a deadlock."""
    until_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < until_s, f"waited {timeout_s} s in vain for: {what}"
        time.sleep(0.005)


def children() -> set[int]:
    """The processes that this one has started, and theirs."""
    parent_of: dict[int, int] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if fields[0] != "Z":
            parent_of[int(entry.parent.name)] = int(fields[1])
    found: set[int] = set()
    frontier = {os.getpid()}
    while frontier:
        frontier = {pid for pid, parent in parent_of.items() if parent in frontier}
        found |= frontier
    return found


# A shell that starts us in the background ignores Ctrl-C for us and all that we start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# A place of our own, so that other runs on this machine do not look like leftovers.
_place = tempfile.TemporaryDirectory(prefix="mp", dir="/tmp")
tempfile.tempdir = os.environ["TMPDIR"] = _place.name
os.environ.pop("XDG_RUNTIME_DIR", None)


def run_directories() -> set[str]:
    return {str(path) for path in Path(_place.name).glob(f"{PREFIX}*")}


def descriptors() -> set[str]:
    found = set()
    for fd in os.listdir("/proc/self/fd"):
        try:
            found.add(f"{fd}:{os.readlink(f'/proc/self/fd/{fd}')}")
        except FileNotFoundError:
            continue  # the one of listdir itself
    return found


def pipeline_threads() -> set[str]:
    return {t.name for t in threading.enumerate() if t.name.startswith("minipipe")}


@pytest.fixture(autouse=True)
def log_level_is_as_before() -> Iterator[None]:
    """Puts back what `build(log_lvl=...)` of a test has set for the whole process."""
    level = logging.getLogger("minipipe").level
    yield
    logging.getLogger("minipipe").setLevel(level)


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    """After every test: no process, thread, descriptor or run directory that was not there."""
    before = children(), run_directories(), descriptors()
    yield
    try:
        wait_until(lambda: not pipeline_threads(), "our threads to end", 10)
        wait_until(lambda: children() <= before[0], "all children to be gone", 10)
        assert run_directories() <= before[1]
        until_s = time.monotonic() + 10
        while not descriptors() <= before[2] and time.monotonic() < until_s:
            gc.collect()  # a frame that an error's traceback holds may hold arrays
            time.sleep(0.05)
        assert descriptors() <= before[2]
    finally:  # what a failed test has left running is not to slow the others down
        for pid in children() - before[0] - {os.getpid()}:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def named(value: object) -> str:
    """A test's id that is the same in each process: what stands in memory differs."""
    return re.sub(r" at 0x[0-9a-f]+", "", repr(value))
