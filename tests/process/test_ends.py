"""However a run ends: soon, saying what happened, and with nothing left.

(That nothing is left is checked after every test, in conftest.)
"""

from __future__ import annotations

import ctypes
import os
import re
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import minipipe as mp
from tests.conftest import children, run_directories, wait_until


class OddError(Exception):
    """Cannot be unpickled: its constructor takes other arguments than it passes on."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


class Keeper:
    """A sink with something to save."""

    def local_init(self) -> None:
        self.seen = 0

    def run(self, item: object) -> None:
        self.seen += 1

    def local_term(self) -> tuple[int, str | None]:
        info = mp.get_worker_info()
        assert info is not None
        return self.seen, info.outcome


def endless():
    i = 0
    while True:
        yield i
        i += 1


def slowly(item: object) -> object:
    time.sleep(0.005)
    return item


def pipeline(transform=slowly, sink=None, source=endless, n: int = 2, **options) -> mp.PipeLine:
    return mp.PipeLine(
        [
            mp.Source(source, "load"),
            mp.Transform(transform, "trans", n_processes=n, **options),
            mp.Sink(Keeper() if sink is None else sink, "save"),
        ]
    )


def flowing(pline: mp.PipeLine) -> None:
    wait_until(lambda: pline.stats()["save"].items_in > 5, "items at the sink")


# ------------------------------------------------------------------ exceptions
def test_an_exception_arrives_with_its_type_traceback_segment_worker_and_item() -> None:
    def fails(item: int) -> int:
        if item == 40:
            raise KeyError(f"no {item}")
        return item

    pline = pipeline(fails)
    with pytest.raises(KeyError, match="no 40") as caught:
        pline.run().close()
    note = "".join(caught.value.__notes__)
    assert "segment 'trans'" in note
    assert "worker trans/" in note
    assert "item 40 of 'load' (40)" in note
    assert "in fails" in str(caught.value.__cause__)
    assert 'raise KeyError(f"no {item}")' in str(caught.value.__cause__)
    assert pline.results["save"][1] == "failed"  # healthy workers still ran their local_term


def test_an_exception_whose_constructor_takes_something_else_arrives_as_what_it_is() -> None:
    def fails(item: int) -> int:
        raise OddError(3, "odd indeed")

    with pytest.raises(OddError, match="odd indeed") as caught:
        pipeline(fails).run().close()
    assert caught.value.code == 3
    assert re.search(r"item \d of 'load'", caught.value.__notes__[0])


def test_an_exception_with_a_lock_inside_arrives_without_the_lock() -> None:
    def fails(item: int) -> int:
        error = ValueError("locked", threading.Lock())
        error.lock, error.code = threading.Lock(), 7  # type: ignore[attr-defined]
        raise error

    with pytest.raises(ValueError, match=r"locked.*lock object") as caught:
        pipeline(fails).run().close()
    assert caught.value.code == 7  # type: ignore[attr-defined]


def test_an_exception_whose_class_cannot_be_pickled_arrives_by_name_and_text() -> None:
    def fails(item: int) -> int:
        lock = threading.Lock()

        class Bound(Exception):
            def __init__(self) -> None:
                super().__init__("bound to a lock", lock)

        raise Bound

    with pytest.raises(mp.FunctorError, match=r"Bound: .*bound to a lock"):
        pipeline(fails).run().close()


def test_exceptions_of_the_users_own_classes_can_be_caught_by_them() -> None:
    class OwnError(Exception):
        pass

    def fails(item: int) -> int:
        raise OwnError("mine")

    with pytest.raises(OwnError, match="mine"):
        pipeline(fails).run().close()


def test_the_loop_raises_what_happened_in_a_worker() -> None:
    def fails(item: int) -> int:
        if item == 30:
            raise ZeroDivisionError("thirty")
        return item

    got = []
    with pytest.raises(ZeroDivisionError, match="thirty"):
        for item in mp.PipeLine([mp.Source(endless), mp.Transform(fails)]):
            got.append(item)
    assert got == list(range(len(got)))


@pytest.mark.parametrize("kind", ["Source", "Transform", "Sink"])
def test_local_init_that_raises_ends_the_run(kind: str) -> None:
    class Fails(Keeper):
        def local_init(self) -> None:
            raise OSError("no such device")

    class FailingSource(Fails):
        def run(self):
            yield 1

    segments = [mp.Source(endless), mp.Transform(slowly), mp.Sink(Keeper())]
    index = ["Source", "Transform", "Sink"].index(kind)
    functor = FailingSource() if kind == "Source" else Fails()
    segments[index] = getattr(mp, kind)(functor, "broken")
    with pytest.raises(OSError, match="no such device") as caught:
        mp.PipeLine(segments).run().close()
    assert "its local_init of segment 'broken'" in caught.value.__notes__[0]


def test_local_term_that_raises_is_told() -> None:
    class Fails(Keeper):
        def local_term(self):
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        pipeline(sink=Fails(), source=range(5)).run().close()


def test_a_source_that_raises_says_at_which_item() -> None:
    def source():
        yield from range(7)
        raise ValueError("file 7 is missing")

    with pytest.raises(ValueError, match="file 7") as caught:
        pipeline(source=source).run().close()
    assert "item 7 of 'load'" in caught.value.__notes__[0]


def test_an_item_that_cannot_be_sent_says_why() -> None:
    with pytest.raises(TypeError, match="lock") as caught:
        pipeline(lambda item: {"x": [threading.Lock()]}).run().close()
    assert "segment 'trans'" in caught.value.__notes__[0]


def test_sys_exit_in_a_functor_is_a_failure_and_does_not_end_the_caller() -> None:
    with pytest.raises(mp.FunctorError, match="SystemExit: 3"):
        pipeline(lambda item: sys.exit(3)).run().close()


def test_breakpoint_in_a_worker_says_inline() -> None:
    def stops(item: int) -> int:
        breakpoint()
        return item

    with pytest.raises(RuntimeError, match="inline=True"):
        pipeline(stops).run().close()


# ---------------------------------------------------------------------- deaths
@pytest.mark.parametrize("segment", ["load", "trans", "save"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_a_killed_worker_that_is_not_to_be_replaced_ends_the_run(
    segment: str, number: signal.Signals
) -> None:
    pline = pipeline(restart=False).run()
    flowing(pline)
    victim = pline.stats().segment(segment)[0]
    began = time.monotonic()
    os.kill(victim.pid, number)
    with pytest.raises(mp.WorkerDiedError, match=f"was killed by {number.name}") as caught:
        pline.close()
    assert time.monotonic() - began < 10  # seconds, not minutes: nothing waited for a timeout
    assert (caught.value.segment, caught.value.pid) == (segment, victim.pid)


def test_a_death_in_the_functor_names_the_item() -> None:
    def dies(item: int) -> int:
        if item == 25:
            os._exit(7)
        return item

    said = "exit code 7 while it had item 25 of 'load'"
    with pytest.raises(mp.WorkerDiedError, match=said):
        pipeline(dies, restart=False).run().close()
    with pytest.raises(mp.PoisonError, match=f"{said}.*{said}"):
        pipeline(dies).run().close()


def test_a_crash_in_native_code_names_the_item() -> None:
    def crashes(item: int) -> int:
        if item == 9:
            ctypes.string_at(0)
        return item

    with pytest.raises(mp.WorkerDiedError, match="SIGSEGV while it had item 9"):
        pipeline(crashes, restart=False).run().close()


def test_a_worker_killed_while_it_starts_ends_the_run() -> None:
    class Slow(Keeper):
        def local_init(self) -> None:
            time.sleep(60)

    pline = pipeline(sink=Slow()).run()
    wait_until(lambda: pline.stats()["save"].pid, "the worker's process")
    os.kill(pline.stats()["save"].pid, signal.SIGKILL)
    with pytest.raises(mp.WorkerDiedError, match="SIGKILL"):
        pline.close()


def test_the_death_of_the_process_that_starts_workers_ends_the_run() -> None:
    pline = pipeline(n=1).run()
    flowing(pline)
    worker = pline.stats()["trans"].pid
    parent = int(Path(f"/proc/{worker}/stat").read_text().rpartition(")")[2].split()[1])
    assert parent != os.getpid()
    os.kill(parent, signal.SIGKILL)
    with pytest.raises(mp.WorkerDiedError, match="lost together with"):
        pline.close()


def test_what_a_functor_has_started_dies_with_its_worker() -> None:
    def starts(item: int) -> int:
        subprocess.Popen(["sleep", "1000"])
        time.sleep(1000)
        return item

    pline = pipeline(starts, n=1).run()

    def sleeping() -> bool:
        return any(
            Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"sleep") for pid in children()
        )

    wait_until(sleeping, "the functor's own process")
    pline.stop()
    pline.close()


# ------------------------------------------------------------------------ stops
def test_stop_runs_local_term_and_is_no_error() -> None:
    pline = pipeline().run()
    flowing(pline)
    pline.stop()
    seen, outcome = pline.close()["save"]
    assert seen > 0
    assert outcome == "stopped"


def test_stop_with_drain_loses_nothing() -> None:
    pline = pipeline().run()
    flowing(pline)
    pline.stop(drain=True)
    results = pline.close()
    stats = pline.stats()
    assert results["save"][0] == stats["load"].items_out == stats["load"].confirmed


def test_stop_reaches_into_functors_that_sleep() -> None:
    def sleeps(item: int) -> int:
        time.sleep(1000)
        return item

    pline = pipeline(sleeps).run()
    wait_until(lambda: pline.stats().segment("trans")[0].item is not None, "an item in work")
    began = time.monotonic()
    pline.stop()
    pline.close()
    assert time.monotonic() - began < 10


def test_a_functor_that_cannot_be_interrupted_is_killed() -> None:
    def ignores(item: int) -> int:
        while True:
            try:
                time.sleep(1000)
            except BaseException:
                continue

    pline = pipeline(ignores).run(grace_s=1.5)
    wait_until(lambda: pline.stats().segment("trans")[0].item is not None, "an item in work")
    pline.stop()
    assert pline.close()["save"] == (0, "stopped")


def test_local_term_has_its_grace_and_no_more() -> None:
    class Slow(Keeper):
        def local_term(self):
            time.sleep(1000)

    pline = pipeline(sink=Slow()).run(grace_s=0.3)
    flowing(pline)
    pline.stop()
    assert pline.close() == {}


def test_leaving_a_loop_early_stops_the_run() -> None:
    pline = mp.PipeLine([mp.Source(endless), mp.Transform(slowly, n_processes=2)])
    for item in pline:
        if item >= 5:
            break
    wait_until(lambda: "finished" in repr(pline), "the end of the run")
    assert next(iter(pline)) in (0, 1, 2, 3)


def test_an_exception_in_the_callers_loop_stops_the_run_and_passes() -> None:
    pline = mp.PipeLine([mp.Source(endless)])
    with pytest.raises(ValueError, match="of my own"):
        for _ in pline:
            raise ValueError("of my own")
    wait_until(lambda: "finished" in repr(pline), "the end of the run")


def test_a_stopped_consumer_stops_the_source_within_its_budget() -> None:
    chunk = np.zeros(250_000, dtype=np.uint8)

    def chunks():
        while True:
            yield chunk.copy()

    pline = mp.PipeLine([mp.Source(chunks, "load"), mp.Sink(Keeper(), "save")]).run()
    flowing(pline)
    victim = pline.stats()["save"].pid
    os.kill(victim, signal.SIGSTOP)
    try:
        previous = -1

        def quiet() -> bool:
            nonlocal previous
            time.sleep(0.3)
            now, before = pline.stats()["load"].items_out, previous
            previous = now
            return now == before

        wait_until(quiet, "the source to stop")
        load = pline.stats()["load"]
        assert load.kept_bytes <= 200e6
        status = Path(f"/proc/{load.pid}/status").read_text()
        resident_kb = int(status.split("VmRSS:")[1].split()[0])
        assert resident_kb < 500_000
    finally:
        os.kill(victim, signal.SIGCONT)
    pline.stop()
    pline.close()


# ------------------------------------------------------------- the caller's end
SCRIPT = """
import os, sys, threading, time
import minipipe as mp

