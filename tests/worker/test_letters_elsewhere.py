"""Letters of workers on other hosts: what is in them arrives, and nothing that runs code does."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minipipe.dead_letters.errors import DeadLetterError
from minipipe.dead_letters.file import DeadLetterRecord, Kept, keep, write
from minipipe.dead_letters.reading import letters_in
from minipipe.dead_letters.table import show
from minipipe.errors import WireFormatError
from minipipe.stream import native_form, records, wire
from minipipe.transport import LOCAL, NATIVE
from minipipe.worker import letters_elsewhere
from minipipe.worker.failure import Failure
from minipipe.worker.letters_elsewhere import Content, kept_for
from minipipe.worker.skipped_items import DeadLetterWriter
from tests.conftest import DEADLOCK_S, wait_until
from tests.stream.harness import Line

FACTS = ("ValueError", "no \udc80", "Traceback")


class Unknown:
    """It has no native form."""

    def __repr__(self) -> str:
        return "Unknown(7)"


def sent(item: Any) -> Content:
    return Content(*FACTS, *kept_for(item, NATIVE))


@pytest.mark.parametrize("item", [7, "text", {"a": [1, b"x" * 9000]}, (1, 2.5), None], ids=repr)
def test_an_item_arrives_as_it_was(item: Any, tmp_path: Path) -> None:
    content = letters_elsewhere.read(letters_elsewhere.write(sent(item)), NATIVE)
    assert content == sent(item)
    path = str(tmp_path / "letters")
    write(path, record(), content.kept)
    (letter,) = letters_in(path)
    assert letter.item() == item


def record(**about: Any) -> DeadLetterRecord:
    return DeadLetterRecord(1, 1e9, "work", "work/0", "Source", 3, (), *FACTS, **about)


def test_an_array_is_there_as_it_is_now() -> None:
    item = np.arange(10_000.0)
    data = letters_elsewhere.write(sent(item))
    item[:] = 0.0
    kept = letters_elsewhere.read(data, NATIVE).kept
    assert kept.body == keep(np.arange(10_000.0)).body
    assert kept.frames == [np.arange(10_000.0).tobytes()]


@given(st.binary(max_size=200))
@settings(max_examples=50, deadline=None)
def test_bytes_of_anything_are_refused(data: bytes) -> None:
    with pytest.raises(WireFormatError):
        letters_elsewhere.read(native_form.NATIVE + data, NATIVE)


GOOD = (*FACTS, "", b"body", [b"frame"], [])


@pytest.mark.parametrize(
    "said",
    [
        None,
        GOOD[:-1],
        list(GOOD),
        *((*GOOD[:i], {}, *GOOD[i + 1 :]) for i in range(len(GOOD))),
        (*GOOD[:5], ["frame"], []),
        (*GOOD[:6], [(b"token", b"definition")]),
    ],
    ids=repr,
)
def test_what_is_no_letter_is_refused(said: Any) -> None:
    assert letters_elsewhere.read(native_form.write(GOOD), NATIVE).kept.frames == [b"frame"]
    with pytest.raises(WireFormatError):
        letters_elsewhere.read(native_form.write(said), NATIVE)


def test_definitions_of_classes_come_only_where_code_may() -> None:
    said = native_form.write((*GOOD[:6], [(b"token", b"definition")]))
    assert letters_elsewhere.read(said, LOCAL).kept.definitions == [(b"token", b"definition")]
    for wrong in (7, (b"token",), (b"token", None)):
        with pytest.raises(WireFormatError):
            letters_elsewhere.read(native_form.write((*GOOD[:6], [wrong])), LOCAL)


def test_an_item_without_a_native_form_is_left_out_and_told_in_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = sent([Unknown()])
    assert "Unknown cannot be sent" in content.left_out
    assert "in words it is [Unknown(7)]" in content.left_out
    path = str(tmp_path / "letters")
    write(path, record(left_out=content.left_out, is_plain=True), content.kept)
    (letter,) = letters_in(path)
    with pytest.raises(DeadLetterError, match="letter 0 is without its item: item"):
        letter.item(allow_pickle=True)
    assert show(path) == 0
    assert "(not kept)" in capsys.readouterr().out


def test_an_item_that_is_too_large_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(letters_elsewhere, "MAX_BYTES", 1 << 20)
    left_out, kept = kept_for(np.zeros(300_000), NATIVE)
    assert left_out.startswith("it takes 2 MiB, and another host keeps none above 1 MiB")
    assert "array float64[300000]" in left_out
    assert kept == Kept(b"", [], [])


def test_a_letter_of_another_host_is_never_unpickled(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(tmp_path / "letters")
    write(path, record(is_plain=True), keep(Unknown()))
    (letter,) = letters_in(path)
    with pytest.raises(DeadLetterError, match="import the modules before"):
        letter.item(allow_pickle=True)
    assert show(path) == 0
    assert "(not read)" in capsys.readouterr().out


@pytest.fixture
def line() -> Iterator[Line]:
    made = Line([(lambda x: x, 1)])
    made.introduce()
    yield made
    made.close()


@pytest.mark.parametrize("answer", [records.Kept(), records.Stop("failed")])
def test_a_worker_elsewhere_goes_on_when_its_letter_is_written_or_the_run_ends(
    answer: NamedTuple, line: Line
) -> None:
    node = line.nodes[1]
    writer = DeadLetterWriter(node, "letters", "work", "work/0", {}, "", is_here=False)
    failure = Failure(1, "its functor", 1, 3, "7", "ValueError", "no", "trace", None)
    waits = threading.Thread(target=writer.write, args=(failure, 7, None))
    waits.start()
    said = heard(line, records.Letter)
    assert (said.origin, said.number, said.path, said.ends_run) == (1, 3, (), False)
    assert letters_elsewhere.read(said.content, LOCAL).text == "no"
    assert waits.is_alive() and not node.handover.announced
    line.tell(node, answer, sender=0)
    waits.join(DEADLOCK_S)
    assert not waits.is_alive()
    assert node.handover.announced  # the hot loop looks at what has changed meanwhile
    assert node.handover.leave()


def heard(line: Line, kind: Any) -> Any:
    """The next record of this kind that comes to the supervisor."""
    found: list[Any] = []

    def comes() -> bool:
        buffers = line.supervisor.receive_within(0.1)
        if buffers is not None:
            found.extend(wire.read(buffers, line.supervisor).records())
        return any(isinstance(record, kind) for record in found)

    wait_until(comes, kind.__name__)
    return next(record for record in found if isinstance(record, kind))
