"""What workers on other hosts keep of items is written here, and only where it belongs."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest

import minipipe as mp
from minipipe.dead_letters.reading import letters_in
from minipipe.errors import RecordError
from minipipe.graph import Part, line_graph
from minipipe.observe.span_buffer import RECORD
from minipipe.protocol.run import lifecycle as life
from minipipe.stream import records, wire
from minipipe.supervisor.letters_elsewhere import LettersElsewhere
from minipipe.supervisor.suspect_files import SuspectFiles
from minipipe.supervisor.tracing import Tracing
from minipipe.supervisor.worker_handle import handles_of
from minipipe.supervisor.worker_messages import WorkerMessages
from minipipe.transport import LOCAL, NATIVE, Trust, open_transport
from minipipe.worker import letters_elsewhere
from minipipe.worker.letters_elsewhere import Content, kept_for
from tests.supervisor.fakes import FakeVitals

RUN, SOURCE, WORK, SINK = 77, 1, 2, 3


class Supervisor:
    """The part of one that hears of letters; the worker of 'work' is on another host."""

    def __init__(self, place: Path) -> None:
        self.letters = str(place / "letters")
        options: dict[str, Any] = {"dead_letter": self.letters, "max_failures": 9}
        work = mp.Transform(print, "work", threads=2, **options)
        graph = line_graph([Part(s) for s in (mp.Source(range(9), "src"), work, mp.Sink(print))])
        handles = handles_of(graph, lambda member: FakeVitals())
        handles[WORK].host = "far"
        self.tracing = Tracing(graph)
        self.tracing.begin(str(place), handles.values)
        processes: Any = SimpleNamespace(
            handles=handles, items_in=lambda segment: 1, tracing=self.tracing
        )
        self.handle = handles[WORK]
        suspects = SuspectFiles(graph)
        suspects.directory = SimpleNamespace(path=str(place))  # type: ignore[assignment]
        self.suspects = suspects
        self.told: list[int] = []
        elsewhere = LettersElsewhere(RUN, processes, suspects, self.told.append)
        self.messages = WorkerMessages(RUN, graph, processes, self.told.append, elsewhere)

    def hear(
        self, record: NamedTuple, sender: int = WORK, trust: Trust = NATIVE
    ) -> list[life.Event]:
        """What follows from a record of a worker."""
        transport = open_transport("inproc://letters", trust=trust)
        message = wire.read([wire.Writer(RUN, sender).write([record])], transport.bind("s"))
        try:
            return list(self.messages.of_message(message))
        finally:
            transport.close()


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Supervisor]:
    return Supervisor(tmp_path)


def content(item: Any = "item", trust: Trust = NATIVE) -> bytes:
    about = ("ValueError", "no", "Traceback")
    return letters_elsewhere.write(Content(*about, *kept_for(item, trust)))


def letter(item: Any = "item", *, ends_run: bool = False) -> records.Letter:
    return records.Letter(SOURCE, 3, (0, 1), ends_run, content(item))


def test_a_letter_is_written_as_one_of_a_worker_here_and_then_its_worker_hears_so(
    supervisor: Supervisor,
) -> None:
    assert supervisor.hear(letter({"a": [1, 2]})) == []
    assert supervisor.told == [WORK]
    (found,) = letters_in(supervisor.letters)
    assert found.identity == (RUN, "work", "src", 3, (0, 1))
    assert (found.worker, found.error, found.text) == ("work", "ValueError", "no")
    assert found.trace == "Traceback"
    assert found.item() == {"a": [1, 2]}
    assert found.is_plain


def test_with_pickles_allowed_it_is_as_any_letter(supervisor: Supervisor) -> None:
    said = letter()._replace(content=content(mp.Batch, LOCAL))
    assert supervisor.hear(said, trust=LOCAL) == []
    (found,) = letters_in(supervisor.letters)
    assert found.item(allow_pickle=True) is mp.Batch


def test_a_suspect_is_kept_until_its_fate_is_known(supervisor: Supervisor, tmp_path: Path) -> None:
    leaf = (SOURCE, 3, (0, 1))
    said = records.Suspect(*leaf, content([7]))
    assert supervisor.hear(said) == supervisor.hear(said) == []
    assert supervisor.told == [WORK, WORK]
    assert len(list(tmp_path.glob("suspect-*"))) == 1
    supervisor.suspects.set_aside(leaf, supervisor.handle.segment.index)
    (found,) = letters_in(supervisor.letters)
    assert (found.number, found.item()) == (3, [7])
    assert supervisor.hear(said) == []
    supervisor.suspects.acquit(leaf, supervisor.handle.segment.index)
    assert list(tmp_path.glob("suspect-*")) == []


@pytest.mark.parametrize("sender", [SOURCE, SINK])
def test_of_a_segment_that_keeps_no_letters_none_is_written(
    sender: int, supervisor: Supervisor, tmp_path: Path
) -> None:
    for said in (letter(), records.Suspect(SOURCE, 3, (), content())):
        with pytest.raises(RecordError, match="keeps no dead letters"):
            supervisor.hear(said, sender)
    assert list(tmp_path.iterdir()) == []
    assert supervisor.told == []


@pytest.mark.parametrize("said", [b"", b"\x80\x04N.", b"\x01junk"])
def test_what_is_no_letter_is_refused_by_its_record(
    said: bytes, supervisor: Supervisor, tmp_path: Path
) -> None:
    for record in (records.Letter(1, 3, (), False, said), records.Suspect(1, 3, (), said)):
        with pytest.raises(RecordError, match=r"refused record [LS].* from worker 2"):
            supervisor.hear(record)
    assert list(tmp_path.iterdir()) == []


def full(*about: Any) -> None:
    raise OSError(28, "No space left on device")


def test_a_letter_that_cannot_be_written_ends_the_run_and_its_item_is_never_done(
    supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("minipipe.supervisor.letters_elsewhere.write", full)
    monkeypatch.setattr("minipipe.supervisor.suspect_files.write_suspect", full)
    for said in (letter(), records.Suspect(SOURCE, 3, (), content())):
        (stop,) = supervisor.hear(said)
        assert isinstance(stop, life.StopAsked)
        assert stop.outcome is life.Outcome.FAILED
        assert isinstance(stop.cause, OSError)
        (note,) = stop.cause.__notes__
        assert "item 3 of 'src'" in note
        assert "worker 'work' on host 'far'" in note
    assert supervisor.told == []


def test_of_the_item_that_ends_the_run_it_is_only_said_that_there_is_no_letter(
    supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("minipipe.supervisor.letters_elsewhere.write", full)
    with caplog.at_level(logging.WARNING):
        assert supervisor.hear(letter(ends_run=True)) == []
    assert "no dead letter of item 3 of 'src'" in caplog.text
    assert "No space left" in caplog.text
    assert supervisor.told == [WORK]  # which then tells what has ended the run


def test_what_a_worker_has_done_is_moved_to_the_clock_of_this_machine(
    supervisor: Supervisor,
) -> None:
    now_ns = time.monotonic_ns() + 3600 * 10**9  # its clock is ahead
    packed = RECORD.pack(now_ns - 5000, now_ns - 2000, 0, 0, 3000, 0, 0, 0)
    assert supervisor.hear(records.Spans(0, now_ns - 9000, packed, now_ns)) == []
    (track,) = [t for t in supervisor.tracing.timeline().tracks if t.ident == WORK and not t.thread]
    (span,) = track.spans[:1]
    assert span.end_ns - span.begin_ns == 3000
    assert span.begin_ns - track.born_ns == 4000
    assert abs(span.end_ns - time.monotonic_ns()) < 600 * 10**9


@pytest.mark.parametrize(
    "said",
    [
        records.Spans(3, 0, b"", 0),
        records.Spans(-1, 0, b"", 0),
        records.Spans(0, 0, b"half a record", 0),
        records.Spans(0, 0, RECORD.pack(*[2**64 - 1] * 8), 0),
        records.Spans(0, 0, RECORD.pack(*[0] * 8) * 10_000, 0),
    ],
    ids=lambda said: f"{said.thread} {len(said.packed)}",
)
def test_spans_that_cannot_be_are_refused(said: NamedTuple, supervisor: Supervisor) -> None:
    with pytest.raises(RecordError, match="refused record SPANS"):
        supervisor.hear(said)
