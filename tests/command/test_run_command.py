"""`minipipe run` on programs, as a user would type it."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.command import programs
from tests.command.programs import run
from tests.conftest import wait_until


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("WHOLE", "FAILING", "RUNNING", "ENDLESS"):
        (tmp_path / f"{name.lower()}.py").write_text(getattr(programs, name))
    return tmp_path


def test_what_a_program_defines_works_in_workers(folder: Path) -> None:
    done = run(folder, "run", "whole.py:pline", "--seed", "1", "--", "--data", "here")
    assert done.returncode == 0, done.stderr
    assert "sum: 1560" in done.stdout.splitlines()
    # (Once more by the process that a functor has spawned, as of any script.)
    assert "loaded as __mp_main__ with ['--data', 'here']" in done.stdout
    assert "finished" in done.stderr


def test_options_are_set_also_where_add_was_given_others(folder: Path) -> None:
    settings = ("--set", "double.n_processes=3", "--set", "check.n_processes=1")
    done = run(folder, "run", "whole.py:pline", *settings, "--progress")
    assert done.returncode == 0, done.stderr
    assert "sum: 1560" in done.stdout.splitlines()


def test_other_machines_may_join(folder: Path) -> None:
    hosting = ("--bind", "tcp://127.0.0.1:0", "--name", "mine", "--token-file", "token")
    done = run(folder, "run", "whole.py:open_ended", *hosting)
    assert done.returncode == 0, done.stderr
    token = (folder / "token").read_text().strip()
    assert f"\nminipipe agent --join @{folder}/token\n" in f"\n{done.stderr}"
    assert token not in done.stderr  # which is no terminal
    assert "run 'mine': agents on this machine join it, and on no other" in done.stderr
    assert "(caller) 10 in" in done.stderr


def test_what_nobody_takes_is_dropped_and_that_is_said(folder: Path) -> None:
    done = run(folder, "run", "whole.py:open_ended", "--no-progress")
    assert done.returncode == 0, done.stderr
    assert "nobody takes what comes out" in done.stderr
    assert "(caller) 10 in" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere.py:pline"], "there is no file 'nowhere.py'"),
        (["whole.py"], "whole.py has 'pline', 'open_ended'"),
        (["whole.py:pline", "--set", "doubl.n_processes=2"], "did you mean 'double'?"),
        (["whole.py:pline", "--set", "double.n_processes=x"], "at least 1, got 'x'"),
        (["whole.py:pline", "--seed", "x"], "a whole number of at least 0, got 'x'"),
        (["whole.py:pline", "--seed", "-1"], "a whole number of at least 0, got '-1'"),
        (["whole.py:pline", "--metrics-port", "65536"], "the number of a port"),
        (["whole.py:pline", "--bind", "0.0.0.0:1"], "bind of run is 'tcp://HOST:PORT'"),
        (["whole.py:pline", "--token-file", "t"], "only where it has an address: add bind="),
        (["whole.py:pline", "--trace", "no/trace.json"], "cannot be written: No such file"),
    ],
)
def test_what_is_written_wrongly_is_said(folder: Path, arguments: list[str], said: str) -> None:
    done = run(folder, "run", *arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_program_of_no_pipeline(folder: Path) -> None:
    (folder / "none.py").write_text("x = 1\n")
    done = run(folder, "run", "none.py")
    assert done.returncode == 2
    assert "none.py has no pipeline at its top level" in done.stderr


def test_the_name_may_be_left_out_where_there_is_one(folder: Path) -> None:
    done = run(folder, "run", "failing.py", "--set", "decode.max_failures=1")
    assert done.returncode == 0, done.stderr
    assert [line for line in done.stdout.splitlines() if line.isdigit()] == [
        *"01234",
        *"6789",
    ]


def test_a_run_that_fails_gives_the_remote_traceback_and_one_message(folder: Path) -> None:
    done = run(folder, "run", "failing.py:pline")
    assert done.returncode == 1
    lines = done.stderr.splitlines()
    assert f'  File "{folder / "failing.py"}", line 6, in decode' in lines
    at = lines.index("minipipe run: ValueError: no good")
    assert "segment 'decode'" in lines[at + 1]
    assert "minipipe/pipeline" not in done.stderr, "our own frames are of no interest"


def test_a_program_that_fails_while_it_is_loaded(folder: Path) -> None:
    (folder / "broken.py").write_text("import minipipe as mp\n1 / 0\n")
    done = run(folder, "run", "broken.py:pline")
    assert done.returncode == 1
    assert f'File "{folder / "broken.py"}", line 2, in <module>' in done.stderr
    assert "ZeroDivisionError" in done.stderr
    assert "program.py" not in done.stderr


def test_a_program_that_is_no_python(folder: Path) -> None:
    (folder / "broken.py").write_text("def f(:\n")
    done = run(folder, "run", "broken.py:pline")
    assert done.returncode == 1
    assert "broken.py" in done.stderr and "SyntaxError" in done.stderr
    assert "program.py" not in done.stderr


def test_a_run_while_the_program_is_loaded_is_an_error_that_says_what_to_write(
    folder: Path,
) -> None:
    done = run(folder, "run", "running.py:pline")
    assert done.returncode == 1
    assert "line 5, in <module>" in done.stderr
    assert "put that under `if __name__ == '__main__':`" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_dies_of_a_signal_as_a_script_would(folder: Path, number: signal.Signals) -> None:
    at_work = folder / "at_work"
    process = programs.start(
        folder, programs.command("run", "endless.py:pline", "--", str(at_work))
    )
    try:
        wait_until(at_work.exists, "the run to be at work", programs.TIMEOUT_S)
        process.send_signal(number)
        _, err = process.communicate(timeout=programs.TIMEOUT_S)
    finally:
        process.kill()
    assert process.returncode == -number, err
    how = "interrupted" if number == signal.SIGINT else "terminated"
    assert f"minipipe: {how} after" in err
    assert "Traceback" not in err


def test_help_has_examples(folder: Path) -> None:
    assert "examples:" in run(folder, "--help").stdout
    assert "--set decode.n_processes=4" in run(folder, "run", "--help").stdout
