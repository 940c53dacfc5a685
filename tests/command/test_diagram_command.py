"""`minipipe diagram` and the options of `run` that write files."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
from pathlib import Path

import pytest

from tests.command import programs
from tests.command.programs import command, run
from tests.conftest import wait_until


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "failing.py").write_text(programs.FAILING)
    return tmp_path


def test_dots_text_is_printed(folder: Path) -> None:
    done = run(folder, "diagram", "failing.py:pline", "--set", "decode.n_processes=3", "--streams")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("digraph")
    assert "\u00d7 3" in done.stdout


def test_a_picture_without_dot_says_what_to_do_and_leaves_the_old_one(folder: Path) -> None:
    (folder / "graph.svg").write_text("the old one")
    done = subprocess.run(
        command("diagram", "failing.py", "-o", "graph.svg"),
        cwd=folder,
        capture_output=True,
        text=True,
        env={**os.environ, "PATH": ""},
        timeout=programs.TIMEOUT_S,
    )
    assert done.returncode == 2
    assert "apt install graphviz" in done.stderr and "Traceback" not in done.stderr
    assert (folder / "graph.svg").read_text() == "the old one"


@pytest.mark.parametrize(
    ("path", "said"),
    [("graph.xyz", "ends in one of .svg"), ("absent/graph.dot", "cannot be written: No such")],
)
def test_a_file_that_cannot_be(folder: Path, path: str, said: str) -> None:
    done = run(folder, "diagram", "failing.py", "-o", path)
    assert done.returncode == 2
    assert said in done.stderr


def test_a_trace_is_written(folder: Path) -> None:
    settings = ("--set", "decode.max_failures=1", "--trace", "trace.json")
    done = run(folder, "run", "failing.py", *settings)
    assert done.returncode == 0, done.stderr
    assert json.loads((folder / "trace.json").read_text())


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("report.xyz", "a report ends in .html"),
        ("absent/report.html", "cannot be written: No such file"),
        ("folder.html", "cannot be written: Is a directory"),
    ],
)
def test_a_report_that_cannot_be_is_refused_before_the_run(
    folder: Path, path: str, said: str
) -> None:
    (folder / "folder.html").mkdir()
    done = run(folder, "report", "failing.py", "-o", path)
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stdout == ""


def test_a_run_that_fails_has_a_report_too(folder: Path) -> None:
    done = run(folder, "report", "failing.py", "-o", "report.html")
    assert done.returncode == 1
    assert "ValueError: no good" in done.stderr
    assert f"report: {folder / 'report.html'}" in done.stdout
    assert "the run failed after" in (folder / "report.html").read_text()


def test_so_has_one_that_is_interrupted(folder: Path) -> None:
    (folder / "endless.py").write_text(programs.ENDLESS)
    at_work = folder / "at_work"
    process = programs.start(folder, command("report", "endless.py", "--", str(at_work)))
    try:
        wait_until(at_work.exists, "the run to be at work", programs.TIMEOUT_S)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=programs.TIMEOUT_S)
    finally:
        process.kill()
    assert process.returncode == -signal.SIGINT, err
    assert "Traceback" not in err
    text = (folder / "report.html").read_text()
    assert "the run was interrupted after" in text and '"item 2 of load"' in text


def test_a_reader_that_has_seen_enough_is_no_error(folder: Path) -> None:
    typed = " ".join(map(shlex.quote, command("diagram", "failing.py")))
    done = subprocess.run(
        ["bash", "-c", f"{typed} | true; exit ${{PIPESTATUS[0]}}"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=programs.TIMEOUT_S,
    )
    assert (done.returncode, done.stderr) == (0, "")
