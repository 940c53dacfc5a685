"""Workers that skip, fail, log or print without pause: the run goes on being in hand."""

from __future__ import annotations

import itertools
import logging
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

import minipipe as mp
from tests.conftest import DEADLOCK_S, wait_until

MANY = 1_000_000
GROWTH_BYTES = 64 * 1024 * 1024


def bad(x: int) -> None:
    raise ValueError(x)


def worse(x: int) -> None:
    raise ValueError("x" * 10_000, x)


def endless() -> itertools.count[int]:
    return itertools.count()


def memory_bytes() -> int:
    """What this process, the supervisor, has in memory."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def stops(pline: mp.PipeLine, *, within_s: float = DEADLOCK_S) -> None:
    """Ends a run, which must not wait until what its workers say has been read."""
    began_s = time.monotonic()
    pline.stop()
    pline.close(within_s)
    assert time.monotonic() - began_s < within_s


@pytest.mark.parametrize(
    ("shape", "option"), [("sink", "ignore_exceptions"), ("transform", "max_failures")]
)
def test_skipping_without_pause_neither_fills_the_memory_nor_delays_a_stop(
    option: str, shape: str, caplog: pytest.LogCaptureFixture
) -> None:
    options = {"ignore_exceptions": [ValueError]} if option[0] == "i" else {"max_failures": 10**9}
    pline = mp.PipeLine([mp.Source(endless)])
    if shape == "transform":
        pline.add(mp.Transform(bad, "bad", **options), n_processes=2)
        pline.add(mp.Sink(print))
    else:
        pline.add(mp.Sink(bad, "bad", **options))
    pline.run()

    def skipped() -> int:
        return sum(worker.dropped for worker in pline.stats().segment("bad"))

    wait_until(lambda: skipped() > MANY // 10, "some items to be skipped")
    before = memory_bytes()
    wait_until(lambda: skipped() > MANY, "many items to be skipped", 100)
    assert memory_bytes() - before < GROWTH_BYTES
    stops(pline)
    lines = [r.getMessage() for r in caplog.records if "skipped" in r.getMessage()]
    assert 10 <= len(lines) < 50
    if option == "ignore_exceptions":
        assert re.search(r"item \d+ was skipped: ValueError: \d+ \(\d+ so far\)$", lines[-1])


@pytest.mark.parametrize("limit", [5000, 0.4])
def test_a_budget_counts_each_of_many_failures_and_the_error_has_the_last(limit: float) -> None:
    pline = mp.PipeLine([mp.Source(range(100_000))])
    pline.add(mp.Transform(fails_half, "work", max_failures=limit), n_processes=2)
    with pytest.raises(mp.TooManyFailuresError, match="'work'") as caught:
        list(pline)
    error = caught.value
    assert error.failures > (5000 if limit == 5000 else 0.4 * error.items)
    # Not more than there were; reports may be some ms behind the items, until the end (below).
    assert error.failures < 0.55 * error.items + 2
    assert len(re.findall("ValueError: no good", error.last)) >= 3
    assert "in fails_half" in error.last
    assert isinstance(error.__cause__, ValueError)


def fails_half(x: int) -> int:
    if x % 2:
        raise ValueError(f"no good: {x}")
    return x


def test_a_budget_that_is_just_enough_is_enough_however_fast_it_is_used_up() -> None:
    pline = mp.PipeLine([mp.Source(range(20_000))])
    pline.add(mp.Transform(fails_half, "work", max_failures=10_000), n_processes=2)
    assert sum(1 for _ in pline) == 10_000
    work = pline.stats().segment("work")
    assert sum(worker.items_in for worker in work) == 20_000
    assert sum(worker.dropped for worker in work) == 10_000
    pline = mp.PipeLine([mp.Source(range(20_000))])
    pline.add(mp.Transform(fails_half, "work", max_failures=9_999), n_processes=2)
    with pytest.raises(mp.TooManyFailuresError) as caught:
        list(pline)
    assert caught.value.failures == 10_000


def test_each_of_many_skipped_items_is_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "bad.letters"
    pline = mp.PipeLine([mp.Source(range(4000))])
    pline.add(mp.Transform(fails_half, max_failures=4000, dead_letter=path), n_processes=2)
    assert sum(1 for _ in pline) == 2000
    assert sorted(mp.PipeLine([mp.DeadLetters(path)])) == list(range(1, 4000, 2))


def test_a_death_in_a_flood_is_seen_and_mended(caplog: pytest.LogCaptureFixture) -> None:
    pline = mp.PipeLine([mp.Source(endless)])
    pline.add(mp.Transform(worse, "bad", max_failures=10**9), n_processes=2)
    pline.add(mp.Sink(print))
    pline.run()
    wait_until(lambda: pline.stats()["bad/0"].dropped > 1000, "a flood")
    victim = pline.stats()["bad/0"].pid
    os.kill(victim, signal.SIGKILL)
    wait_until(lambda: pline.stats()["bad/0"].pid not in (victim, 0), "a new worker")
    wait_until(lambda: pline.stats()["bad/0"].dropped > 1000, "the flood to go on")
    stops(pline)
    assert "was killed by SIGKILL" in caplog.text


def test_the_death_of_one_with_state_ends_a_flood() -> None:
    pline = mp.PipeLine([mp.Source(endless)])
    pline.add(mp.Sink(bad, "bad", ignore_exceptions=[ValueError]))
    pline.run()
    wait_until(lambda: pline.stats()["bad"].dropped > 1000, "a flood")
    os.kill(pline.stats()["Source"].pid, signal.SIGKILL)
    with pytest.raises(mp.WorkerDiedError, match="'Source'"):
        pline.close(DEADLOCK_S)


def test_items_that_are_done_again_after_deaths_count_once_in_a_flood() -> None:
    pline = mp.PipeLine([mp.Source(range(30_000))])
    pline.add(mp.Transform(fails_half, "work", max_failures=15_000, max_restarts=9), n_processes=3)
    got = []
    gone = {0}  # killed, of which that may not be known yet
    for number, item in enumerate(pline):
        got.append(item)
        if number in (2_000, 9_000):
            wait_until(lambda: pline.stats()["work/1"].pid not in gone, "one to kill")
            pid = pline.stats()["work/1"].pid
            os.kill(pid, signal.SIGKILL)
            gone.add(pid)
    assert sorted(got) == list(range(0, 30_000, 2))


FLOOD = """
    import itertools, threading, time
    import minipipe as mp

    def bad(x):
        raise ValueError(x)

    pline = mp.PipeLine([mp.Source(itertools.count)])
    pline.add(mp.Sink(bad, "bad", ignore_exceptions=[ValueError]))
    pline.run()

    def watch():
        while pline.stats()["bad"].dropped < 50_000:
            time.sleep(0.01)
        print("flooded", flush=True)

    threading.Thread(target=watch).start()
    pline.close()
"""


def test_ctrl_c_ends_a_flood(tmp_path: Path) -> None:
    script = tmp_path / "flood.py"
    script.write_text(textwrap.dedent(FLOOD))
    command = [sys.executable, str(script)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, text=True, start_new_session=True, **pipes) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "flooded\n"
        os.killpg(process.pid, signal.SIGINT)
        _, told = process.communicate(timeout=DEADLOCK_S)
    assert "interrupted after" in told
    assert process.returncode == -signal.SIGINT


def log_much(x: int) -> int:
    for _ in range(50):
        logging.getLogger("functor").warning("of %d", x)
    return x


def test_log_lines_of_functors_without_pause_do_not_delay_a_stop(
    caplog: pytest.LogCaptureFixture,
) -> None:
    pline = mp.PipeLine([mp.Source(endless), mp.Transform(log_much, "much"), mp.Sink(id)])
    pline.run()
    wait_until(lambda: pline.stats()["much"].items_out > 1000, "many log lines")
    stops(pline)
    assert "of 999" in caplog.messages
