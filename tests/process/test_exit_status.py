"""A script that does not wait for its run: it ends like one that does, and says how that went."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

FAILS = "mp.Sink(lambda x: 1 / (x - 3))"
WORKS = "mp.Sink(lambda x: None)"

SCRIPT = """
import atexit, os, signal, sys, tempfile, threading, time

def early():
    print("the earliest handler")

atexit.register(early)
import minipipe as mp

out = open({out!r}, "w")
out.write("what the script wrote\\n")
directory = tempfile.TemporaryDirectory()
atexit.register(lambda: print("a late handler"))
{before}
mp.PipeLine([mp.Source({source}), {sink}]).run()
{after}
"""


def ended(tmp_path: Path, **parts: str) -> tuple[subprocess.CompletedProcess[str], str]:
    """What a script came to that lets the interpreter wait, and what is in its file."""
    defaults = {"before": "", "source": "range(20)", "sink": FAILS, "after": ""}
    out = tmp_path / "out.txt"
    path = tmp_path / "script.py"
    path.write_text(textwrap.dedent(SCRIPT.format(**{**defaults, **parts}, out=str(out))))
    command = [sys.executable, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    return done, out.read_text()


def test_after_a_failed_run_all_handlers_are_called_and_files_are_whole(tmp_path: Path) -> None:
    done, written = ended(tmp_path)
    assert done.returncode == 1
    assert "ZeroDivisionError" in done.stderr
    assert written == "what the script wrote\n"
    assert done.stdout.splitlines() == ["a late handler", "the earliest handler"]


LATE = """
from minipipe.supervisor.passes import Passes
end = Passes.end
Passes.end = lambda passes: (time.sleep(0.3), end(passes))
"""


def test_files_are_whole_although_the_runs_thread_is_at_its_last_steps(tmp_path: Path) -> None:
    done, written = ended(tmp_path, before=LATE)
    assert "ZeroDivisionError" in done.stderr
    assert written == "what the script wrote\n"


def test_files_are_whole_although_a_closed_runs_thread_is_at_its_last_steps(tmp_path: Path) -> None:
    closed = f"mp.PipeLine([mp.Source(range(9)), {WORKS}]).run().close()"
    done, written = ended(tmp_path, sink=WORKS, before=LATE + closed)
    assert done.returncode == 0, done.stderr
    assert written == "what the script wrote\n"


def test_handlers_are_called_when_the_run_has_ended(tmp_path: Path) -> None:
    use = "mp.Sink(lambda x: (time.sleep(0.02), open(f'{directory.name}/{x}', 'w')) and None)"
    after = "atexit.register(lambda: print(len(os.listdir(directory.name)), 'files'))"
    done, _ = ended(
        tmp_path,
        sink=use.replace("directory.name", "where"),
        after=after,
        before="where = directory.name",
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == "20 files"


def test_the_status_of_a_run_that_went_well_is_the_scripts_own(tmp_path: Path) -> None:
    done, _ = ended(tmp_path, sink=WORKS, after="sys.exit(3)")
    assert done.returncode == 3, done.stderr


def test_a_failed_run_is_no_success_of_a_script_that_exits_with_0(tmp_path: Path) -> None:
    done, written = ended(tmp_path, after="sys.exit(0)")
    assert done.returncode == 1, done.stderr
    assert written == "what the script wrote\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_the_interpreter_waits_is_what_the_script_dies_of(
    tmp_path: Path, number: signal.Signals
) -> None:
    sends = f"mp.Sink(lambda x: (time.sleep(0.1), x == 5 and os.kill(parent, {int(number)})))"
    done, written = ended(
        tmp_path, sink=sends, source="range(10**9)", before="parent = os.getpid()"
    )
    assert done.returncode == -number, done.stderr
    assert written == "what the script wrote\n"
    assert done.stdout.splitlines() == ["a late handler", "the earliest handler"]
    *waits, line = done.stderr.splitlines()
    assert all("a run has not" in text for text in waits)
    how = "interrupted" if number == signal.SIGINT else "terminated"
    assert line.startswith(f"minipipe: {how} after")
