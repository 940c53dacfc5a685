"""What workers log reaches the caller's loggers."""

from __future__ import annotations

import ctypes
import logging
import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import minipipe as mp
from tests.conftest import DEADLOCK_S, wait_until

log = logging.getLogger("tests.of.workers")


class Kept(logging.Handler):
    """A handler of the user's; it keeps records."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    @property
    def texts(self) -> list[str]:
        return [record.getMessage() for record in self.records]


@pytest.fixture
def kept() -> Iterator[Kept]:
    handler = Kept()
    log.addHandler(handler)
    level = log.level
    log.setLevel(logging.INFO)
    yield handler
    log.removeHandler(handler)
    log.setLevel(level)


class Unpicklable:
    def __str__(self) -> str:
        return "cannot be sent"

    def __reduce__(self) -> Any:
        raise TypeError("not this one")


def logs(x: int) -> int:
    log.debug("nobody wants %d", x)
    log.info("item %d, %s", x, Unpicklable(), extra={"user": "me", "thing": Unpicklable()})
    return x


def through(function: Any, items: int = 3, **options: Any) -> list[Any]:
    return list(mp.PipeLine([mp.Source(range(items)), mp.Transform(function, "work", **options)]))


def test_records_come_with_all_that_they_have(kept: Kept) -> None:
    assert through(logs) == [0, 1, 2]
    assert kept.texts == [f"item {x}, cannot be sent" for x in range(3)]
    record = kept.records[0]
    assert (record.segment, record.worker, record.processName) == ("work", "work", "work")
    assert record.process not in (None, os.getpid())
    assert (record.levelname, record.funcName, record.threadName) == ("INFO", "logs", "MainThread")
    assert record.filename == "test_logging.py"
    assert record.user == "me" and "Unpicklable" in record.thing
    assert not record.args and abs(record.created - time.time()) < DEADLOCK_S


def test_the_same_from_a_forked_worker(kept: Kept) -> None:
    lock = threading.Lock()

    def locked(x: int) -> int:
        with lock:
            return logs(x)

    assert through(locked) == [0, 1, 2]
    assert kept.texts == [f"item {x}, cannot be sent" for x in range(3)]
    record = kept.records[0]
    assert (record.worker, record.processName, record.threadName) == ("work", "work", "MainThread")
    assert record.process not in (None, os.getpid())


def test_sources_sinks_and_threads_log_too(kept: Kept) -> None:
    def items() -> Iterator[int]:
        for x in range(20):
            log.info("source %d", x)
            yield x

    def twice(x: int) -> int:
        log.info("thread %d", x)
        return x

    def last(x: int) -> None:
        log.info("sink %d", x)

    pline = mp.PipeLine(
        [mp.Source(items), mp.Transform(twice, threads=4), mp.Sink(last, "last", n_processes=2)]
    )
    pline.run()
    pline.close()
    for kind in ("source", "thread", "sink"):
        its = [r for r in kept.records if r.getMessage().startswith(kind)]
        assert sorted(int(r.getMessage().split()[1]) for r in its) == list(range(20))
        for worker in {r.worker for r in its}:
            created = [r.created for r in its if r.worker == worker]
            assert kind == "thread" or created == sorted(created)
    threads = {r.threadName for r in kept.records if r.getMessage().startswith("thread")}
    assert all(name.startswith("minipipe-call-") for name in threads)


def fails(x: int) -> int:
    try:
        return 1 // x
    except ZeroDivisionError:
        log.exception("no result")
        log.error("nor here", stack_info=True)
        return -1


def test_a_traceback_comes_as_text(kept: Kept) -> None:
    through(fails, 1)
    first, second = kept.records
    shown = logging.Formatter("%(message)s").format(first)
    assert shown.startswith("no result\nTraceback")
    assert "ZeroDivisionError" in shown and "return 1 // x" in shown
    assert second.stack_info is not None and "in fails" in second.stack_info


def dies(x: int) -> int:
    for i in range(1000):
        log.info("word %d", i)
    if x:
        os.kill(os.getpid(), signal.SIGKILL)
    ctypes.string_at(0)
    return x


@pytest.mark.parametrize("x", [0, 1])
def test_the_last_words_of_one_that_dies_are_there(x: int, kept: Kept) -> None:
    pline = mp.PipeLine([mp.Source([x]), mp.Sink(dies, "work", restart=False)])
    pline.run()
    with pytest.raises(mp.WorkerDiedError):
        pline.close()
    assert kept.texts == [f"word {i}" for i in range(1000)]


def large(x: int) -> int:
    log.info("a" * 1_000_000 + "%d", x, extra={"more": "b" * 1_000_000})
    return x


def test_a_large_record_is_cut_short(kept: Kept) -> None:
    through(large, 1)
    (record,) = kept.records
    assert len(record.getMessage()) < 70_000 and len(record.more) < 70_000
    assert "characters left out" in record.getMessage()


def misuses(x: int) -> int:
    log.info("%d", "no number")
    log.info("after that")
    return x


def test_arguments_that_do_not_fit_are_told_as_ever(
    kept: Kept, capfd: pytest.CaptureFixture[str]
) -> None:
    through(misuses, 1)
    assert kept.texts == ["after that"]
    told = capfd.readouterr().err
    assert told.count("--- Logging error ---") == 1 and "%d format" in told


def forks(x: int) -> int:
    def child() -> None:
        log.info("child")

    process = multiprocessing.get_context("fork").Process(target=child, name="a child")
    process.start()
    process.join()
    log.info("parent")
    return x


@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_what_a_functor_forks_logs_too(kept: Kept) -> None:
    through(forks, 1)
    child, parent = kept.records
    assert (child.getMessage(), parent.getMessage()) == ("child", "parent")
    assert child.process != parent.process
    assert (child.processName, parent.processName) == ("a child", "work")


class Floods:
    def __call__(self, x: int) -> int:
        while True:
            log.info("and more")


def test_a_flood_keeps_nobody_from_his_work(kept: Kept) -> None:
    a, b = mp.Stream(), mp.Stream()
    system = mp.PipeSystem(
        [
            mp.Source([(0, 0)] * 50, downstreams=[a, b]),
            mp.Sink(Floods(), "flood", upstreams=a),
            mp.Sink(logs, "quiet", upstreams=b),
        ]
    )
    system.run()
    wait_until(lambda: len(kept.records) > 1000, "the flood")
    wait_until(lambda: any("item 0" in text for text in kept.texts[:]), "the quiet one")
    began_s = time.monotonic()
    system.stop()
    assert time.monotonic() - began_s < DEADLOCK_S


class Waits(logging.Handler):
    """It lets nobody go on until it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.reached, self.go_on = threading.Event(), threading.Event()

    def createLock(self) -> None:
        self.lock = None  # or the rest of this test would wait for it

    def emit(self, record: logging.LogRecord) -> None:
        self.reached.set()
        self.go_on.wait(DEADLOCK_S)


