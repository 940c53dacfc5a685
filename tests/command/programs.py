"""Programs that the command is tried with, and the command itself as a process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

TIMEOUT_S = 120

# All that a program may define, used in workers; the part for `__main__` must not run.
WHOLE = """
import enum, functools, multiprocessing, sys, threading
from dataclasses import dataclass
import minipipe as mp

class Color(enum.Enum):
    RED = 1

@dataclass
class Item:
    n: int
    color: Color

@functools.lru_cache
def doubled(n):
    return n * 2

def load():
    for n in range(40):
        yield Item(n, Color.RED)

def square(n):
    return n * n

def check(item):
    assert item.color is Color.RED and type(item) is Item
    if item.n == 3:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            assert pool.map(square, [3]) == [9]
    return item

def double(item: "Item"):
    return Item(doubled(item.n), item.color)

class Held:  # it cannot be pickled
    def __init__(self):
        self.lock = threading.Lock()

    def run(self, item):
        with self.lock:
            return item

class Sum:
    def local_init(self):
        self.sum = 0

    def run(self, item):
        assert type(item) is Item
        self.sum += item.n

    def local_term(self):
        return self.sum

print("loaded as", __name__, "with", sys.argv[1:])
pline = mp.PipeLine([mp.Source(load, "load"), mp.Transform(check, "check", n_processes=2)])
pline.add(mp.Transform(double, "double"), n_processes=1)
pline.add(mp.Transform(Held(), "held"))
pline.add(mp.Sink(Sum(), "sum"))
open_ended = mp.PipeLine([mp.Source(range(10), "numbers"), mp.Transform(square, "square")])
number = 3
if __name__ == "__main__":
    raise SystemExit("this is not to run")
"""

FAILING = """
import minipipe as mp

def decode(n):
    if n == 5:
        raise ValueError("no good")
    return n

pline = mp.PipeLine([mp.Source(range(10)), mp.Transform(decode, "decode"), mp.Sink(print)])
"""

RUNNING = """
import minipipe as mp

pline = mp.PipeLine([mp.Source(range(3)), mp.Sink(print)])
pline.run()
pline.close()
"""

# It goes on until somebody ends it: the file tells that it is at work.
ENDLESS = """
import sys
import time
from pathlib import Path
import minipipe as mp

def load():
    n = 0
    while True:
        yield n
        n += 1

def note(n):
    time.sleep(0.01)
    if n == 3:
        Path(sys.argv[1]).write_text("at work")

pline = mp.PipeLine([mp.Source(load, "load"), mp.Sink(note, "note")])
"""


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "minipipe", *arguments]


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command, run in a folder to its end."""
    return subprocess.run(
        command(*arguments), cwd=folder, capture_output=True, text=True, timeout=TIMEOUT_S
    )


def start(folder: Path, arguments: Sequence[str], **environment: str) -> subprocess.Popen[str]:
    """A process that is to be ended by the test."""
    return subprocess.Popen(
        arguments,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )


# It goes on until a file is there, and then says whether all its items were in it.
WATCHED = """
import sys
import time
from pathlib import Path
import minipipe as mp

END, SLOW_S = Path(sys.argv[1]), 0.01

def load():
    n = 0
    while not END.exists():
        yield n
        n += 1
    yield -n

def wait(n):
    time.sleep(SLOW_S)
    return n

class Check:
    def local_init(self):
        self.seen = []

    def run(self, n):
        self.seen.append(n)

    def local_term(self):
        last = len(self.seen) - 1
        assert sorted(self.seen) == sorted([*range(last), -last]), self.seen
        return f"all {last} items and the end"

pline = mp.PipeLine([mp.Source(load, "load"), mp.Transform(wait, "wait", n_processes=2)])
pline.add(mp.Sink(Check(), "check"))
"""
