"""Addresses that users give: which are taken, and what is said of others."""

from __future__ import annotations

import os
import sys

import pytest

from minipipe.errors import OptionError
from minipipe.transport.addresses import parse_address


@pytest.mark.parametrize(
    ("text", "local"),
    [
        ("tcp://127.0.0.1:5555", True),
        ("tcp://127.8.9.1:1", True),
        ("tcp://localhost:65535", True),
        ("tcp://[::1]:5555", True),
        ("ipc:///tmp/socket", True),
        ("ipc://@name", True),
        ("tcp://10.0.0.1:5555", False),
        ("tcp://0.0.0.0:5555", False),
        ("tcp://*:5555", False),
        ("tcp://[::]:5555", False),
        ("tcp://eth0:5555", False),
        ("tcp://host.example:5555", False),
        ("tcp://localhost.example:5555", False),
    ],
)
def test_who_can_reach_an_address(text: str, local: bool) -> None:
    address = parse_address(text, "it", bind=True)
    assert (address.text, address.is_local) == (text, local)
    assert address.is_ipv6 == ("[" in text)


def test_a_path_is_whole_wherever_the_worker_is() -> None:
    address = parse_address("ipc://some/socket", "it", bind=True)
    assert address.path == os.path.abspath("some/socket")
    assert address.text == f"ipc://{address.path}"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (5555, "is 'tcp://HOST:PORT' or 'ipc://PATH', got 5555"),
        ("", "is 'tcp://HOST:PORT'"),
        ("127.0.0.1:5555", "is 'tcp://HOST:PORT'"),
        ("tpc://127.0.0.1:5555", "did you mean 'tcp'"),
        ("udp://127.0.0.1:5555", "unknown transport 'udp'"),
        ("inproc://name", "does not leave a process"),
        ("tcp://127.0.0.1", "is 'tcp://HOST:PORT'"),
        ("tcp://:5555", "is 'tcp://HOST:PORT'"),
        ("tcp://127.0.0.1:0", "from 1 to 65535"),
        ("tcp://127.0.0.1:65536", "from 1 to 65535"),
        ("tcp://127.0.0.1:*", "from 1 to 65535"),
        ("tcp://127.0.0.1:٣", "from 1 to 65535"),
        ("tcp://a;b:5555", "is 'tcp://HOST:PORT'"),
        ("tcp://127.0.0.1:5555/path", "is 'tcp://HOST:PORT'"),
        ("tcp://::1:5555", "in brackets"),
        ("ipc://", "nobody else would know"),
        ("ipc://*", "nobody else would know"),
        ("ipc:///tmp/a\0b", "is 'tcp://HOST:PORT'"),
        ("ipc:///tmp/" + "x" * 120, "more than 107"),
    ],
)
def test_what_is_wrong_with_an_address_is_said(text: object, why: str) -> None:
    with pytest.raises(OptionError) as caught:
        parse_address(text, "ZmqSource 'feed'", bind=True)
    assert why in str(caught.value) and "ZmqSource 'feed'" in str(caught.value)


@pytest.mark.parametrize("host", ["*", "0.0.0.0", "[::]"])
def test_nobody_connects_to_everywhere(host: str) -> None:
    with pytest.raises(OptionError, match="bind=True"):
        parse_address(f"tcp://{host}:5555", "it", bind=False)


def test_nothing_is_resolved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "socket", None)
    assert not parse_address("tcp://nowhere.invalid:1", "it", bind=False).is_local
