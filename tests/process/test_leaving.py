"""What a functor does when it is left early: its `finally` has the grace that local_term has."""

from __future__ import annotations

import functools
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

import minipipe as mp
from tests.conftest import wait_until

SLOW_S = 2.5


def items_for_ever():
    while True:
        yield 0


def finishing(path: Path):
    """Items without end; what is open is closed slowly."""
    try:
        while True:
            yield 0
            time.sleep(0.001)
    finally:
        time.sleep(SLOW_S)
        path.touch()


def slowly(item: int) -> None:
    time.sleep(0.001)


class Object:
    def __init__(self, path: Path) -> None:
        self.path = path

    def run(self):
        yield from finishing(self.path)


def regulator(path: Path):
    try:
        while True:
            yield (yield)
    finally:
        time.sleep(SLOW_S)
        path.touch()


def stop_when_flowing(pline: mp.PipeLine, last: str) -> None:
    wait_until(lambda: pline.stats()[last].items_in > 5, "items")
    pline.stop()
    pline.close()


@pytest.mark.parametrize("kind", ["generator", "object", "regulator", "transform", "local_init"])
def test_a_finally_has_the_grace_of_local_term(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "finished"

    def function(item: int) -> int:
        try:
            (tmp_path / "begun").touch()
            time.sleep(1000)
        finally:
            time.sleep(SLOW_S)
            path.touch()
        return item

    class Starts:
        def local_init(self) -> None:
            function(0)

        def run(self, item: int) -> None: ...

    source: object = items_for_ever
    middle: list = []
    sink: object = slowly
    if kind == "generator":
        source = partial(finishing, path)
    elif kind == "object":
        source = Object(path)
    elif kind == "regulator":
        middle = [mp.Regulator(regulator, init_kwargs={"path": path})]
    elif kind == "transform":
        middle = [mp.Transform(function, "slow")]
    else:
        sink = Starts()
    pline = mp.PipeLine([mp.Source(source), *middle, mp.Sink(sink, "sink")]).run(grace_s=60)
    if kind == "transform":
        wait_until(lambda: pline.stats()["slow"].item is not None, "an item in work")
        pline.stop()
        pline.close()
    elif kind == "local_init":
        wait_until((tmp_path / "begun").exists, "its local_init")
        pline.stop()
        pline.close()
    else:
        stop_when_flowing(pline, "sink")
    assert path.exists()


def test_a_finally_that_takes_longer_is_cut_off_with_a_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def source():
        try:
            yield from items_for_ever()
        finally:
            time.sleep(1000)

    sink = mp.Sink(lambda item: None, "sink")
    pline = mp.PipeLine([mp.Source(source, "load"), sink]).run(grace_s=1.5)
    stop_when_flowing(pline, "sink")
    (line,) = [r.getMessage() for r in caplog.records if "cut off" in r.getMessage()]
    assert "`finally`" in line
    assert "segment 'load'" in line
    assert "grace_s=1.5" in line


def left(pline: mp.PipeLine) -> None:
    for _ in pline:
        break


class Slow:
    """Takes its time to save."""

    def run(self, item: int) -> int:
        return item

    def local_term(self) -> str:
        time.sleep(SLOW_S)
        return "saved"


def test_a_loop_that_is_collected_as_garbage_waits_for_nobody() -> None:
    pline = mp.PipeLine([mp.Source(items_for_ever), mp.Transform(Slow(), "slow")])
    left(pline)
    assert "running" in repr(pline)
    assert pline.results == {"slow": "saved"}  # that waits
    assert "finished" in repr(pline)


@pytest.mark.parametrize("then", ["loop", "run", "close", "reset"])
def test_after_a_loop_was_left_the_next_call_waits_for_its_end(then: str) -> None:
    pline = mp.PipeLine([mp.Source(items_for_ever), mp.Transform(Slow(), "slow")])
    left(pline)
    if then == "loop":
        assert next(iter(pline)) == 0
    elif then == "run":
        assert next(iter(pline.run())) == 0
    elif then == "close":
        assert pline.close() == {"slow": "saved"}
    else:
        pline.reset()
        assert "built" in repr(pline)


def test_what_fails_after_a_loop_was_left_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    class Fails(Slow):
        def local_term(self) -> str:
            raise OSError("disk full")

    pline = mp.PipeLine([mp.Source(items_for_ever), mp.Transform(Fails())])
    left(pline)
    assert pline.results == {}
    assert "disk full" in caplog.text


def test_the_interpreter_waits_for_the_end_of_a_run_whose_loop_was_left(tmp_path: Path) -> None:
    path = tmp_path / "script.py"
    path.write_text(
        "import time\n"
        "import minipipe as mp\n"
        "class Slow:\n"
        "    def run(self, item):\n        return item\n"
        f"    def local_term(self):\n        time.sleep({SLOW_S}); print('saved')\n"
        "for _ in mp.PipeLine([mp.Source(range(10**9)), mp.Transform(Slow())]): break\n"
        "print('left', flush=True)\n"
    )
    command = [sys.executable, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["left", "saved"]


class SavesAfterSleep:
    """Its local_init is no Python code, so that a stop can only reach what calls it."""

    def __init__(self, place: Path) -> None:
        (place / "begun").touch()
        self.local_init = functools.partial(time.sleep, 0.5)

    def run(self, item: int) -> None:
        pass

    def local_term(self) -> str:
        return "saved"


def test_a_stop_at_the_very_end_of_local_init_lets_local_term_run(tmp_path: Path) -> None:
    sink = mp.Sink(SavesAfterSleep, "keep", init_kwargs={"place": tmp_path})
    pline = mp.PipeLine([mp.Source(range(3)), sink]).run()
    wait_until((tmp_path / "begun").exists, "its local_init")
    time.sleep(0.1)
    pline.stop()
    assert pline.close() == {"keep": "saved"}