class Keeper:
    def run(self, item):
        time.sleep(0.002)
    def local_term(self):
        {term}
        print("kept", mp.get_worker_info().outcome)

def load():
    i = 0
    while True:
        yield i
        i += 1

def trans(x):
    {trans}
    return x

pline = mp.PipeLine([mp.Source(load, "load"), mp.Transform(trans, n_processes=2),
                     mp.Sink(Keeper(), "save")])
{init}
pline.run()
while {waits} and not pline.stats()["save"].items_in:
    time.sleep(0.01)
def announce():
    main = threading.main_thread().ident
    while True:  # until the main thread waits in close()
        frame, names = sys._current_frames()[main], []
        while frame:
            names.append(frame.f_code.co_name)
            frame = frame.f_back
        if {announced}:
            break
        time.sleep(0.01)
    print("ready", flush=True)

threading.Thread(target=announce, daemon=True).start()
{end}
"""


def script(tmp_path: Path, **parts: str) -> subprocess.Popen[str]:
    defaults = {"term": "pass", "trans": "pass", "init": "", "end": "pline.close()", "waits": "1"}
    defaults["announced"] = "'_wait' in names"
    path = tmp_path / "script.py"
    path.write_text(textwrap.dedent(SCRIPT.format(**{**defaults, **parts})))
    process = subprocess.Popen(
        [sys.executable, str(path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def test_ctrl_c_saves_and_prints_one_line(tmp_path: Path) -> None:
    process = script(tmp_path)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the whole group
    out, err = process.communicate(timeout=30)
    assert "kept interrupted" in out
    assert process.returncode == -signal.SIGINT
    assert len(err.strip().splitlines()) == 1, err
    assert "interrupted after" in err


def test_ctrl_c_between_run_and_close_ends_the_run(tmp_path: Path) -> None:
    # (Not while the main thread still starts the one that announces: in there it may be lost.)
    process = script(tmp_path, end="time.sleep(1000)", announced="names == ['<module>']")
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert "kept" in out
    assert "KeyboardInterrupt" in err  # it hit the user's own code, and is shown as Python does


def test_a_second_ctrl_c_does_not_wait_for_local_term(tmp_path: Path) -> None:
    process = script(tmp_path, term="print('saving', flush=True); time.sleep(1000)")
    os.killpg(process.pid, signal.SIGINT)
    assert process.stdout is not None
    assert process.stdout.readline() == "saving\n"
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == -signal.SIGINT
    assert len(err.strip().splitlines()) == 1, err


def test_ctrl_c_during_the_start_ends_it(tmp_path: Path) -> None:
    slow = "Keeper.local_init = lambda self: time.sleep(1000)"
    process = script(tmp_path, init=slow, waits="0")
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == -signal.SIGINT
    assert len(err.strip().splitlines()) == 1, err


def test_ctrl_c_while_draining_ends_it(tmp_path: Path) -> None:
    process = script(tmp_path, trans="time.sleep(0.5)", end="pline.stop(True); pline.close()")
    time.sleep(0.1)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == -signal.SIGINT
    assert len(err.strip().splitlines()) == 1, err


@pytest.mark.parametrize("trans", ["pass", "time.sleep(1000)", "threading.Lock().__class__"])
def test_a_killed_supervisor_leaves_nothing(tmp_path: Path, trans: str) -> None:
    before = run_directories()
    waits = "1" if trans == "pass" else "0"
    process = script(tmp_path, trans=trans, waits=waits, init="import threading")
    wait_until(lambda: len(children()) >= 5, "its workers")
    workers = children() - {process.pid}
    assert run_directories() > before
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=30)
    began = time.monotonic()
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers), "their end", 20)
    wait_until(lambda: run_directories() == before, "the directory to go", 20)
    assert time.monotonic() - began < 20


def test_stopped_workers_of_a_killed_supervisor_end_too(tmp_path: Path) -> None:
    process = script(tmp_path)
    workers = children() - {process.pid}
    stopped = 0
    for pid in workers:
        if Path(f"/proc/{pid}/comm").read_text().startswith(("load", "Transform", "save")):
            os.kill(pid, signal.SIGSTOP)
            stopped += 1
    assert stopped == 4
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=30)
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers), "their end", 20)


def test_the_interpreter_waits_for_a_run_that_nobody_closed(tmp_path: Path) -> None:
    path = tmp_path / "script.py"
    path.write_text(
        "import minipipe as mp, time\n"
        "def save(x):\n    time.sleep(0.01); print('saved', x)\n"
        "mp.PipeLine([mp.Source(range(20)), mp.Sink(save)]).run()\n"
    )
    done = subprocess.run([sys.executable, str(path)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [f"saved {i}" for i in range(20)]


def test_a_failure_that_nobody_waited_for_is_reported_with_exit_code_1(tmp_path: Path) -> None:
    path = tmp_path / "script.py"
    path.write_text(
        "import minipipe as mp\n"
        "mp.PipeLine([mp.Source(range(20)), mp.Sink(lambda x: 1 / (x - 3))]).run()\n"
    )
    done = subprocess.run([sys.executable, str(path)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "ZeroDivisionError" in done.stderr
    assert "item 3 of 'Source'" in done.stderr


@pytest.mark.parametrize("drain", [False, True])
def test_a_generator_is_closed_when_the_run_is_stopped(drain: bool, capfd) -> None:
    def load():
        try:
            while True:
                yield 1
        finally:
            print("files closed")

    pline = pipeline(source=load).run()
    flowing(pline)
    pline.stop(drain=drain)
    pline.close()
    assert "files closed" in capfd.readouterr().out
