"""The command line."""

from __future__ import annotations

import subprocess
import sys

import minipipe
from minipipe.version import core


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "minipipe", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_it_says_its_version() -> None:
    assert run("--version").stdout == f"minipipe {minipipe.__version__} ({core()})\n"


def test_an_unknown_command_is_an_error_that_names_the_known() -> None:
    done = run("deom")
    assert done.returncode == 2
    assert "demo" in done.stderr


def test_the_demo_explains_its_options() -> None:
    done = run("demo", "--help")
    assert done.returncode == 0
    assert "--workers" in done.stdout


def test_the_version_is_above_that_of_the_older_package() -> None:
    major, minor, patch = minipipe.__version__.split(".")
    assert (int(major), int(minor), int(patch)) > (0, 1, 9)


def test_a_token_is_taken_without_join_too_and_shown_by_no_error() -> None:
    for arguments in (("MINIPIPE1-AFhjz8Q2",), ("--join", "MINIPIPE1-AFhjz8Q2")):
        done = run("agent", *arguments)
        assert done.returncode == 2
        assert done.stderr.startswith("minipipe agent: the token was cut")
    done = run("agent", "MINIPIPE1-AFhjz8Q2", "--join", "@token")
    assert done.returncode == 2
    assert done.stderr.startswith("minipipe agent: there are two tokens")
    done = run("agent", "@token", "MINIPIPE1-AFhjz8Q2")
    assert done.returncode == 2
    assert done.stderr.endswith("minipipe: error: unrecognized arguments: MINIPIPE1-...\n")


def test_an_agent_without_a_token_says_how_to_give_it_one() -> None:
    done = run("agent")
    assert done.returncode == 2
    assert done.stderr == (
        "minipipe agent: the token is missing: give it, or @FILE, or set MINIPIPE_TOKEN\n"
    )
