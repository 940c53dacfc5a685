"""`minipipe keys`, and runs and agents that use what it has made."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import minipipe as mp
from minipipe.cli import main
from minipipe.command.waiting import serve_when_there, token_file
from minipipe.errors import JoinError, TokenError
from minipipe.protocol.hosts.endpoints import Endpoint
from minipipe.protocol.hosts.token import Token
from minipipe.transport.hosts.run_keys import RunKeys
from minipipe.transport.token_text import VARIABLE, read_token
from tests.programs.conftest import free_port

AGENT = [sys.executable, "-m", "minipipe", "agent"]


def test_both_files_are_made_and_none_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    asked = ["keys", "--address", "trainer:7711", "-o", "a.keys"]
    assert main(asked) == 0
    shown = capsys.readouterr().out
    assert shown.splitlines() == [
        "a.keys: for the run alone, run(bind=..., keys='a.keys')",
        "a.token: for other machines, minipipe agent --join @a.token",
    ]
    made = RunKeys.load("a.keys")
    assert read_token("@a.token") == made.token
    assert [one.address for one in made.token.endpoints] == ["tcp://trainer:7711"]
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}

    assert main(asked) == 1
    assert "'a.keys' exists already" in capsys.readouterr().err
    os.unlink("a.keys")
    assert main(asked) == 1
    assert "'a.token' exists already" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["a.token"]


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["--address", "trainer"], 2, "it is written HOST:PORT, got 'trainer'"),
        ([], 2, "--address"),
        (["--address", "a:1", "-o", "x", "--token-file", "./x"], 2, "two files"),
        (["--address", "a:1", "-o", "nowhere/x"], 1, "cannot be written: No such file"),
    ],
)
def test_what_cannot_be_is_said(
    arguments: list[str],
    status: int,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    try:
        assert main(["keys", *arguments]) == status
    except SystemExit as ended:
        assert ended.code == status
    assert said in capsys.readouterr().err


def test_an_agent_that_came_first_joins_by_the_token_that_was_made_first(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    port = free_port()
    keys, token = tmp_path / "run.keys", tmp_path / "run.token"
    assert main(["keys", "--address", f"127.0.0.1:{port}", "-o", str(keys)]) == 0
    arguments = ["--join", f"@{token}", "--wait", "60", "--slots", "1", "--tags", "away"]
    with subprocess.Popen([*AGENT, *arguments], stderr=subprocess.PIPE, text=True) as agent:
        assert agent.stderr is not None
        assert "waiting for the run, 60 s at most: could not join" in agent.stderr.readline()
        pline = mp.PipeLine([mp.Source(range(3)), mp.Transform(str, on="away")])
        pline.run(bind=f"tcp://127.0.0.1:{port}", keys=keys)
        assert list(pline) == ["0", "1", "2"]
        assert "has joined run" in agent.stderr.readline()
        assert agent.wait(60) == 0
    assert pline.token == token.read_text().strip()
    shown = capfd.readouterr().err
    assert "minipipe agent --join @FILE" in shown and pline.token not in shown


def test_keys_that_are_not_there_are_said(tmp_path: Path) -> None:
    pline = mp.PipeLine([mp.Source(range(3))])
    with pytest.raises(mp.StartError, match=r"keys='.*none' of run cannot be used: No such file"):
        list(pline.run(bind="tcp://127.0.0.1:0", keys=tmp_path / "none"))
    with pytest.raises(mp.OptionError, match="keys= of run is for security='curve'"):
        pline.run(bind="tcp://127.0.0.1:0", keys="x", security="none")


def test_a_log_has_no_token_that_is_in_a_file(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    pline = mp.PipeLine([mp.Source(range(3))])
    assert list(pline.run(bind="tcp://127.0.0.1:0", token_file=tmp_path / "token")) == [0, 1, 2]
    shown = capfd.readouterr().err
    assert f"minipipe agent --join @{tmp_path}/token\n" in shown
    assert pline.token is not None and pline.token not in shown


class Runs:
    """What an agent that waits meets, in this order."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *met: JoinError | int) -> None:
        self.met, self.now_s = list(met), 0.0
        for name, instead in (("sleep", self._sleep), ("monotonic", lambda: self.now_s)):
            monkeypatch.setattr(f"minipipe.command.waiting.time.{name}", instead)
        monkeypatch.setattr("minipipe.command.waiting.signal.signal", lambda *_: None)

    def _sleep(self, seconds: float) -> None:
        self.now_s += seconds

    def serve(self, _: Token) -> int:
        self.now_s += 1
        outcome = self.met.pop(0)
        if isinstance(outcome, JoinError):
            raise outcome
        return outcome


AWAY = JoinError("tcp://trainer:7711", "nobody listens on that port")
TOKEN = RunKeys.new([Endpoint("trainer", 7711)]).token


def test_the_file_and_the_run_are_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    runs, file = Runs(monkeypatch, AWAY, AWAY, 0), tmp_path / "token"
    there = iter([False, False])
    monkeypatch.setattr(
        "minipipe.command.waiting.os.path.exists",
        lambda path: path == str(file) and next(there, True),
    )
    assert serve_when_there(lambda: TOKEN, runs.serve, str(file), 100) == 0
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2, lines
    assert f"there is no file {str(file)!r} yet" in lines[0] and "nobody listens" in lines[1]


def test_the_wait_ends_with_what_is_the_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    runs = Runs(monkeypatch, *[AWAY] * 20)
    with pytest.raises(JoinError, match="nobody listens"):
        serve_when_there(lambda: TOKEN, runs.serve, None, 10)
    assert 9 <= runs.now_s <= 11
    with pytest.raises(TokenError, match="No such file"):
        serve_when_there(lambda: read_token("@none"), runs.serve, "none", 10)


def test_who_is_refused_waits_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    runs = Runs(monkeypatch, JoinError("x", "it has refused: another Python", True), 0)
    with pytest.raises(JoinError, match="another Python"):
        serve_when_there(lambda: TOKEN, runs.serve, None, 100)


def test_a_token_may_be_in_a_file_that_the_environment_names() -> None:
    assert token_file("@a", {}) == "a"
    assert token_file(None, {VARIABLE: "@b"}) == "b"
    assert token_file("MINIPIPE1-x", {VARIABLE: "@b"}) is None
    assert token_file(None, {}) is None
