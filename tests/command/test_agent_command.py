"""`minipipe agent`: the token it joins by, and what its machine offers."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

import pytest

from minipipe.command import agent_arguments
from minipipe.command.agent import gpus_of, main, offer_of, token_of
from minipipe.errors import JoinError, TokenError, UsageError
from minipipe.process.cpus import usable_cpus
from minipipe.protocol.hosts.endpoints import Endpoint
from minipipe.protocol.hosts.names import is_name
from minipipe.protocol.hosts.offer import Offer, read_offer, write_offer
from minipipe.protocol.hosts.token import Token, without_tokens
from minipipe.transport.hosts.going_out import from_source
from minipipe.transport.token_text import VARIABLE, write_token

TOKEN = Token((Endpoint("10.0.0.7", 7711),), bytes(range(32)), bytes(range(100, 132)))
SECRET = TOKEN.text[60:90]
FOUR = {"CUDA_VISIBLE_DEVICES": "0,1,2,GPU-8f3c"}


def parsed(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    agent_arguments.add_to(parser)
    return parser.parse_args(arguments)


def offer(*arguments: str, **environ: str) -> Offer:
    return offer_of(parsed(*arguments), environ)


def test_a_machine_offers_what_it_has() -> None:
    made = offer(CUDA_VISIBLE_DEVICES="1,3")
    assert made.slots == usable_cpus()
    assert made.gpus == ("1", "3")
    assert made.tags == ()
    assert is_name(made.name)
    assert read_offer(write_offer(made)) == made


def test_or_what_it_is_told_to() -> None:
    made = offer(
        *("--slots", "3", "--tags", "gpu, big,gpu", "--name", "node-7", "--gpus", "2"), **FOUR
    )
    assert made == Offer("node-7", 3, ("0", "1"), ("gpu", "big"), os.getpid())


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        (None, ("0", "1", "2", "GPU-8f3c")),
        (0, ()),
        ((), ()),
        (1, ("0",)),
        (("3",), ("GPU-8f3c",)),
        (("2", "0"), ("2", "0")),
        (("GPU-77",), ("GPU-77",)),
    ],
)
def test_gpus_are_some_of_those_that_are_visible(
    asked: int | tuple[str, ...] | None, found: tuple[str, ...]
) -> None:
    assert gpus_of(asked, FOUR) == found


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (5, r"--gpus 5: this machine shows 4 \(CUDA_VISIBLE_DEVICES=0,1,2,GPU-8f3c\)"),
        (("4",), "--gpus: there is no GPU 4, this machine shows 4"),
        (("3", "GPU-8f3c"), "--gpus 3,GPU-8f3c: it names a GPU twice"),
    ],
)
def test_gpus_that_are_not_there_are_said(asked: int | tuple[str, ...], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        gpus_of(asked, FOUR)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--slots", "0"), "a whole number from 1 to"),
        (("--slots", "many"), "got 'many'"),
        (("--gpus", "two"), "a number of GPUs, or a list of them, got 'two'"),
        (("--tags", "a b"), "letters, digits, '.', '-' and '_'"),
        (("--tags", "gpu,local"), "not 'local' or 'any', got 'local'"),
        (("--name", "any"), "got 'any'"),
        (("--port", "65536"), "a number from 0 to 65535, or none, got '65536'"),
        (("--port", "all"), "got 'all'"),
    ],
)
def test_what_is_written_wrongly_is_said(
    arguments: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        parsed(*arguments)
    assert said in capsys.readouterr().err


def test_an_address_of_another_machine_is_none_to_go_out_by() -> None:
    assert from_source(TOKEN, "127.0.0.1").endpoints == (Endpoint("10.0.0.7", 7711, "127.0.0.1"),)
    with pytest.raises(UsageError, match=r"--interface 192.0.2.1: no address of this machine \("):
        from_source(TOKEN, "192.0.2.1")
    with pytest.raises(UsageError, match="--interface eth0: that is no IP address"):
        from_source(TOKEN, "eth0")


def test_the_token_comes_from_a_file_or_the_environment_which_then_has_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_token(TOKEN, tmp_path / "token")
    assert token_of(f"@{tmp_path}/token") == TOKEN
    monkeypatch.setenv(VARIABLE, TOKEN.text)
    assert token_of(None) == TOKEN
    assert VARIABLE not in os.environ
    with pytest.raises(TokenError, match="is missing"):
        token_of(None)


def test_without_tokens_a_text_is_as_it_was() -> None:
    assert without_tokens("--slots 3") == "--slots 3"
    assert without_tokens(f"--join={TOKEN.text} x") == "--join=MINIPIPE1-... x"


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere arguments cannot be taken back")
def test_others_do_not_see_the_token_among_the_arguments() -> None:
    program = (
        "import sys; from minipipe.command.agent import token_of; token_of(sys.argv[2])\n"
        "print(open('/proc/self/cmdline').read(), sys.argv)"
    )
    arguments = [sys.executable, "-c", program, "--join", TOKEN.text, "--slots", "3"]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True)
    assert "--join\0xxx" in done.stdout and "xxx\0--slots\x003\0" in done.stdout
    assert SECRET not in done.stdout


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere variables cannot be taken back")
def test_its_workers_do_not_see_the_token_in_the_environment_that_it_was_given() -> None:
    program = (
        "from minipipe.command.agent import token_of; token_of(None)\n"
        "print(open('/proc/self/environ').read())"
    )
    environment = {**os.environ, VARIABLE: TOKEN.text, "OTHER": "variables"}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert f"{VARIABLE}=xxx" in done.stdout and "OTHER=variables\0" in done.stdout
    assert SECRET not in done.stdout


def test_it_serves_and_says_why_it_could_not(capsys: pytest.CaptureFixture[str]) -> None:
    def serve(token: Token, offer: Offer, port: int | None) -> int:
        assert (token, offer.name, port) == (TOKEN, "x", 7712)
        if offer.slots > 1:
            raise JoinError("tcp://10.0.0.7:7711", "nobody listens there")
        return 0

    arguments = ["--join", TOKEN.text, "--name", "x", "--port", "7712"]
    assert main(parsed(*arguments, "--slots", "1"), serve) == 0
    assert main(parsed(TOKEN.text, "--name", "x", "--slots", "1", "--port", "7712"), serve) == 0
    assert main(parsed(*arguments, "--slots", "2"), serve) == 1
    shown = capsys.readouterr().err
    assert "nobody listens there" in shown
    assert main(parsed("--join", TOKEN.text[:-5]), serve) == 2
    shown += capsys.readouterr().err
    assert "minipipe agent: the token was cut: 5 characters are missing at its end\n" in shown
    assert SECRET not in shown
