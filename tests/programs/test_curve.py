"""Keys between processes: a ZmqSource and a ZmqSink that can be reached from outside."""

from __future__ import annotations

from typing import Any

import pytest

import minipipe as mp
from tests.process.functors import Collect
from tests.programs.conftest import Start, free_port

OURS, THEIRS, STRANGER = (mp.CurveKeys.new() for _ in range(3))


def options(keys: mp.CurveKeys, server: mp.CurveKeys = OURS) -> dict[str, Any]:
    """What pyzmq is told, in the other program."""
    return {
        "CURVE_SERVERKEY": server.public,
        "CURVE_PUBLICKEY": keys.public,
        "CURVE_SECRETKEY": keys.secret,
    }


def test_programs_with_keys_feed_it_and_strangers_do_not(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    port = free_port()
    source = mp.ZmqSource(
        f"tcp://0.0.0.0:{port}",
        bind=True,
        curve=mp.CurveServer(OURS, [THEIRS.public]),
        ends=mp.Ends(item="END"),
    )
    pline = mp.PipeLine([source, mp.Sink(Collect(), "sink")]).run()
    address = f"tcp://127.0.0.1:{port}"
    start("send", "push", address, count=50, first=900, end="END", linger_ms=0, stays=True)
    start("send", "push", address, count=50, first=900, options=options(STRANGER), stays=True)
    start("send", "push", address, count=50, options=options(THEIRS), end="END")
    assert [item["number"] for item in pline.close()["sink"]] == list(range(50))
    for keys in (OURS, THEIRS, STRANGER):
        assert keys.secret not in caplog.text


def test_a_program_with_keys_reads_it(start: Start) -> None:
    port = free_port()
    sink = mp.ZmqSink(
        f"tcp://0.0.0.0:{port}", bind=True, curve=mp.CurveServer(OURS, [THEIRS.public]), end=None
    )
    address = f"tcp://127.0.0.1:{port}"
    start("receive", "pull", address, end=None, options=options(STRANGER))
    program = start("receive", "pull", address, end=None, options=options(THEIRS))
    mp.PipeLine([mp.Source(range(50)), sink]).run().close()
    assert program.until("done")["numbers"] == list(range(50))


def test_a_pipeline_with_keys_feeds_another_one() -> None:
    port = free_port()
    sink = mp.ZmqSink(
        f"tcp://0.0.0.0:{port}", bind=True, curve=mp.CurveServer(OURS, [THEIRS.public]), end=None
    )
    first = mp.PipeLine([mp.Source(range(50)), sink]).run()
    source = mp.ZmqSource(
        f"tcp://127.0.0.1:{port}",
        curve=mp.CurveClient(OURS.public, THEIRS),
        ends=mp.Ends(item=None),
    )
    assert list(mp.PipeLine([source])) == list(range(50))
    first.close()


def test_that_there_are_no_keys_is_said_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    address = f"tcp://0.0.0.0:{free_port()}"
    source = mp.ZmqSource(address, bind=True, security="none", ends=mp.Ends(idle_s=0.1))
    assert list(mp.PipeLine([source])) == []
    assert "is neither encrypted nor authenticated (security='none')" in caplog.text
