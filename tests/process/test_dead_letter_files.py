"""Files of dead letters: who may write them, what they say, and what is left of damaged ones."""

from __future__ import annotations

import contextlib
import itertools
import multiprocessing
import os
import struct
import threading
import time
import zlib
from datetime import datetime, timedelta
from pathlib import Path

import msgpack
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import minipipe as mp
from minipipe.cli import main
from minipipe.dead_letters.file import (
    HEADER,
    DeadLetterRecord,
    check_writable,
    encode_record,
    keep,
    write,
)
from minipipe.dead_letters.reading import letters_in

INLINE = pytest.mark.parametrize("inline", [False, True], ids=["processes", "inline"])


def no_nines(x: int) -> int:
    if x % 10 == 9:
        raise ValueError(f"no good: {x}")
    return x


def letter(number: int, text: str = "no good") -> DeadLetterRecord:
    return DeadLetterRecord(1, 1e9, "work", "work", "Source", number, (), "ValueError", text, "")


def file_of(path: Path, count: int = 3) -> bytes:
    path.unlink(missing_ok=True)
    for number in range(count):
        write(str(path), letter(number), keep(number))
    return path.read_bytes()


def numbers(path: Path) -> list[int]:
    found = []
    with contextlib.suppress(mp.DeadLetterError):
        found.extend(one.number for one in letters_in(str(path)))
    return found


# ------------------------------------------------------------------- damage
LENGTH_AT = len(HEADER) + 4


