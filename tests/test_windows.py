"""On Windows MiniPipe can be imported, and runs inline; in processes it says what to do."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

CODE = """
from tests.windows import become_windows
become_windows()
import minipipe as mp

for name in mp.__all__:
    getattr(mp, name)
import minipipe.cli

class Count:
    def local_init(self):
        self.items = 0
    def run(self, batch):
        self.items += len(batch)
    def local_term(self):
        return self.items

def refuse_three(x):
    if x == 3:
        raise ValueError("no")
    return mp.empty(3, "int64") + x

pline = mp.PipeLine([
    mp.Source(range(10)),
    mp.Transform(refuse_three, max_failures=5, dead_letter="letters"),
    mp.Batch(2),
    mp.Sink(Count(), "count"),
])
print(pline.build(inline=True).run().close())
letters = mp.PipeLine([mp.DeadLetters("letters")])
print("again:", list(letters.build(inline=True)))
try:
    mp.PipeLine([mp.Source(range(3))]).run()
except mp.BuildError as error:
    print(error)
"""


def test_on_windows_inline_works_and_processes_are_refused_with_what_to_do(tmp_path: Path) -> None:
    root = str(Path(__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", CODE],
        env={**os.environ, "PYTHONPATH": root},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "{'count': 9}"
    assert lines[1] == "again: [3]"
    assert "WSL 2" in lines[2] and "inline=True" in lines[2]
