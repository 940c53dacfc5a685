"""Cases that once went wrong, each found by trying to break the thing."""

from __future__ import annotations

import os
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
from tests.conftest import children, wait_until


def endless():
    i = 0
    while True:
        yield i
        i += 1


def slowly(item: object) -> object:
    time.sleep(0.005)
    return item


def run_script(
    tmp_path: Path, text: str, timeout_s: float = 40
) -> subprocess.CompletedProcess[str]:
    path = tmp_path / "script.py"
    head = "import os, sys, time, threading, minipipe as mp\n"
    head += "def slow(x): time.sleep(0.005); return x\n"
    path.write_text(head + textwrap.dedent(text))
    command = [sys.executable, str(path)]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout_s)


# ---------------------------------------------------------------------- deaths
@pytest.mark.parametrize("kind", ["Transform", "Sink"])
def test_a_death_in_the_last_local_term_is_no_success(kind: str) -> None:
    class Dies:
        def run(self, item):
            return item

        def local_term(self):
            os._exit(0)

    segments = [mp.Source(range(10)), getattr(mp, kind)(Dies(), "dies")]
    pline = mp.PipeLine(segments)
    with pytest.raises(mp.WorkerDiedError, match="'dies'"):
        list(pline) if kind == "Transform" else pline.run().close()


def test_a_stopped_zygote_does_not_hang_a_stop() -> None:
    pline = mp.PipeLine([mp.Source(endless), mp.Sink(slowly, "save")]).run()
    wait_until(lambda: pline.stats()["save"].items_in, "items")
    worker = pline.stats()["save"].pid
    zygote = int(Path(f"/proc/{worker}/stat").read_text().rpartition(")")[2].split()[1])
    os.kill(zygote, signal.SIGSTOP)
    pline.stop()
    pline.close()


def test_a_child_that_the_functor_forks_is_no_worker() -> None:
    def forks(item: int) -> int:
        pid = os.fork()
        if pid == 0:
            sys.exit(3)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    assert list(mp.PipeLine([mp.Source(range(3)), mp.Transform(forks)])) == [3, 3, 3]


def test_ignored_child_signals_do_not_disturb_forked_workers() -> None:
    lock = threading.Lock()

    def locked(item: int) -> int:
        with lock:
            return item

    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        assert list(mp.PipeLine([mp.Source(range(9)), mp.Transform(locked)])) == list(range(9))
    finally:
        signal.signal(signal.SIGCHLD, before)


