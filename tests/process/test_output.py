"""What workers print: when it shows, and that no worker keeps others from showing theirs."""

from __future__ import annotations

import io
import logging
import os
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

import minipipe as mp
from tests.conftest import DEADLOCK_S, wait_until


class Screen(io.StringIO):
    """A stdout that knows what it showed at each flush."""

    def __init__(self, write_s: float = 0.0) -> None:
        super().__init__()
        self.write_s = write_s  # while it writes, pipes fill up again
        self.shown: list[str] = []
        self.lock = threading.Lock()

    def write(self, text: str) -> int:
        time.sleep(self.write_s)
        with self.lock:
            self.shown.append(text)
        return len(text)

    @property
    def text(self) -> str:
        with self.lock:
            return "".join(self.shown)


def screen_of(monkeypatch: pytest.MonkeyPatch, write_s: float = 0.0) -> Screen:
    screen = Screen(write_s)
    monkeypatch.setattr(sys, "stdout", screen)
    return screen


class Bar:
    """Draws like tqdm, or like those that return before the next picture; waits for a file."""

    def __init__(self, picture: str, path: str) -> None:
        self.picture = picture
        self.path = path

    def __call__(self, x: int) -> int:
        for i in range(5):
            print(self.picture % i, end="", flush=True)
            time.sleep(0.15)
        print("?", end="", flush=True)
        while not os.path.exists(self.path):
            time.sleep(0.01)
        return x


@pytest.mark.parametrize("picture", ["\r%d %%", "%d %%\r", "%d. "])
def test_a_progress_bar_shows_while_it_is_drawn(
    picture: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    screen = screen_of(monkeypatch)
    seen = tmp_path / "seen"
    pline = mp.PipeLine([mp.Source([0]), mp.Sink(Bar(picture, str(seen)))])
    pline.run()
    wait_until(lambda: screen.text.endswith("?"), "the bar and the question")
    assert len(screen.shown) > 2
    seen.touch()
    pline.close(DEADLOCK_S)
    whole = "".join(picture % i for i in range(5)) + "?\n"
    assert screen.text == whole


def prints_without_pause(x: int) -> int:
    while True:
        print("x" * 100)


def prints_now_and_then(x: int) -> int:
    for i in range(20):
        print("slow", i)
        time.sleep(0.01)
    return x


def test_one_that_prints_without_pause_neither_starves_nor_blocks_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    screen = screen_of(monkeypatch, write_s=0.005)
    a, b = mp.Stream(), mp.Stream()
    system = mp.PipeSystem(
        [
            mp.Source([(0, 0)], downstreams=[a, b]),
            mp.Sink(prints_without_pause, "fast", upstreams=a),
            mp.Sink(prints_now_and_then, "slow", upstreams=b),
        ]
    )
    system.run()
    wait_until(lambda: any("slow 19" in text for text in list(screen.shown)), "the slow one")
    wait_until(lambda: system.stats()["slow"].items_in == 1, "the slow one to go on")
    began_s = time.monotonic()
    system.stop()
    assert time.monotonic() - began_s < DEADLOCK_S
    for line in screen.text.split("\n")[:-1]:
        assert line.startswith("slow ") or line == "x" * len(line)


def starts_a_printer(path: str) -> str:
    code = f"print('y' * 100, flush=True); open({path!r}, 'w').close()"
    code = f"{code}\nwhile True: print('y' * 100)"
    subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
    while not os.path.exists(path):
        time.sleep(0.01)
    return path


def test_what_a_functor_has_started_may_print_for_ever_the_run_ends(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    screen = screen_of(monkeypatch, write_s=0.005)
    pline = mp.PipeLine([mp.Source([str(tmp_path / "printed")]), mp.Sink(starts_a_printer)])
    pline.run()
    pline.close(DEADLOCK_S)  # its pipe is closed then, and so it ends
    assert "y" * 100 in screen.text


HEAD = """
    import minipipe as mp

    def work(x):
        print("line", x, flush=True)
        return x

    assert len(list(mp.PipeLine([mp.Source(range(3000)), mp.Transform(work)]))) == 3000
"""


def test_a_stdout_that_is_closed_early_is_warned_of_once(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(HEAD))
    command = f"{sys.executable} {script} | head -n 1"
    done = subprocess.run(
        command, shell=True, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout == "line 0\n"
    assert done.stderr.count("cannot write what workers print to stdout") == 1
    assert done.stderr.count("minipipe:") == 1 + done.stderr.count("finished after")


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize("before", ["pass", "files = [open(os.devnull) for _ in range(4)]"])
def test_a_script_may_be_started_without_some_of_its_streams(
    closed: str, before: str, tmp_path: Path
) -> None:
    """What is opened then may get their numbers, which a child would lose, or take for its own."""
    script, told = tmp_path / "script.py", tmp_path / "told"
    script.write_text(textwrap.dedent(NO_STREAMS).format(before=before))
    command = f"{sys.executable} {script} {told} {closed}"
    done = subprocess.run(command, shell=True, capture_output=True, timeout=DEADLOCK_S * 3)
    assert done.returncode == 0, done.stderr
    assert told.read_text() == "10"


NO_STREAMS = """
    import os, sys
    import minipipe as mp

    {before}

    def work(x):
        print("printed", x)
        print("printed", x, file=sys.stderr)
        return x

    total = sum(mp.PipeLine([mp.Source(range(5)), mp.Transform(work)]))
    with open(sys.argv[1], "w") as file:
        file.write(str(total))
"""


class Refuses(Screen):
    """A stdout that raises at each write."""

    def write(self, text: str) -> int:
        raise RuntimeError("no")


def test_each_stdout_that_refuses_is_warned_of_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "stdout", Refuses())
    pline = mp.PipeLine([mp.Source(range(1000)), mp.Sink(print)])
    with caplog.at_level(logging.WARNING):
        pline.run()
        pline.close(DEADLOCK_S)
    assert len([r for r in caplog.records if "cannot write" in r.getMessage()]) == 1


def test_what_the_callers_stdout_cannot_show_is_shown_escaped(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    pline = mp.PipeLine([mp.Source(["é", "plain"]), mp.Sink(print)])
    pline.run()
    pline.close(DEADLOCK_S)
    assert raw.getvalue() == b"\\xe9\nplain\n"
    assert "cannot write" not in caplog.text
