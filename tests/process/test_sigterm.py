"""SIGTERM, and what else clusters send to a job: to the supervisor, or to every process of it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

import minipipe as mp
from tests.conftest import children, wait_until

SCRIPT = """
import os, signal, sys, threading, time
import minipipe as mp

class Keeper:
    def run(self, item):
        time.sleep(0.002)
    def local_term(self):
        print("saving", flush=True)
        {term}
        print("kept", mp.get_worker_info().outcome)

def load():
    i = 0
    while True:
        yield i
        i += 1

def ready():
    print("ready", flush=True)

{before}
segments = [mp.Source(load, "load"), mp.Transform(lambda x: x, n_processes=2)]
"""
CLOSE = """
p = mp.PipeLine([*segments, mp.Sink(Keeper())]).run()
while not p.stats()["Sink"].items_in: time.sleep(0.01)
ready()
p.close()
"""
OWN_CODE = CLOSE.replace("p.close()", "time.sleep(1000)")
INTERPRETER = CLOSE.replace("p.close()", "")
LOOP = """
class Passes(Keeper):
    def run(self, item):
        return item
for i, x in enumerate(mp.PipeLine([mp.Source(load), mp.Transform(Passes())])):
    if i == 100: ready()
"""
LOOP_BODY = LOOP.replace("ready()", "ready(); time.sleep(1000)")
THREAD = f"""
def work():
    global p
    {CLOSE.strip().replace(chr(10), chr(10) + "    ")}
mp.PipeLine([mp.Source(range(3)), mp.Sink(abs)]).run().close()
threading.Thread(target=work).start()
"""


def script(tmp_path: Path, way: str, *, term: str = "", before: str = "") -> subprocess.Popen[str]:
    path = tmp_path / "script.py"
    path.write_text(textwrap.dedent(SCRIPT.format(term=term, before=before)) + way)
    process = subprocess.Popen(
        [sys.executable, str(path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line == "ready\n", line + process.communicate()[1]
    return process


EARLY = (
    INTERPRETER
    + """
import os, signal
import minipipe.pipeline.process_execution as execution
of = execution.died_of
def died_of():
    execution.died_of = of
    os.kill(os.getpid(), signal.SIGTERM)
    return of()
execution.died_of = died_of
"""
)


def test_sigterm_before_the_interpreter_waits_is_like_any_other(tmp_path: Path) -> None:
    # Not by `script`: whoever reads "ready" there may have read ahead what comes right after it.
    path = tmp_path / "script.py"
    path.write_text(textwrap.dedent(SCRIPT.format(term="", before="")) + EARLY)
    command = [sys.executable, str(path)]
    done = subprocess.run(
        command, capture_output=True, text=True, start_new_session=True, timeout=60
    )
    assert "kept interrupted" in done.stdout
    assert done.returncode == -signal.SIGTERM, done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("minipipe: terminated after "), done.stderr


@pytest.mark.parametrize("way", [CLOSE, OWN_CODE, INTERPRETER, LOOP, LOOP_BODY])
def test_sigterm_saves_and_is_what_the_script_dies_of(tmp_path: Path, way: str) -> None:
    process = script(tmp_path, way)
    process.terminate()
    out, err = process.communicate(timeout=60)
    assert "kept interrupted" in out
    assert process.returncode == -signal.SIGTERM, err
    *waits, line = err.splitlines()
    assert all("a run has not" in text for text in waits), err
    assert line.startswith("minipipe: "), err


def test_a_second_sigterm_does_not_wait_for_local_term(tmp_path: Path) -> None:
    process = script(tmp_path, CLOSE, term="time.sleep(1000)")
    process.terminate()
    assert process.stdout is not None
    assert process.stdout.readline() == "saving\n"
    process.terminate()
    _, err = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGTERM, err
    assert len(err.strip().splitlines()) == 1, err


WAITS = """
def ready_in_wait():
    main = threading.main_thread().ident
    def calls():
        return [f.f_code.co_name for f, _ in traceback.walk_stack(sys._current_frames()[main])]
    while "_wait" not in calls():
        time.sleep(0.05)
    ready()
import traceback
threading.Thread(target=ready_in_wait, daemon=True).start()
"""
EXITS = "signal.signal(signal.SIGTERM, lambda n, f: sys.exit(3))"


@pytest.mark.parametrize(
    "way",
    [
        *(CLOSE.replace("ready()", WAITS), INTERPRETER.replace("ready()", WAITS)),
        *(LOOP, LOOP_BODY, OWN_CODE),
    ],
)
def test_a_handler_that_exits_ends_an_endless_run_with_its_grace(tmp_path: Path, way: str) -> None:
    process = script(tmp_path, way, before=EXITS)
    process.terminate()
    out, err = process.communicate(timeout=60)
    assert "kept stopped" in out, err
    assert process.returncode == 3, err
    assert "Traceback" not in err


@pytest.mark.parametrize("handler", ("lambda *given: sys.exit(3)", "Job().ends"))
def test_a_handler_of_any_kind_that_exits_deep_in_the_scripts_code_ends_all_runs(
    tmp_path: Path, handler: str
) -> None:
    before = f"""
