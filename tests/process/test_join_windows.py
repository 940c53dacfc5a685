"""How much a join in step lets wait of one stream while it waits for another."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

import minipipe as mp
from minipipe.worker import joins
from tests.conftest import wait_until
from tests.process.functors import Collect, streams


class SlowAtFirst:
    """Has state, and takes its time for the first item."""

    def __init__(self) -> None:
        self.seen = 0

    def run(self, x: int) -> int:
        self.seen += 1
        if self.seen == 1:
            time.sleep(2.5)
        return x


def window(psys: Any, segment: str, inlet: int) -> int:
    """How many items may wait at this inlet of a segment's worker now."""
    hands = psys._execution._run._processes.handles.values()
    (hand,) = [h for h in hands if h.segment.name == segment]
    return int(hand.vitals.fullness(inlet)[1])


def test_a_stream_is_not_let_grow_while_the_other_one_is_just_slow() -> None:
    a, b, c, d, e = (mp.Stream(name, buffer_size=1) for name in "abcde")
    psys = mp.PipeSystem(
        [
            mp.Source([(i, i) for i in range(6)], "s", [a, b]),
            mp.Transform(SlowAtFirst(), "slow", b, c),
            mp.Batch(1, upstreams=c, downstreams=d),
            mp.Unbatch(upstreams=d, downstreams=e),
            mp.Sink(Collect(), "keep", [a, e]),
        ]
    )
    psys.run()
    most, until_s = 0, time.monotonic() + 60
    while not psys.stats()["keep"].items_in:
        assert time.monotonic() < until_s, "nothing comes"
        most = max(most, window(psys, "keep", 0))
        time.sleep(0.01)
    assert [(x, int(y)) for x, y in psys.close(60)["keep"]] == [(i, i) for i in range(6)]
    assert most == 1


def test_a_stream_grows_to_what_is_needed_and_not_much_further() -> None:
    s = mp.Stream("s", broadcast=True, buffer_size=1)
    a, b = mp.Stream("a", buffer_size=1), mp.Stream("b", buffer_size=1)
    psys = mp.PipeSystem(
        [
            mp.Source(range(240), downstreams=s),
            mp.Batch(60, upstreams=s, downstreams=a),
            mp.Unbatch(upstreams=a, downstreams=b),
            mp.Sink(Collect(), "keep", [b, s]),
        ]
    )
    psys.run()
    wait_until(lambda: psys.stats()["keep"].items_in > 60, "what needs room for 60", 60)
    assert 60 <= window(psys, "keep", 1) <= 128
    assert [(int(x), y) for x, y in psys.close(60)["keep"]] == [(i, i) for i in range(240)]


def test_streams_of_one_origin_that_come_unequally_often_are_warned_of(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Inherited(Collect):
        """Forked from here, where little is much."""

        def __init__(self) -> None:
            self.lock = threading.Lock()

    monkeypatch.setattr(joins, "MANY_ITEMS", 50)
    a, b = streams(2)
    items = [(i, i if i % 200 == 199 else None) for i in range(400)]
    psys = mp.PipeSystem(
        [
            mp.Source(items, "s", [a, b]),
            mp.Batch(1, upstreams=b, downstreams=(c := mp.Stream("c"))),
            mp.Sink(Inherited(), "keep", [a, c], strict=False),
        ]
    )
    kept = psys.run().close(60)["keep"]
    assert [(x, int(y[0])) for x, y in kept] == [(0, 199), (1, 399)]
    assert "items (0 MiB) wait on stream" in caplog.text
    assert "brings so few by 'c'" in caplog.text
