"""What a dead letter holds when nobody has the item any more as it came."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from minipipe.codec import SlotGoneError
from minipipe.dead_letters.reading import letters_in
from minipipe.operators.work_item import WorkItem
from minipipe.shm import SlotRef
from minipipe.stream.arrived import Arrived
from minipipe.stream.parcel_decoder import ParcelDecoder
from minipipe.worker.failure import Failure
from minipipe.worker.skipped_items import DeadLetterWriter
from tests.stream.harness import Line


@pytest.fixture
def line() -> Iterator[Line]:
    made = Line([(lambda x: x, 1)])
    yield made
    made.close()


def test_what_a_join_has_let_go_of_is_written_as_the_functor_has_left_it(
    line: Line, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(decoder: ParcelDecoder, parcel: Arrived, number: int) -> Any:
        raise SlotGoneError(SlotRef(1, 2, 3, 4, 5))

    monkeypatch.setattr(ParcelDecoder, "original", gone)
    path = str(tmp_path / "letters")
    parcel = Arrived(0, 1, 1, 0, [(3, 4)], (), b"", (), 1)
    parts = [WorkItem((item,), 3, parcel, {}) for item in "ab"]
    failure = Failure(1, "its functor", 1, 3, "7", "ValueError", "no", "trace", None)
    writer = DeadLetterWriter(line.nodes[1], path, "join", "join/0", {}, "")
    writer.write(failure, ("a", "b"), None, parts)
    (letter,) = letters_in(path)
    assert letter.item() == ("a", "b")
