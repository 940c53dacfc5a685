"""What a worker sends of a record."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from typing import Any

import msgpack
import pytest

from minipipe.protocol.run.chunks import Assembly
from minipipe.supervisor.log_records import checked
from minipipe.worker.log_records import _Forwarder
from minipipe.worker.side_channel import SideChannel


class Pipe:
    def __init__(self) -> None:
        self.read, self.write = os.pipe()
        self.forwarder = _Forwarder(SideChannel(self.write), "work/0")

    def forwarded(self, message: object = "said", *args: Any, **about: Any) -> dict[str, Any]:
        made = logging.makeLogRecord({"name": "a", "msg": message, "args": args, **about})
        self.forwarder.forward(made)
        (whole,) = Assembly().add(os.read(self.read, 65_536))
        kind, fields = msgpack.unpackb(whole, unicode_errors="surrogatepass")
        assert kind == "log"
        return checked(fields)


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    made = Pipe()
    yield made
    os.close(made.read)
    os.close(made.write)


class Refuses:
    def __repr__(self) -> str:
        raise ValueError("no")


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        (1, 1),
        (2**63 - 1, 2**63 - 1),
        (-(2**63), -(2**63)),
        (2**63, str(2**63)),
        (None, None),
        (True, True),
        (0.5, 0.5),
        ("text", "text"),
        ("\ud800", "\ud800"),
        ([1, 2], "[1, 2]"),
        (Refuses(), "<Refuses whose repr raised ValueError>"),
    ],
)
def test_what_is_extra_is_plain(value: object, sent: object, pipe: Pipe) -> None:
    assert pipe.forwarded(mine=value)["extra"] == {"mine": sent}


def test_messages_are_texts_whatever_they_were(pipe: Pipe) -> None:
    assert pipe.forwarded("%s and %s", 1, [2])["msg"] == "1 and [2]"
    assert pipe.forwarded({"a": 1})["msg"] == "{'a': 1}"
    assert pipe.forwarded("\ud800 alone")["msg"] == "\ud800 alone"


def test_a_traceback_that_was_formatted_is_not_formatted_again(pipe: Pipe) -> None:
    try:
        raise KeyError("gone")
    except KeyError:
        about = sys.exc_info()
    assert "KeyError: 'gone'" in pipe.forwarded(exc_info=about)["exc_text"]
    assert pipe.forwarded(exc_info=about, exc_text="short")["exc_text"] == "short"


def test_what_no_pipe_can_hold_is_told_on_stderr(
    pipe: Pipe, capfd: pytest.CaptureFixture[str]
) -> None:
    pipe.forwarder.forward(logging.makeLogRecord({**LAST, "levelno": 2**70}))
    told = capfd.readouterr().err
    assert "--- Logging error ---" in told and "the last word" in told


def test_if_nobody_reads_it_is_shown_on_stderr(capfd: pytest.CaptureFixture[str]) -> None:
    read, write = os.pipe()
    os.close(read)
    try:
        _Forwarder(SideChannel(write), "work/0").forward(logging.makeLogRecord(LAST))
    finally:
        os.close(write)
    assert capfd.readouterr().err == "the last word\n"


LAST = {"name": "a", "msg": "the last word", "levelno": logging.WARNING}