class Job:
    def ends(self, number, frame):
        self.leave()
    def leave(self):
        sys.exit(3)

def deep():
    ready()
    while True:
        time.sleep(1000)

signal.signal(signal.SIGUSR1, {handler})
"""
    second = """
q = mp.PipeLine([mp.Source(load), mp.Sink(Keeper())]).run()
while not q.stats()["Sink"].items_in: time.sleep(0.01)
deep()
"""
    way = OWN_CODE.replace("ready()", "").replace("time.sleep(1000)", second)
    process = script(tmp_path, way, before=before)
    process.send_signal(signal.SIGUSR1)
    out, err = process.communicate(timeout=60)
    assert out.count("kept stopped") == 2, err
    assert process.returncode == 3, err
    assert "Traceback" not in err


def test_a_handler_that_exits_twice_from_the_scripts_code_does_not_wait_for_local_term(
    tmp_path: Path,
) -> None:
    process = script(tmp_path, OWN_CODE, term="time.sleep(1000)", before=EXITS)
    process.terminate()
    assert process.stdout is not None
    assert process.stdout.readline() == "saving\n"
    process.terminate()
    _, err = process.communicate(timeout=60)
    assert process.returncode == 3, err


def test_a_handler_that_sets_a_flag_lets_the_script_exit_and_its_run_end(tmp_path: Path) -> None:
    before = """
flag = threading.Event()
signal.signal(signal.SIGTERM, lambda number, frame: flag.set())
load = range(400)
"""
    way = OWN_CODE.replace("time.sleep(1000)", "flag.wait(60)\nsys.exit(3)")
    process = script(tmp_path, way, before=before)
    process.terminate()
    out, err = process.communicate(timeout=60)
    assert "kept finished" in out, err
    assert process.returncode == 3, err


OWN_EXIT = """
import sys
import minipipe as mp

before = sys.exit
pline = mp.PipeLine([mp.Source(range(3)), mp.Sink(abs)]).run()
during = sys.exit
pline.close()
assert during is not before
assert sys.exit is before
during(4)
"""


def test_sys_exit_is_its_own_again_when_no_run_is_on() -> None:
    # In an interpreter of its own: here, runs of other tests may still be waiting to be asked for.
    done = subprocess.run([sys.executable, "-c", OWN_EXIT], capture_output=True, timeout=60)
    assert done.returncode == 4, done.stderr


def test_a_handler_that_exits_twice_does_not_wait_for_local_term(tmp_path: Path) -> None:
    process = script(
        tmp_path, CLOSE.replace("ready()", WAITS), term="time.sleep(1000)", before=EXITS
    )
    process.terminate()
    assert process.stdout is not None
    assert process.stdout.readline() == "saving\n"
    process.terminate()
    _, err = process.communicate(timeout=60)
    assert process.returncode == 3, err
    assert "was cut off" not in err


def test_a_handler_that_raises_while_the_interpreter_waits_ends_the_run(tmp_path: Path) -> None:
    own = "signal.signal(signal.SIGTERM, lambda n, f: 1 / 0)"
    process = script(tmp_path, INTERPRETER.replace("ready()", WAITS), before=own)
    process.terminate()
    out, err = process.communicate(timeout=60)
    assert "kept stopped" in out, err
    assert "ZeroDivisionError" in err
    assert process.returncode == 1


@pytest.mark.parametrize("during", [False, True])
def test_a_handler_of_the_users_is_theirs(tmp_path: Path, during: bool) -> None:
    own = "signal.signal(signal.SIGTERM, lambda n, f: (print('mine'), p.stop()))"
    way = CLOSE.replace("ready()", f"{own}; ready()") if during else CLOSE
    way += "\nprint(signal.getsignal(signal.SIGTERM).__name__)"
    process = script(tmp_path, way, before="" if during else own)
    process.terminate()
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    lines = out.splitlines()
    assert lines[0] == "mine"
    assert "kept stopped" in lines
    assert lines[-1] == "<lambda>"


WITHOUT = """
import signal
import minipipe as mp

before = signal.getsignal(signal.SIGTERM)
next(iter(mp.PipeLine([mp.Source(range(3)), mp.Transform(abs)])))  # left, and dropped
for _ in range(2):
    with mp.PipeLine([mp.Source(range(3)), mp.Sink(abs)]) as pline:
        assert signal.getsignal(signal.SIGTERM) is not before
        while pline.stats().state != "ended":
            pass
