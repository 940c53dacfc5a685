"""The view of a run: its numbers, its words, and what a terminal shows."""

from __future__ import annotations

import io
import logging
import os
import pty
import re
import subprocess
import sys
import time

import pytest

import minipipe as mp
from minipipe.observe.live import LiveView
from minipipe.observe.load import SegmentLoad
from minipipe.observe.progress import Progress, Sight, duration, in_words, number
from minipipe.pipeline import progress as shown


def at(seconds: float) -> tuple[SegmentLoad, ...]:
    """A pipeline that does 10 items a second, its function busy for 80 % of the time."""
    made = int(10 * seconds)
    return (
        SegmentLoad("load", "source", False, 1, 0, made, 0.1 * seconds, 0.0, 0.9 * seconds),
        SegmentLoad("work", "transform", True, 2, made, made, 1.6 * seconds, 0.4 * seconds),
    )


def test_rates_shares_and_what_is_left() -> None:
    progress = Progress(total=100)
    sight = progress.look(at(2.0), 2.0)  # since the start
    assert [row.rate for row in sight.rows] == pytest.approx([10, 10])
    for tenth in range(21, 60):
        sight = progress.look(at(tenth / 10), tenth / 10)
    load, work = sight.rows
    assert work.rate == pytest.approx(10, rel=0.05)
    assert (work.busy, work.starved) == pytest.approx((0.8, 0.2))
    assert (load.busy, load.blocked) == pytest.approx((0.1, 0.9))
    assert sight.bottleneck == "work"
    assert (sight.done, sight.total) == (59, 100)
    assert sight.left_s == pytest.approx(4.1, rel=0.05)
    text = in_words(sight)
    assert text.startswith("running for 6 s; 59 of 100 items (59%); 4 s left; load ")
    assert "80% busy" in text


def test_a_rate_is_of_the_last_seconds_only() -> None:
    progress = Progress()
    for second in range(100):
        sight = progress.look(at(min(second, 50)), float(second))
    assert [row.rate for row in sight.rows] == [0, 0]
    assert sight.left_s is None and sight.total is None


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (59.4, "59 s"), (60, "1:00"), (7384, "2:03:04")]
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (0.123, "0.12"), (12.34, "12.3"), (1234.5, "1,234")]
)
def test_numbers(value: float, text: str) -> None:
    assert number(value) == text


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_no_line_is_wider_than_the_terminal(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("TERM", "xterm")
    sight = Progress(total=10**6).look(at(20.0), 20.0)
    terminal = Terminal()
    view = LiveView(terminal)
    view.show(sight, "bottleneck: 'work', and so on")
    view.end()
    lines = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", terminal.getvalue()).splitlines()
    assert any(line.startswith("work") for line in lines)
    assert max(map(len, lines)) <= columns


def test_streams_are_as_they_were_and_who_replaced_them_keeps_that(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out, err, own = Terminal(), Terminal(), io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    view = LiveView(err)
    view.show(Sight((), 1.0, None, 0, None), "")
    assert sys.stdout is not out and sys.stderr is not err
    print("in between")
    sys.stderr = own
    view.end()
    assert sys.stdout is out and sys.stderr is own
    assert "in between" in out.getvalue() + err.getvalue()


def test_lines_come_where_there_is_no_terminal(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shown, "LINE_S", 0.1)
    pline = mp.PipeLine([mp.Source(range(20)), mp.Sink(lambda item: time.sleep(0.03), "slow")])
    pline.build(log_lvl="SUMMARY").run(progress=True)
    pline.close()
    lines = [text for text in caplog.messages if text.startswith("running for ")]
    assert lines and all(" of 20 items (" in line and "slow " in line for line in lines)
    count = len(lines)
    time.sleep(0.3)
    assert len([t for t in caplog.messages if t.startswith("running for ")]) == count


def test_by_default_nothing_is_shown_where_there_is_no_terminal(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shown, "LINE_S", 0.05)
    pline = mp.PipeLine([mp.Source(range(10)), mp.Sink(lambda item: time.sleep(0.03), "slow")])
    pline.build(log_lvl="SUMMARY").run()
    pline.close()
    assert not [text for text in caplog.messages if text.startswith("running for ")]


def test_an_error_in_the_view_ends_the_view_and_not_the_run(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(sight: Sight) -> str:
        raise OSError("no space left on the terminal")

    monkeypatch.setattr(shown, "LINE_S", 0.05)
    monkeypatch.setattr(shown, "in_words", fail)
    pline = mp.PipeLine([mp.Source(range(10)), mp.Sink(lambda item: time.sleep(0.03), "slow")])
    pline.run(progress=True)
    pline.close()
    assert [r.levelno for r in caplog.records if "not shown any more" in r.message] == [
        logging.WARNING
    ]


def test_a_bad_wish_is_refused() -> None:
    with pytest.raises(mp.OptionError, match="progress of run is True, False, or None"):
        mp.PipeLine([mp.Source(range(3)), mp.Sink(print)]).run(progress="yes")  # type: ignore[arg-type]


SCRIPT = """
import time
import minipipe as mp

def work(item):
    if item == 30:
        print("said by a worker", flush=True)
    time.sleep(0.05)
    return item

if __name__ == "__main__":
    pline = mp.PipeLine([mp.Source(range(60)), mp.Transform(work, "work"), mp.Sink(abs, "end")])
    pline.run()
    pline.close()
"""


def test_a_terminal_shows_the_table_and_is_left_clean() -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "100"},
    )
    os.close(theirs)
    written = b""
    while True:
        try:
            some = os.read(ours, 65536)
        except OSError:  # nobody has its other end any more
            break
        if not some:
            break
        written += some
    os.close(ours)
    assert process.wait(60) == 0
    text = written.decode()
    assert "items/s" in text and "of 60 (" in text
    assert "said by a worker" in text
    end = text[text.rindex("\x1b[2K") :]
    assert "minipipe: finished after" in end and "items/s" not in end
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h")  # the cursor is back