def test_supervisors_killed_while_they_save_leave_nothing(tmp_path: Path) -> None:
    for _ in range(5):
        process = subprocess.Popen(
            [
                sys.executable,
                "-c",
                "import minipipe as mp, time\n"
                "class Saves:\n"
                "    def run(self, x): pass\n"
                "    def local_term(self): print('saving', flush=True); time.sleep(100)\n"
                "mp.PipeLine([mp.Source(range(5)), mp.Sink(Saves())]).run().close()",
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "saving\n"
        workers = children() - {process.pid}
        process.kill()
        _, err = process.communicate(timeout=30)
        gone = lambda: not any(Path(f"/proc/{p}").exists() for p in workers)  # noqa: E731
        wait_until(gone, "the workers' end")
        assert "Traceback" not in err


# ----------------------------------------------------------------------- loops
def test_an_exception_of_a_signal_handler_in_next_does_not_look_like_the_end() -> None:
    class AlarmError(Exception):
        pass

    def rings(number, frame):
        raise AlarmError

    before = signal.signal(signal.SIGALRM, rings)
    pline = mp.PipeLine([mp.Source(endless), mp.Transform(slowly)])
    loop = iter(pline)
    try:
        next(loop)
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        with pytest.raises(AlarmError):
            while True:
                next(loop)
    finally:
        signal.signal(signal.SIGALRM, before)
    for again in (lambda: next(loop), pline.close):
        with pytest.raises(mp.LifecycleError, match="stopped in the middle: AlarmError"):
            again()


@pytest.mark.parametrize(
    "text",
    [
        "it = iter(mp.PipeLine([mp.Source(range(1000)), mp.Transform(slow)])); print(next(it))",
        "z = zip(mp.PipeLine([mp.Source(range(1000))]), range(3)); print(next(z)[0])",
        """
        pline = mp.PipeLine([mp.Source(range(1000)), mp.Transform(slow)])
        loop = iter(pline)
        print(next(loop))
        def more():
            for _ in loop: pass
        threading.Thread(target=more, daemon=True).start()
        time.sleep(0.3)
        """,
    ],
)
def test_a_loop_that_is_held_at_the_end_of_the_script_does_not_hang_it(
    tmp_path: Path, text: str
) -> None:
    done = run_script(tmp_path, text)
    assert done.stdout == "0\n", done.stderr


def test_close_within_the_loop_is_an_error_and_no_deadlock() -> None:
    pline = mp.PipeLine([mp.Source(range(100)), mp.Transform(slowly)])
    loop = iter(pline)
    next(loop)
    with pytest.raises(mp.LifecycleError, match="while a loop over the pipeline is at work"):
        pline.close()


def test_leaving_with_while_a_loop_is_held_stops_the_run() -> None:
    with mp.PipeLine([mp.Source(endless), mp.Transform(slowly)]) as pline:
        loop = iter(pline)
        assert next(loop) == 0
    assert list(loop) == []


def test_a_loop_whose_run_failed_during_its_body_raises_the_failure() -> None:
    def fails(item: int) -> int:
        if item == 5:
            raise KeyError("five")
        return item

    pline = mp.PipeLine([mp.Source(range(100)), mp.Transform(fails, buffer_size=1)])
    with pytest.raises(KeyError, match="five"):
        for item in pline:
            if item == 4:
                wait_until(lambda: "finished" in repr(pline), "the failure")


def test_nothing_comes_after_close_or_stop() -> None:
    pline = mp.PipeLine([mp.Source(endless), mp.Transform(slowly)])
    loop = iter(pline)
    next(loop)
    loop.close()
    assert list(loop) == []
    loop = iter(pline)
    next(loop)
    pline.stop()
    wait_until(lambda: "finished" in repr(pline), "the end")
    assert list(loop) == []


def test_a_child_forked_in_the_loop_ends_as_it_likes() -> None:
    pline = mp.PipeLine([mp.Source(range(20)), mp.Transform(slowly)])
    codes = []
    for item in pline:
        if item == 3:
            child = subprocess.run(
                [sys.executable, "-c", FORKING], capture_output=True, text=True, timeout=40
            )
            codes.append(child.stdout)
    assert codes == ["child ended with 4\n"]


FORKING = """
import os, sys, time, minipipe as mp
for x in mp.PipeLine([mp.Source(range(20)), mp.Transform(lambda x: x)]):
    if x == 3:
        pid = os.fork()
        if pid == 0:
            sys.exit(4)
        print("child ended with", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


def test_the_counters_of_the_loop_are_right_at_the_end() -> None:
    pline = mp.PipeLine([mp.Source(range(5000))])
    assert len(list(pline)) == 5000
    caller = pline.stats()["(caller)"]
    assert (caller.items_in, caller.queued_items, caller.confirmed) == (5000, 0, 5000)


def test_an_item_that_cannot_be_unpacked_says_so_in_worker_and_loop() -> None:
    class Bad:
        def __init__(self) -> None:
            self.a = 1

        def __setstate__(self, state):
            raise ValueError("cannot come back")

    def makes(item: int):
        return Bad() if item == 3 else item

    segments = [mp.Source(range(10)), mp.Transform(makes, "makes")]
    with pytest.raises(Exception, match="cannot come back") as caught:
        mp.PipeLine([*segments, mp.Sink(slowly)]).run().close()
    assert "in unpickling what came from 'makes'" in caught.value.__notes__[0]
    with pytest.raises(Exception, match="cannot come back"):
        list(mp.PipeLine(segments))


def test_a_functor_that_raises_stop_iteration_is_a_failure_not_an_end() -> None:
    def stops(item: int) -> int:
        raise StopIteration("early")

    with pytest.raises(mp.FunctorError, match="StopIteration: early"):
        list(mp.PipeLine([mp.Source(range(10)), mp.Transform(stops)]))


# ---------------------------------------------------------------------- prints
@pytest.mark.parametrize("broken", ["flush", "write"])
def test_a_stdout_that_raises_does_not_block_the_workers(monkeypatch, broken: str) -> None:
    class Out:
        def write(self, text: str) -> None:
            if broken == "write":
                raise RuntimeError("no")

    def says(item: int) -> int:
        print("y" * 3000)
        return item

    monkeypatch.setattr(sys, "stdout", Out())
    assert len(list(mp.PipeLine([mp.Source(range(100)), mp.Transform(says)]))) == 100


def test_a_functor_that_closed_its_stdout_can_still_fail_properly() -> None:
    def closes(item: int) -> int:
        sys.stdout.close()
        raise ValueError("the real reason")

    with pytest.raises(ValueError, match="the real reason"):
        list(mp.PipeLine([mp.Source(range(10)), mp.Transform(closes)]))


# ------------------------------------------------------------------- the plane
@pytest.mark.parametrize("large", [False, True])
def test_a_burst_arrives_although_its_source_then_blocks(large: bool) -> None:
    def bursts():
        for count in (1, 20, 63, 64, 65, 200):
            for i in range(count):
                yield np.full(5000, i, dtype=np.float32) if large else i
            time.sleep(0.05)
        yield from range(10)
        time.sleep(1000)

    pline = mp.PipeLine([mp.Source(bursts, "load"), mp.Sink(lambda x: None, "save")]).run()
    wait_until(lambda: pline.stats()["save"].items_in == 423, "all that was yielded")
    pline.stop()
    pline.close()


def test_results_are_passed_on_although_the_functor_then_blocks() -> None:
    def sometimes(item: int) -> int:
        if item == 100:
            time.sleep(1000)
        return item

    pline = mp.PipeLine(
        [mp.Source(range(200)), mp.Transform(sometimes), mp.Sink(lambda x: None, "save")]
    ).run()
    wait_until(lambda: pline.stats()["save"].items_in == 100, "all before the one that blocks")
    pline.stop()
    pline.close()


def test_items_out_of_order_in_a_parcel_are_booked_right() -> None:
    """Two workers, then one: its parcels hold runs of numbers that do not ascend."""

    def pauses(item: int) -> int:
        if item % 500 == 0:
            time.sleep(0.004)  # long enough for the service thread to come
        return item

    segments = [
        mp.Source(range(5000), buffer_size=10),
        mp.Transform(lambda x: x, n_processes=2, buffer_size=10),
        mp.Transform(lambda x: x),
        mp.Transform(pauses),
    ]
    got = []
    for item in mp.PipeLine(segments):
        got.append(item)
        if item % 700 == 0:
            time.sleep(0.004)
    assert sorted(got) == list(range(5000))


def test_the_loop_confirms_and_grants_during_a_long_body() -> None:
    pline = mp.PipeLine([mp.Source(endless, "load"), mp.Transform(lambda x: x, "t")])
    loop = iter(pline)
    for _ in range(3):
        next(loop)
        time.sleep(0.1)  # it rests
    before = pline.stats()["(caller)"].confirmed
    next(loop)
    wait_until(lambda: pline.stats()["(caller)"].confirmed > before, "confirmations", 10)
    loop.close()


def test_a_slow_source_deals_to_the_worker_that_is_free_first() -> None:
    def loads():
        for i in range(8):
            time.sleep(0.3)
            yield i

    def works(item: int) -> tuple[int, int]:
        time.sleep(0.6 - 0.05)
        info = mp.get_worker_info()
        assert info is not None
        return item, info.id

    pline = mp.PipeLine([mp.Source(loads), mp.Transform(works, n_processes=2)])
    dealt = [worker for _, worker in sorted(pline)]
    assert dealt in ([0, 1] * 4, [1, 0] * 4)