pline = mp.PipeLine([mp.Source(range(3)), mp.Transform(abs)])
assert list(pline) == [0, 1, 2]
assert signal.getsignal(signal.SIGTERM) is before
"""


def test_without_a_run_sigterm_is_what_it_was() -> None:
    # In an interpreter of its own: here, runs of other tests may still be waiting to be asked for.
    done = subprocess.run([sys.executable, "-c", WITHOUT], capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_children_that_the_user_forks_die_of_sigterm_at_once() -> None:
    def endless():
        while True:
            yield 0

    pline = mp.PipeLine([mp.Source(endless), mp.Sink(lambda x: None)]).run()
    process = multiprocessing.get_context("fork").Process(target=time.sleep, args=(1000,))
    process.start()
    process.terminate()
    process.join(30)
    assert process.exitcode == -signal.SIGTERM
    pline.stop()
    pline.close()


def test_a_run_of_another_thread_ends_when_sigterm_ends_the_supervisor(tmp_path: Path) -> None:
    process = script(tmp_path, THREAD)
    workers = children() - {process.pid}
    process.terminate()
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGTERM
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers), "their end")


# ------------------------------------------------------------------ to everybody
SENT = ["SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGALRM", "SIGXCPU"]


class Keeps:
    """A sink with something to save; inherited by fork if it has what cannot be pickled."""

    def __init__(self, inherited: bool) -> None:
        self.cannot_be_pickled = (i for i in ()) if inherited else None

    def run(self, item: object) -> None:
        time.sleep(0.001)

    def local_term(self) -> str:
        return "saved"


@pytest.mark.parametrize("inherited", [False, True])
def test_what_a_scheduler_sends_to_all_processes_is_for_the_supervisor(inherited: bool) -> None:
    def endless():
        while True:
            yield 0

    pline = mp.PipeLine([mp.Source(endless), mp.Sink(Keeps(inherited), "save")]).run()
    mine = children() - {os.getpid()}
    for name in SENT:  # some of them while it starts
        for pid in mine & children():
            os.kill(pid, getattr(signal, name))
    wait_until(lambda: pline.stats()["save"].items_in > 5, "items at the sink")
    before = pline.stats()["save"].items_in
    for name in SENT:
        for pid in children() - {os.getpid()}:
            os.kill(pid, getattr(signal, name))
    wait_until(lambda: pline.stats()["save"].items_in > before + 100, "more items at the sink")
    pline.stop()
    assert pline.close() == {"save": "saved"}


def ends_its_children(item: int) -> tuple[int, int | None]:
    """How children of a worker end that are sent SIGTERM: another program, and only a fork."""
    program = subprocess.Popen(["sleep", "1000"])
    program.terminate()
    fork = multiprocessing.get_context("fork").Process(target=time.sleep, args=(1000,))
    fork.start()
    fork.terminate()
    fork.join()
    return program.wait(), fork.exitcode


@pytest.mark.parametrize("inherited", [False, True])
def test_what_a_functor_has_started_can_be_terminated(inherited: bool) -> None:
    generator = (i for i in ()) if inherited else None

    def ends(item: int) -> tuple[int, int | None]:
        assert generator is None or inherited
        return ends_its_children(item)

    (got,) = mp.PipeLine([mp.Source(range(1)), mp.Transform(ends)])
    assert got == (-signal.SIGTERM, -signal.SIGTERM)


def test_a_handler_that_a_functor_sets_is_its_own() -> None:
    class Own:
        def local_init(self) -> None:
            self.got: list[int] = []
            signal.signal(signal.SIGUSR1, lambda number, frame: self.got.append(number))

        def run(self, item: int) -> list[int]:
            os.kill(os.getpid(), signal.SIGUSR1)
            wait_until(lambda: self.got, "the signal")
            return self.got

    assert list(mp.PipeLine([mp.Source(range(1)), mp.Transform(Own())])) == [[signal.SIGUSR1]]


WRAPPED = """
import sys
import minipipe as mp

def wrap(name):
    old = getattr(sys, name)
    setattr(sys, name, lambda *args: (print("wrapped", name, flush=True), old(*args))[-1])

for i in range(3):
    pline = mp.PipeLine([mp.Source(range(3)), mp.Sink(abs)]).run()
    if i == 0:
        wrap("exit")
        wrap("excepthook")
    pline.close()
{end}
"""


@pytest.mark.parametrize(("end", "status"), [("sys.exit(5)", 5), ("1 / 0", 1)])
def test_what_others_put_around_sys_exit_or_the_excepthook_is_called_once(
    end: str, status: int
) -> None:
    code = WRAPPED.format(end=end)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == status, done.stderr
    assert done.stdout.count("wrapped") == 1
    assert "Recursion" not in done.stderr


MOCKED = """
import sys
import minipipe as mp

real, sys.exit = sys.exit, lambda status: "not yet"
pline = mp.PipeLine([mp.Source(range(3)), mp.Sink(abs)]).run()
assert sys.exit(3) == "not yet"
pline.close()
real(6)
"""


def test_what_stands_in_for_sys_exit_may_return() -> None:
    done = subprocess.run([sys.executable, "-c", MOCKED], capture_output=True, timeout=60)
    assert done.returncode == 6, done.stderr
