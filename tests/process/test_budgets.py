"""Failures that are allowed, up to a budget; and what was skipped, kept in a file."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minipipe as mp
from minipipe.cli import main
from minipipe.dead_letters.reading import letters_in
from tests.process.functors import Collect


def fails_at_tens(x: int) -> int:
    if x % 10 == 9:
        raise ValueError(f"no good: {x}")
    return x


def of(n: int, *, inline: bool = False, **options: Any) -> list[int]:
    """What comes through of n items, each tenth of which fails."""
    pline = mp.PipeLine([mp.Source(range(n)), mp.Transform(fails_at_tens, "work", **options)])
    pline.build(inline=inline)
    return sorted(pline)


INLINE = pytest.mark.parametrize("inline", [False, True], ids=["processes", "inline"])


# ------------------------------------------------------------------ budgets
@INLINE
def test_failures_within_the_budget_are_skipped_and_said(
    inline: bool, caplog: pytest.LogCaptureFixture
) -> None:
    assert of(50, inline=inline, max_failures=5) == [x for x in range(50) if x % 10 != 9]
    said = [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
    assert len(said) == 5
    assert "failure 5, max_failures=5" in said[4]
    assert "item 49 of 'Source'" in said[4]
    assert "ValueError: no good: 49" in said[4]


@INLINE
def test_one_more_ends_the_run_with_the_last_tracebacks(inline: bool) -> None:
    with pytest.raises(mp.TooManyFailuresError, match="'work'") as caught:
        of(1000, inline=inline, max_failures=5)
    text = str(caught.value)
    assert "6 items of" in text or "6 failures" in text or "6 of" in text
    assert len(re.findall(r"ValueError: no good", text)) >= 3
    assert "in fails_at_tens" in text
    assert isinstance(caught.value.__cause__, ValueError)


@INLINE
def test_a_share_is_judged_in_the_middle_or_at_the_end(inline: bool) -> None:
    assert len(of(1000, inline=inline, max_failures=0.2)) == 900
    assert len(of(30, inline=inline, max_failures=0.2)) == 27
    with pytest.raises(mp.TooManyFailuresError, match=r"max_failures=0\.05"):
        of(100_000, inline=inline, max_failures=0.05)
    with pytest.raises(mp.TooManyFailuresError, match=r"max_failures=0\.05"):
        of(30, inline=inline, max_failures=0.05)


def test_all_workers_of_a_segment_share_one_budget() -> None:
    with pytest.raises(mp.TooManyFailuresError):
        of(1000, max_failures=6, n_processes=3)
    assert len(of(60, max_failures=6, n_processes=3)) == 54


def test_many_failures_are_said_ever_more_rarely(caplog: pytest.LogCaptureFixture) -> None:
    of(2000, max_failures=200)
    said = [r.getMessage() for r in caplog.records if "skipped (failure" in r.getMessage()]
    assert len(said) < 20


# ------------------------------------------------------------------ dead letters
@dataclass
class Point:
    x: int
    y: np.ndarray


@INLINE
def test_what_is_skipped_comes_again_as_it_was(inline: bool, tmp_path: Path) -> None:
    path = tmp_path / "bad.letters"

    def items() -> Any:
        for i in range(30):
            yield {"i": i, "a": np.full((200, 300), i, np.float32), "t": (i, "x", None)}

    def spoils(item: dict[str, Any]) -> None:
        i = item["i"]
        item["t"] = "spoilt"
        if i % 10 == 9:
            raise ValueError(f"no good: {i}")

    pline = mp.PipeLine([mp.Source(items)])
    pline.add(mp.Transform(spoils, "work", max_failures=5, dead_letter=path), n_processes=2)
    pline.add(mp.Sink(Collect()))
    pline.build(inline=inline)
    pline.run()
    pline.close(30)
    again = sorted(mp.PipeLine([mp.DeadLetters(path)]), key=lambda item: item["i"])
    assert [item["i"] for item in again] == [9, 19, 29]
    for item in again:
        assert item["a"].dtype == np.float32
        assert (item["a"] == item["i"]).all()
        assert item["t"] == (item["i"], "x", None)
    about = sorted(letters_in(str(path)), key=lambda letter: letter.number)
    assert [letter.number for letter in about] == [9, 19, 29]
    assert {(x.segment, x.origin, x.error) for x in about} == {("work", "Source", "ValueError")}
    assert "in spoils" in about[0].trace


@INLINE
@pytest.mark.parametrize("by_identity", [True, False])
def test_the_letter_of_a_join_has_what_was_joined(
    by_identity: bool, inline: bool, tmp_path: Path
) -> None:
    path = tmp_path / "bad.letters"

    def items() -> Iterator[list[np.ndarray]]:
        for i in range(4):
            yield [np.full(20_000, i), np.full(20_000, i + 10)]

    def spoils(left: np.ndarray, right: np.ndarray) -> None:
        i = right[0]
        right[:] = left[:] = 99
        if i == 12:
            raise ValueError("no good")

    a, b = mp.Stream("a"), mp.Stream("b")
    options: dict[str, Any] = {"max_failures": 5, "dead_letter": path, "writable": True}
    sink = mp.Sink(spoils, "joins", [a, b], **options)
    if by_identity:
        segments: list[mp.Segment] = [mp.Source(items, downstreams=[a, b])]
    else:
        segments = [
            mp.Source(lambda: (pair[0] for pair in items()), "left", a),
            mp.Source(lambda: (pair[1] for pair in items()), "right", b),
        ]
    mp.PipeSystem([*segments, sink]).build(inline=inline).run().close(30)
    [letter] = letters_in(str(path))
    left, right = letter.item(allow_pickle=True)
    assert (left == 2).all() and (right == 12).all()


@INLINE
def test_there_is_no_letter_of_a_join_of_what_cannot_be_unpickled(
    inline: bool, tmp_path: Path
) -> None:
    path = tmp_path / "bad.letters"

    class Refuses:
        def __reduce__(self) -> tuple[Any, ...]:
            return int, ("no number",)

    def items() -> Iterator[list[Any]]:
        yield [1, 2]
        yield [3, Refuses()]

    a, b = mp.Stream("a"), mp.Stream("b")
    seen = mp.Sink(Pairs(), "seen", [a, b], ignore_exceptions=[ValueError], dead_letter=path)
    pline = mp.PipeSystem([mp.Source(items, downstreams=[a, b]), seen]).build(inline=inline)
    assert pline.run().close(30) == {"seen": [(1, 2)]}
    assert not path.exists()


class Pairs:
    def local_init(self) -> None:
        self.seen: list[Any] = []

    def run(self, left: Any, right: Any) -> None:
        self.seen.append((left, right))

    def local_term(self) -> list[Any]:
        return self.seen


def test_runs_are_added_to_the_same_file_and_each_item_is_there_once(tmp_path: Path) -> None:
    path = tmp_path / "bad.letters"
    for _ in range(2):
        of(30, max_failures=9, dead_letter=path, n_processes=2)
    assert sorted(mp.PipeLine([mp.DeadLetters(path)])) == [9, 9, 19, 19, 29, 29]


@INLINE
def test_ignored_exceptions_are_kept_too(inline: bool, tmp_path: Path) -> None:
    path = tmp_path / "bad.letters"
    of(30, inline=inline, ignore_exceptions=[ValueError], dead_letter=path)
    assert sorted(mp.PipeLine([mp.DeadLetters(path)])) == [9, 19, 29]


@pytest.mark.parametrize("poison", ["skip", "stop"])
def test_poison_is_kept_with_what_it_carries(poison: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.letters"

    def dies(item: tuple[int, np.ndarray]) -> int:
        if item[0] == 7:
            os._exit(1)
        return item[0]

    pline = mp.PipeLine([mp.Source(lambda: ((i, np.full(100_000, i)) for i in range(20)))])
    pline.add(mp.Transform(dies, "a", poison=poison, dead_letter=path), n_processes=2)
    if poison == "skip":
        assert sorted(pline) == [i for i in range(20) if i != 7]
    else:
        with pytest.raises(mp.PoisonError):
            list(pline)
    ((number, array),) = mp.PipeLine([mp.DeadLetters(path)])
    assert number == 7
    assert (array == 7).all() and len(array) == 100_000


def test_classes_by_definition_are_read_only_if_that_is_allowed(tmp_path: Path) -> None:
    path = tmp_path / "bad.letters"

    class Local:
        def __init__(self, x: int) -> None:
            self.x = x

    def fails(item: Local) -> None:
        raise ValueError("no good")

    pline = mp.PipeLine([mp.Source(lambda: [Local(3)])])
    pline.add(mp.Sink(fails, "work", max_failures=9, dead_letter=path))
    pline.run()
    pline.close(30)
    with pytest.raises(mp.DeadLetterError, match="allow_pickle=True accepts it, if you trust"):
        list(mp.PipeLine([mp.DeadLetters(path)]))
    (item,) = mp.PipeLine([mp.DeadLetters(path, allow_pickle=True)])
    assert item.x == 3


def test_the_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "bad.letters"
    of(30, max_failures=9, dead_letter=path)
    assert main(["dead-letters", str(path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["when", "segment", "worker", "item", "error", "value"]
    assert len(lines) == 5
    assert "9 of Source" in lines[1]
    assert "ValueError: no good: 9" in lines[1]
    assert lines[4] == "3 letters"


# ------------------------------------------------------------------ bad input
def test_a_damaged_file_is_refused_at_once_and_what_is_whole_can_be_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "bad.letters"
    of(30, max_failures=9, dead_letter=path)
    data = path.read_bytes()
    flipped = bytearray(data)
    flipped[-5] ^= 1
    for damaged in (data[:-1], data[:-50], bytes(flipped)):
        path.write_bytes(damaged)
        with pytest.raises(mp.BuildError, match="damaged after 2 whole letters; strict=False"):
            mp.DeadLetters(path)
        assert list(mp.PipeLine([mp.DeadLetters(path, strict=False)])) == [9, 19]
        assert "after 2 whole letters; those were read" in caplog.text
        caplog.clear()
    assert main(["dead-letters", str(path)]) == 1
    told = capsys.readouterr()
    assert "19 of Source" in told.out
    assert "cut off or damaged after 2 whole letters" in told.err


def test_a_file_that_is_damaged_before_the_run_ends_it(tmp_path: Path) -> None:
    path = tmp_path / "bad.letters"
    of(30, max_failures=9, dead_letter=path)
    pline = mp.PipeLine([mp.DeadLetters(path)])
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(mp.DeadLetterError, match="after 2 whole letters"):
        list(pline)


def test_a_foreign_file_and_none_are_refused_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    foreign = tmp_path / "notes.txt"
    foreign.write_text("something else")
    with pytest.raises(mp.BuildError, match=r"no file of dead letters \(it begins with b'someth"):
        mp.DeadLetters(foreign)
    with pytest.raises(mp.BuildError, match=r"cannot read '/.*No such file"):
        mp.DeadLetters(tmp_path / "nothing")
    assert main(["dead-letters", str(tmp_path / "nothing")]) == 1
    assert "No such file" in capsys.readouterr().err
    pline = mp.PipeLine([mp.Source([1]), mp.Sink(print, max_failures=1, dead_letter=foreign)])
    with pytest.raises(mp.BuildError, match="no file of dead letters"):
        pline.build()
    assert foreign.read_text() == "something else"


def test_a_path_that_cannot_be_written_is_an_error_at_build(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "no" / "such", Path("/proc/nothing")):
        pline = mp.PipeLine([mp.Source([1]), mp.Sink(print, "k", max_failures=1, dead_letter=path)])
        with pytest.raises(mp.BuildError, match=r"dead_letter of Sink 'k' cannot be written"):
            pline.build()
    with pytest.raises(mp.OptionError, match="dead_letter of Sink 'Sink'"):
        mp.Sink(print, dead_letter=3)
