"""`minipipe top` beside real runs, on a terminal and without one."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from minipipe.command import top
from minipipe.command.arguments import parsed
from minipipe.command.runs import Found
from tests.command import programs
from tests.command.programs import command, run
from tests.conftest import wait_until

ESCAPE = "\x1b"


@contextmanager
def watched(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A run that is at work, until the file `end` is there."""
    (folder / "watched.py").write_text(programs.WATCHED)
    process = programs.start(folder, command("run", "watched.py:pline", "--", str(folder / "end")))
    try:
        wait_until(
            lambda: is_at_work(folder, process.pid), "the run to be at work", programs.TIMEOUT_S
        )
        yield process
    finally:
        process.kill()
        process.communicate()


def is_at_work(folder: Path, pid: int) -> bool:
    done = run(folder, "top", "--json", str(pid))
    if done.returncode != 0:
        return False
    (told,) = json.loads(done.stdout)
    return bool(told["segments"][-1]["items"] > 3)


def ends_well(folder: Path, process: subprocess.Popen[str]) -> None:
    (folder / "end").write_text("")
    out, err = process.communicate(timeout=programs.TIMEOUT_S)
    assert process.returncode == 0, err
    assert re.search(r"check: 'all \d+ items and the end'", out), out


def test_two_runs_are_listed_and_shown_and_go_on_undisturbed(tmp_path: Path) -> None:
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
    with watched(folders[0]) as one, watched(folders[1]) as two:
        told = {run["pid"]: run for run in json.loads(run(tmp_path, "top", "--json").stdout)}
        for folder, process in zip(folders, (one, two), strict=True):
            assert told[process.pid]["script"] == str(folder / "watched.py")
            names = [segment["name"] for segment in told[process.pid]["segments"]]
            assert names == ["load", "wait", "check"]
            assert len(told[process.pid]["workers"]) == 4
        shown = run(tmp_path, "top", "--once").stdout
        assert f"watched.py, pid {one.pid}, running" in shown
        assert f"watched.py, pid {two.pid}, running" in shown
        alone = run(tmp_path, "top", "--once", told[one.pid]["run"]).stdout
        assert str(one.pid) in alone and str(two.pid) not in alone
        # Without a terminal, plain text for ever: a list first.
        several = programs.start(tmp_path, command("top", "--every", "0.2"))
        try:
            assert several.stdout is not None
            seen = ""
            while f"{one.pid}" not in seen or f"{two.pid}" not in seen:
                seen += several.stdout.readline()
            assert ESCAPE not in seen
            several.send_signal(signal.SIGINT)
            several.communicate(timeout=programs.TIMEOUT_S)
            assert several.returncode == 0, "how one leaves it"
        finally:
            several.kill()
            several.communicate()
        for folder, process in zip(folders, (one, two), strict=True):
            ends_well(folder, process)


@pytest.mark.parametrize(("kind", "columns"), [("xterm", 80), ("xterm", 40), ("dumb", 40)])
def test_a_run_that_is_killed_while_it_is_watched(tmp_path: Path, kind: str, columns: int) -> None:
    with watched(tmp_path) as process:
        terminal, end = pty.openpty()
        viewer = subprocess.Popen(
            command("top", str(process.pid), "--every", "0.2"),
            stdout=end,
            stderr=end,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "TERM": kind, "COLUMNS": str(columns)},
        )
        os.close(end)
        try:
            seen = read_until(terminal, "check")
            process.kill()
            process.wait()
            seen += read_until(terminal, "watched.py has ended")
            assert viewer.wait(programs.TIMEOUT_S) == 0
        finally:
            viewer.kill()
            viewer.wait()
            os.close(terminal)
    assert (ESCAPE in seen) == (kind == "xterm")
    plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", seen).replace("\r", "\n")
    assert max(map(len, plain.splitlines())) <= max(columns, 70 if columns == 40 else 0)
    assert ("queued" in plain) == (columns == 80)
    assert "Traceback" not in seen


def read_until(terminal: int, word: str) -> str:
    seen, until_s = "", time.monotonic() + programs.TIMEOUT_S
    while word not in seen:
        assert time.monotonic() < until_s, seen
        if select.select([terminal], [], [], 1.0)[0]:
            try:
                seen += os.read(terminal, 65536).decode()
            except OSError:  # the other end is closed
                break
    assert word in seen
    return seen


def test_a_process_that_has_no_run(tmp_path: Path) -> None:
    done = run(tmp_path, "top", str(os.getpid()))
    assert done.returncode == 1
    assert f"there is no run '{os.getpid()}'" in done.stderr


@pytest.mark.parametrize("text", ["0", "nan", "often"])
def test_an_interval_that_is_none(text: str, tmp_path: Path) -> None:
    done = run(tmp_path, "top", "--every", text)
    assert done.returncode == 2
    assert f"from 0.2 on, got {text!r}" in done.stderr


# ------------------------------------------------------------ in this process
def shown(monkeypatch: pytest.MonkeyPatch, runs: list[Found], *arguments: str) -> int:
    monkeypatch.setattr(top, "find_runs", lambda: runs)
    return top.main(parsed(["top", *arguments])[0])


def test_where_none_is_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments in ((), ("--once",), ("12",)):
        assert shown(monkeypatch, [], *arguments) == 1
        out, err = capsys.readouterr()
        assert out == ""
        assert "no run of yours is on" in err
    assert shown(monkeypatch, [], "--json") == 1
    assert json.loads(capsys.readouterr().out) == []


def test_a_run_that_does_not_answer(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stopped = Found("abcdefgh", 12, None)
    assert shown(monkeypatch, [stopped]) == 1
    assert "process 12 does not answer" in capsys.readouterr().err
    assert shown(monkeypatch, [stopped], "--once", "12") == 0
    assert "process 12 does not answer" in capsys.readouterr().out
    assert shown(monkeypatch, [stopped], "--json") == 0
    assert json.loads(capsys.readouterr().out) == [{"run": "abcdefgh", "pid": 12, "answers": False}]


def test_of_several_runs_of_a_process_one_must_be_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = [Found("abcdefgh", 12, None), Found("ijklmnop", 12, None)]
    assert shown(monkeypatch, runs, "12") == 2
    assert "abcdefgh or ijklmnop" in capsys.readouterr().err
    assert shown(monkeypatch, runs, "ijklmnop", "--once") == 0