def test_a_handler_that_waits_keeps_no_run_from_its_end() -> None:
    handler = Waits()
    log.addHandler(handler)
    try:
        pline = mp.PipeLine([mp.Source(range(3)), mp.Sink(warns_in_log)])
        pline.run()
        assert handler.reached.wait(DEADLOCK_S)
        pline.close(DEADLOCK_S)
    finally:
        handler.go_on.set()
        log.removeHandler(handler)


def warns_in_log(x: int) -> None:
    log.warning("item %d", x)


def test_warnings_go_where_the_caller_has_them_captured(kept: Kept) -> None:
    def warns(x: int) -> int:
        warnings.warn("not like this", UserWarning, stacklevel=1)
        return x

    of_warnings = logging.getLogger("py.warnings")
    with warnings.catch_warnings():
        logging.captureWarnings(True)
        of_warnings.addHandler(kept)
        try:
            through(warns, 1)
        finally:
            of_warnings.removeHandler(kept)
            logging.captureWarnings(False)
    (record,) = kept.records
    assert record.name == "py.warnings" and "UserWarning: not like this" in record.getMessage()


PROGRAM = """
import logging, sys
import minipipe as mp

log = logging.getLogger("a.job")
library = logging.getLogger("a.library")

class Job:
    def local_init(self):
        {init}
    def __call__(self, x):
        library.addHandler(logging.NullHandler())
        log.info("info %d", x)
        log.warning("warning %d", x)
        library.error("error %d", x)
        return x

{caller}
print(list(mp.PipeLine([mp.Source([7]), mp.Transform(Job(), "work")])))
"""


def program(tmp_path: Path, init: str, caller: str) -> list[str]:
    path = tmp_path / "program.py"
    path.write_text(textwrap.dedent(PROGRAM).format(init=init, caller=caller))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    ran = subprocess.run(
        [sys.executable, str(path)],
        capture_output=True,
        text=True,
        timeout=DEADLOCK_S * 3,
        env=environment,
        cwd=tmp_path,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stderr.splitlines()


def test_without_configuration_it_is_as_in_one_process(tmp_path: Path) -> None:
    assert program(tmp_path, "pass", "pass") == ["warning 7", "error 7"]


def test_the_callers_format_and_level_hold(tmp_path: Path) -> None:
    caller = "logging.basicConfig(level='INFO', format='%(name)s/%(worker)s: %(message)s')"
    lines = program(tmp_path, "pass", caller)
    assert lines == ["a.job/work: info 7", "a.job/work: warning 7", "a.library/work: error 7"]


def test_the_functions_of_logging_itself_go_to_the_caller(tmp_path: Path) -> None:
    """`logging.warning()` and its like call `basicConfig`, where the root has no handler."""
    caller = "logging.basicConfig(format='%(name)s/%(worker)s: %(message)s')"
    lines = program(tmp_path, "logging.error('by itself')", caller)
    assert lines == ["root/work: by itself", "a.job/work: warning 7", "a.library/work: error 7"]


def test_a_worker_that_configures_logging_itself_is_left_alone(tmp_path: Path) -> None:
    init = "logging.basicConfig(level='INFO', format='mine: %(message)s')"
    caller = "logging.basicConfig(format='%(name)s: %(message)s')"
    assert program(tmp_path, init, caller) == ["mine: info 7", "mine: warning 7", "mine: error 7"]


def test_also_if_the_worker_writes_to_a_file(tmp_path: Path) -> None:
    init = "logging.basicConfig(level='INFO', filename='own.log', format='%(message)s')"
    assert program(tmp_path, init, "pass") == []
    assert (tmp_path / "own.log").read_text() == "info 7\nwarning 7\nerror 7\n"


def test_what_the_caller_has_switched_off_is_off(tmp_path: Path) -> None:
    caller = "logging.disable(logging.WARNING); library.disabled = True"
    assert program(tmp_path, "log.critical('to be seen')", caller) == ["to be seen"]


def test_inline_nothing_is_different(kept: Kept) -> None:
    pline = mp.PipeLine([mp.Source(range(3)), mp.Transform(logs)])
    pline.build(inline=True)
    assert list(pline) == [0, 1, 2]
    assert len(kept.records) == 3
    assert not hasattr(kept.records[0], "worker")
    assert kept.records[0].process == os.getpid()
