"""What a stateless worker makes of one sender's item never goes under another one's name."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from minipipe.protocol.delivery.paths import ROOT
from tests.stream.harness import Line

FIRST, SECOND = 1, 9  # two senders


@pytest.fixture
def line() -> Iterator[Line]:
    line = Line([(lambda x: x, 1)], buffer_size=2)
    line.introduce()
    for _ in range(5):
        for node in line.nodes:
            node.serve()
            node.flush(0.0, idle=True)
    yield line
    line.close()


def test_what_waits_for_a_place_keeps_its_origin(line: Line) -> None:
    worker, sink = line.nodes[1], line.nodes[2]
    outlet, inlet = line.outlet(worker), line.inlet(sink)
    assert outlet.set_origin(FIRST, 0, ROOT)
    for number in range(2):  # as many as there is credit for
        assert outlet.ready
        outlet.add(number, number)
    outlet.flush()
    # A consumer takes its tickets back, while one more waits for others to share its parcel.
    outlet.add(2, 2)
    outlet.choose_anew()
    assert not outlet.set_origin(SECOND, 0, ROOT)
    assert not outlet.set_origin(SECOND, 0, ROOT)
    arrived: list[tuple[int, int]] = []
    for _ in range(10):
        sink.serve()
        while inlet.queue:
            turn = inlet.next_batch()
            arrived += [(turn.parcel.origin, number) for number in turn.numbers]
            turn.reached(turn.parcel.count)
            inlet.end()
        sink.flush(0.0, idle=True)
        worker.serve()
        if outlet.set_origin(SECOND, 0, ROOT) and outlet.ready:
            outlet.add(0, 0)
            outlet.flush()
            break
    sink.serve()
    for parcel in inlet.queue:
        arrived += [(parcel.origin, number) for run in parcel.runs for number in range(*run)]
    assert arrived == [(FIRST, 0), (FIRST, 1), (FIRST, 2), (SECOND, 0)]


def test_with_nothing_waiting_it_changes_at_once(line: Line) -> None:
    outlet = line.outlet(line.nodes[1])
    outlet.choose_anew()
    assert outlet.set_origin(FIRST, 0, ROOT)
    assert outlet.set_origin(SECOND, 0, ROOT)
    assert outlet.set_origin(SECOND, 0, ROOT)
