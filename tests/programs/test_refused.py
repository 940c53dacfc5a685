"""Messages that are refused: counted, kept as bytes, and never unpickled."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import msgpack
import pytest

import minipipe as mp
from minipipe.errors import MessageRefusedError, TooManyFailuresError
from tests.process.functors import Collect
from tests.programs.conftest import Start
from tests.programs.crafted import crafted, fussy

MAX_BYTES = 1000
GOOD = [msgpack.packb(i) for i in range(5)]
BAD: list[list[bytes]] = [[message] for message in crafted().values() if len(message) <= 10_000]
BAD += [[b"\xc4\xff" + b"x" * 255, b"second"], [b""] * 3, [msgpack.packb(b"x" * (MAX_BYTES + 1))]]


def b64(messages: list[list[bytes]]) -> list[list[str]]:
    return [[base64.b64encode(frame).decode() for frame in frames] for frames in messages]


def mixed() -> list[list[bytes]]:
    """Good ones between bad ones."""
    cut = len(BAD) // len(GOOD) + 1
    return [m for i, good in enumerate(GOOD) for m in (*BAD[i * cut : (i + 1) * cut], [good])]


def lines(inline: bool, *segments: Any) -> mp.PipeLine:
    pline = mp.PipeLine(list(segments))
    return pline.build(inline=True) if inline else pline


@pytest.mark.parametrize("inline", [False, True])
def test_the_first_one_ends_the_run(start: Start, address: str, inline: bool) -> None:
    start("send", "push", address, raw=b64([[GOOD[0]], BAD[0], [GOOD[1]]]))
    source = mp.ZmqSource(address, bind=True, ends=mp.Ends(count=3))
    with pytest.raises(MessageRefusedError, match="refused message 1") as caught:
        lines(inline, source, mp.Sink(Collect())).run().close()
    assert caught.value.where == "ZmqSource 'ZmqSource'"


@pytest.mark.parametrize("inline", [False, True])
@pytest.mark.parametrize("how", ["budget", "ignored"])
def test_others_come_and_those_are_counted_and_kept_as_bytes(
    start: Start, address: str, tmp_path: Path, inline: bool, how: str
) -> None:
    start("send", "push", address, raw=b64(mixed()), end="END")
    letters = tmp_path / "bad.letters"
    tolerance: dict[str, Any] = {
        "budget": {"max_failures": len(BAD)},
        "ignored": {"ignore_exceptions": MessageRefusedError},
    }[how]
    source = mp.ZmqSource(
        *(address, "feed"),
        bind=True,
        ends=mp.Ends(item="END"),
        max_bytes=MAX_BYTES,
        dead_letter=letters,
        **tolerance,
    )
    pline = lines(inline, source, mp.Sink(Collect(), "sink")).run()
    assert pline.close() == {"sink": list(range(5))}
    feed = pline.stats()["feed"]
    assert (feed.items_out, feed.dropped) == (5, len(BAD))
    records = list(mp.DeadLetters(letters).records())
    kept = [r.item if isinstance(r.item, list) else [r.item] for r in records]
    assert kept == BAD
    assert {record.error for record in records} == {"MessageRefusedError"}


def test_one_too_many_ends_the_run(start: Start, address: str) -> None:
    start("send", "push", address, raw=b64([*BAD[:4], [GOOD[0]]]))
    source = mp.ZmqSource(address, bind=True, ends=mp.Ends(count=5), max_failures=3)
    with pytest.raises(TooManyFailuresError) as caught:
        mp.PipeLine([source, mp.Sink(Collect())]).run().close()
    assert isinstance(caught.value.__cause__, MessageRefusedError)


def test_a_frame_that_is_far_too_large_ends_the_connection_and_no_more(
    start: Start, address: str
) -> None:
    start("send", "push", address, raw=b64([[GOOD[0]]]), junk_bytes=5_000_000, stays=True)
    source = mp.ZmqSource(address, bind=True, ends=mp.Ends(item="END"), max_bytes=MAX_BYTES)
    loop = iter(mp.PipeLine([source]))
    assert next(loop) == 0
    start("send", "push", address, raw=b64([[GOOD[1]]]), end="END")
    assert list(loop) == [1]


def test_what_a_codec_of_the_users_raises_refuses_the_message(
    start: Start, address: str, tmp_path: Path
) -> None:
    start("send", "push", address, raw=b64([[b"1"], [b"two"], [b"3"]]))
    source = mp.ZmqSource(
        address,
        bind=True,
        codec=fussy,
        ends=mp.Ends(count=3),
        ignore_exceptions=ValueError,
        dead_letter=tmp_path / "letters",
    )
    assert list(mp.PipeLine([source])) == [{"value": 1}, {"value": 3}]
    (record,) = mp.DeadLetters(tmp_path / "letters").records()
    assert record.item == b"two" and "invalid literal for int()" in record.text


def test_the_cause_decides_what_is_ignored(start: Start, address: str) -> None:
    start("send", "push", address, raw=b64([[b"1"], [b"two"], [b"3"]]))
    source = mp.ZmqSource(
        address, bind=True, codec=fussy, ends=mp.Ends(count=3), ignore_exceptions=KeyError
    )
    with pytest.raises(MessageRefusedError, match="its codec raised ValueError"):
        list(mp.PipeLine([source]))
