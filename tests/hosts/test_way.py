"""What a way to another host knows of its use."""

from __future__ import annotations

from typing import Any, cast

import pytest

from minipipe.agent import way
from minipipe.agent.way import USE_S, Way
from minipipe.transport.hosts.link_end import LinkEnd


class End:
    """The end of a link that takes all, and says later that it has arrived."""

    has_room = True
    released = sent = 0

    def send(self, frames: Any) -> int:
        self.sent += 1
        return self.sent


def test_items_are_under_way_until_they_are_acknowledged(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s, end = 100.0, End()
    monkeypatch.setattr(way.time, "monotonic", lambda: now_s)
    to = Way(cast(LinkEnd, end))
    to.say([b"a word is no item"])
    now_s += 5.0
    assert to.use(now_s) is None and to.under_way_s == 0.0
    to.send([b"12345", memoryview(b"678")])
    now_s += 2.0
    assert to.use(now_s) == (2_000_000_000, 8)
    end.released = end.sent
    to.pump()
    now_s += 3.0  # nothing is under way
    end.has_room = False
    to.send([b"9"])  # it waits
    now_s += 1.0
    assert to.under_way_s == 3.0
    assert to.use(now_s) == (3_000_000_000, 9)
    assert to.use(now_s + USE_S) is None  # nothing new