@pytest.mark.parametrize("length", [2**63, 2**64 - 1, 2**40, 2**31], ids=hex)
def test_a_damaged_length_is_an_error_of_ours_and_hides_nothing_that_is_whole(
    length: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "bad.letters"
    data = bytearray(file_of(path))
    data[LENGTH_AT : LENGTH_AT + 8] = struct.pack("<Q", length)
    path.write_bytes(data)
    with pytest.raises(mp.BuildError, match="damaged after 0 whole letters, and 2 more are whole"):
        mp.DeadLetters(path)
    assert list(mp.PipeLine([mp.DeadLetters(path, strict=False)]).build(inline=True)) == [1, 2]
    capsys.readouterr()
    assert main(["dead-letters", str(path)]) == 1
    told = capsys.readouterr()
    assert len(told.out.splitlines()) == 3
    assert told.err.startswith("minipipe: dead letters in ")
    assert len(told.err.splitlines()) == 1


def test_a_record_that_was_half_written_hides_none_that_came_later(tmp_path: Path) -> None:
    path = tmp_path / "bad.letters"
    whole = file_of(path, 2)
    half = encode_record(letter(7), keep(b"x" * 5000))[:-2500]  # a writer was killed in the middle
    path.write_bytes(whole + half)
    write(str(path), letter(8), keep(8))
    assert numbers(path) == [0, 1, 8]


def test_what_a_damaged_letter_holds_is_not_taken_for_letters(tmp_path: Path) -> None:
    path = tmp_path / "bad.letters"
    inner = file_of(path, 2)
    path.unlink()
    write(str(path), letter(5), keep(inner))
    start = len(path.read_bytes())
    write(str(path), letter(6), keep(6))
    data = bytearray(path.read_bytes())
    data[start - 1] ^= 1
    path.write_bytes(data)
    assert numbers(path) == [6]


def record(payload: bytes) -> bytes:
    return struct.pack("<4sQI", b"ltr\n", len(payload), zlib.crc32(payload)) + payload


_ABOUT = {
    **dict.fromkeys(("segment", "worker", "origin", "error", "text", "trace"), "x"),
    **{"run": 1, "number": 2, "time_s": 1e9, "path": []},
}
_ANY = st.recursive(
    st.none() | st.integers(-1, 2**64 - 1) | st.floats() | st.binary(max_size=9) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
_CRAFTED = st.tuples(
    st.dictionaries(st.sampled_from(sorted(_ABOUT)), _ANY).map(lambda odd: {**_ABOUT, **odd}),
    st.one_of(st.just(keep([1, "a"]).body), _ANY),
    st.one_of(st.just([]), _ANY),
    st.one_of(st.just([]), _ANY),
)


def reads_or_refuses(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    with contextlib.suppress(mp.DeadLetterError):
        for one in letters_in(str(path)):
            with contextlib.suppress(mp.DeadLetterError):
                one.item()
    with contextlib.suppress(mp.BuildError):
        list(mp.DeadLetters(path).records())
    assert main(["dead-letters", str(path)]) in (0, 1)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("letters") / "fuzzed"


@given(st.binary(max_size=300), st.booleans())
@settings(max_examples=150, deadline=None)
def test_any_bytes_are_read_or_refused_with_an_error_of_ours(
    place: Path, data: bytes, is_one: bool
) -> None:
    reads_or_refuses(place, (HEADER if is_one else b"") + data)


@given(_CRAFTED)
@example(({**_ABOUT, "time_s": 1e300}, b"", [], []))
@example(({**_ABOUT, "path": 3, "origin": {}}, b"", [], []))
@settings(max_examples=150, deadline=None)
def test_a_record_with_a_valid_checksum_may_hold_anything(place: Path, about: object) -> None:
    reads_or_refuses(place, HEADER + record(msgpack.packb(about)))


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_flipped_bits_and_lost_bytes_cost_only_the_letter_that_they_are_in(
    place: Path, data: st.DataObject
) -> None:
    whole = bytearray(file_of(place, 4))
    at = data.draw(st.integers(len(HEADER), len(whole) - 1))
    if data.draw(st.booleans()):
        whole[at] ^= 1 << data.draw(st.integers(0, 7))
    else:
        del whole[at : at + data.draw(st.integers(1, 30))]
    reads_or_refuses(place, bytes(whole))
    assert len(numbers(place)) >= 2


# ------------------------------------------------------------------- writing
def test_a_file_that_is_checked_while_others_write_loses_no_letter(tmp_path: Path) -> None:
    path = str(tmp_path / "bad.letters")
    ended = threading.Event()

    def check() -> None:
        while not ended.is_set():
            check_writable(path)

    checkers = [threading.Thread(target=check) for _ in range(3)]
    for thread in checkers:
        thread.start()
    try:
        for number in range(300):
            write(path, letter(number), keep(number))
            assert [one.number for one in letters_in(path)] == [number]
            os.unlink(path)  # the next one is the first one again
    finally:
        ended.set()
        for thread in checkers:
            thread.join()


def test_checking_leaves_no_file_and_removes_none(tmp_path: Path) -> None:
    check_writable(str(tmp_path / "new"))
    assert not list(tmp_path.iterdir())
    (tmp_path / "empty").touch()
    (tmp_path / "link").symlink_to(tmp_path / "target")
    for name in ("empty", "link"):
        check_writable(str(tmp_path / name))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "link"]


def test_a_pipe_is_refused_as_nobody_might_read_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    pline = mp.PipeLine([mp.Source([1]), mp.Sink(print, dead_letter=tmp_path / "pipe")])
    with pytest.raises(mp.BuildError, match=r"dead_letter of Sink 'Sink': .* it is no file"):
        pline.build()


def test_an_error_that_says_an_undecodable_name_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "bad.letters"
    write(str(path), letter(1, os.fsdecode(b"caf\xe9.jpg")), keep(1))
    (record,) = mp.DeadLetters(path).records()
    assert os.fsencode(record.text) == b"caf\xe9.jpg"
    assert main(["dead-letters", str(path)]) == 0


# ------------------------------------------------------------------- pipelines
@INLINE
def test_the_item_whose_failure_ends_the_run_is_kept_without_any_budget(
    inline: bool, tmp_path: Path
) -> None:
    path = tmp_path / "bad.letters"
    pline = mp.PipeLine([mp.Source(range(30)), mp.Transform(no_nines, "t", dead_letter=path)])
    with pytest.raises(ValueError, match="no good: 9"):
        list(pline.build(inline=inline))
    (record,) = mp.DeadLetters(path).records()
    assert (record.item, record.error, record.text) == (9, "ValueError", "no good: 9")


@INLINE
def test_what_failed_can_be_read_in_python(inline: bool, tmp_path: Path) -> None:
    path = tmp_path / "bad.letters"
    began = datetime.now().astimezone()
    pline = mp.PipeLine([mp.Source(range(30), "numbers")])
    pline.add(mp.Transform(no_nines, "work", max_failures=9, dead_letter=path))
    assert len(list(pline.build(inline=inline))) == 27
    records = list(mp.DeadLetters(path).records())
    assert [record.item for record in records] == [9, 19, 29]
    first = records[0]
    assert (first.error, first.text) == ("ValueError", "no good: 9")
    assert "in no_nines" in first.traceback
    assert first.traceback.rstrip().endswith("ValueError: no good: 9")
    assert (first.segment, first.worker, first.source, first.number) == (
        *("work", "work", "numbers", 9),
    )
    assert began - timedelta(seconds=1) < first.time <= datetime.now().astimezone()


def test_items_that_would_have_to_be_unpickled_do_not_hide_the_errors(tmp_path: Path) -> None:
    path = tmp_path / "bad.letters"

    class Local:
        x = 3

    write(str(path), letter(1), keep(Local()))
    (record,) = mp.DeadLetters(path).records()
    assert record.text == "no good"
    with pytest.raises(mp.DeadLetterError, match="allow_pickle=True accepts it"):
        str(record.item)
    (record,) = mp.DeadLetters(path, allow_pickle=True).records()
    assert record.item.x == 3


@INLINE
def test_a_run_says_to_how_many_letters_of_before_it_adds(
    inline: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "bad.letters"
    pline = mp.PipeLine([mp.Source(range(30))])
    pline.add(mp.Sink(no_nines, "k", max_failures=9, dead_letter=path))
    pline.build(inline=inline)
    said = []
    for _ in range(2):
        pline.run()
        pline.close(60)
        said.append(caplog.text)
        caplog.clear()
    assert "of before" not in said[0]
    assert f"what fails is appended to 3 dead letters of before in {str(path)!r}" in said[1]


@pytest.mark.parametrize("way", ["itself", "link", "hard link"])
def test_a_file_is_not_written_to_while_it_is_read(way: str, tmp_path: Path) -> None:
    path, other = tmp_path / "bad.letters", tmp_path / "other"
    file_of(path)
    if way == "itself":
        other = path
    elif way == "link":
        other.symlink_to(path)
    else:
        os.link(path, other)
    pline = mp.PipeLine([mp.DeadLetters(path, name="again")])
    pline.add(mp.Sink(no_nines, "k", max_failures=9, dead_letter=other))
    with pytest.raises(mp.BuildError, match="of Sink 'k' is the file that DeadLetters 'again' re"):
        pline.build()


def test_a_source_has_no_item_that_could_be_kept() -> None:
    with pytest.raises(mp.OptionError, match="dead_letter makes no sense for Source 's'"):
        mp.Source([1], "s", dead_letter="x")


def test_letters_of_two_processes_are_whole(tmp_path: Path) -> None:
    path = str(tmp_path / "bad.letters")
    context = multiprocessing.get_context("fork")
    writers = [
        context.Process(
            target=lambda first: [
                write(path, letter(n), keep(n)) for n in range(first, first + 50)
            ],
            args=(first,),
        )
        for first in (0, 50)
    ]
    for writer in writers:
        writer.start()
    until_s = time.monotonic() + 60
    for _ in itertools.takewhile(lambda _: time.monotonic() < until_s, itertools.count()):
        check_writable(path)
        if not any(writer.is_alive() for writer in writers):
            break
    for writer in writers:
        writer.join()
    assert sorted(one.number for one in letters_in(path)) == list(range(100))
