"""The keys of a run that were made before it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from minipipe.errors import OptionError
from minipipe.protocol.hosts.endpoints import Endpoint, parse_endpoint
from minipipe.transport.curve import CurveKeys
from minipipe.transport.hosts.run_keys import RunKeys, is_open_to_others

MADE = RunKeys.new([Endpoint("trainer", 7711)])


def test_keys_come_out_of_their_file_as_they_went_in(tmp_path: Path) -> None:
    MADE.save(tmp_path / "run.keys")
    assert RunKeys.load(tmp_path / "run.keys") == MADE
    assert (tmp_path / "run.keys").stat().st_mode & 0o777 == 0o600
    with pytest.raises(FileExistsError):
        MADE.save(tmp_path / "run.keys")


def test_no_secret_of_them_is_printed() -> None:
    shown = repr(MADE)
    assert MADE.server.public in shown
    assert MADE.server.secret not in shown and MADE.token.text not in shown


def test_keys_of_another_token_are_refused() -> None:
    with pytest.raises(OptionError, match="the token does not belong to these keys"):
        RunKeys(CurveKeys.new(), MADE.token)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda text: "", "is no file of `minipipe keys`"),
        (lambda text: text.replace("keys 1", "keys 2"), "is no file of `minipipe keys`"),
        (lambda text: text[:-9], "is no file of `minipipe keys`: the token was cut"),
        (lambda text: text.replace(MADE.server.secret, "x"), "secret of CurveKeys"),
    ],
)
def test_what_is_no_such_file_is_said(tmp_path: Path, change: object, said: str) -> None:
    assert callable(change)
    MADE.save(tmp_path / "run.keys")
    (tmp_path / "run.keys").write_text(change((tmp_path / "run.keys").read_text()))
    with pytest.raises(OptionError, match=said) as caught:
        RunKeys.load(tmp_path / "run.keys")
    assert MADE.server.secret not in str(caught.value)


@pytest.mark.skipif(os.name != "posix", reason="there are no such modes elsewhere")
def test_keys_that_others_can_read_are_refused(tmp_path: Path) -> None:
    MADE.save(tmp_path / "run.keys")
    os.chmod(tmp_path / "run.keys", 0o604)
    with pytest.raises(OptionError, match="can be read by others: chmod 600"):
        RunKeys.load(tmp_path / "run.keys")


@pytest.mark.parametrize(
    ("mode", "owner", "is_open"),
    [
        (0o600, 1000, False),
        (0o640, 1000, True),
        (0o440, 0, False),  # a Secret of Kubernetes with fsGroup
        (0o460, 0, True),
        (0o444, 0, True),
    ],
)
def test_a_group_may_read_what_is_roots(mode: int, owner: int, is_open: bool) -> None:
    status = os.stat_result((0o100000 | mode, 1, 1, 1, owner, 1, 1, 1, 1, 1))
    assert is_open_to_others(status) == is_open


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        ("trainer:7711", Endpoint("trainer", 7711)),
        ("tcp://10.0.0.7:80", Endpoint("10.0.0.7", 80)),
        ("[FD00::7]:7711", Endpoint("fd00::7", 7711)),
    ],
)
def test_an_address_is_read(text: str, endpoint: Endpoint) -> None:
    assert parse_endpoint(text) == endpoint


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("trainer", "HOST:PORT"),
        ("trainer:http", "HOST:PORT"),
        ("fd00::7:7711", "in brackets"),
        ("0.0.0.0:7711", "a place to bind to"),
        ("trainer:70000", "from 1 to 65535"),
    ],
)
def test_what_is_no_address_is_said(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse_endpoint(text)
