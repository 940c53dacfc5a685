"""Passes without restarting: the workers of a persistent pipeline stay from pass to pass."""

from __future__ import annotations

import gc
import os
import random
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minipipe as mp
from minipipe.errors import LifecycleError, SameIteratorError
from minipipe.supervisor.scaling import scale
from tests.conftest import children, wait_until
from tests.process.passes import (
    ITEMS,
    DiesOnce,
    Gather,
    endless,
    numbers,
    of_pass,
    pairs,
    seen,
    slow,
)


def line(*segments: Any) -> mp.PipeLine:
    return mp.PipeLine(list(segments), persistent=True)


def pids(pline: mp.PipeLine) -> set[int]:
    return {worker.pid for worker in pline.stats().workers}


def test_each_loop_is_a_pass_with_the_same_workers_and_functors() -> None:
    pline = line(
        mp.Source(numbers),
        mp.Transform(seen, n_processes=2),
        mp.Transform(lambda x: x, "kept", restart=False),
    )
    for pass_ in range(4):
        assert sorted(pline) == of_pass(pass_)
        if pass_ == 0:
            first = pids(pline)
    assert pids(pline) == first
    assert [w.items_in for w in pline.stats().segment("kept")] == [4 * ITEMS]
    pline.close()


def test_results_and_local_term_come_once_at_close() -> None:
    pline = line(mp.Source(numbers), mp.Sink(Gather(), "keep"))
    for _ in range(3):
        pline.run()
        assert pline.results == {}
    pline.wait()
    assert pline.close() == {"keep": (1, [x for p in range(3) for x in of_pass(p)])}


def test_after_close_a_run_begins_anew_with_pass_0() -> None:
    pline = line(mp.Source(numbers))
    for _ in range(2):
        assert list(pline) == of_pass(0)
        assert list(pline) == of_pass(1)
        pline.close()


def test_regulators_hear_of_the_end_of_each_pass() -> None:
    pline = line(mp.Source(range(5)), mp.Regulator(pairs))
    for _ in range(3):
        assert list(pline) == [(0, 1), (2, 3), (4,)]
    for batches in range(3):
        assert [len(b) for b in pline] == [2, 2, 1], batches
    pline.close()


def test_batches_bundles_and_order_in_each_pass() -> None:
    pline = line(
        mp.Source(range(23)),
        mp.Transform(lambda x: np.float64(x), batch=4, n_processes=2, ordered=True),
    )
    for _ in range(3):
        batches = list(pline)
        assert [x for batch in batches for x in batch.tolist()] == list(range(23))
        assert [len(batch) for batch in batches] == [4, 4, 4, 4, 4, 3]
    pline.close()


@pytest.mark.parametrize("seed", [3, None])
def test_a_shuffle_begins_anew_and_another_order_comes_of_the_pass(seed: int | None) -> None:
    orders = []
    for inline in (False, True):
        with line(mp.Source(range(50)), mp.Shuffle(50, seed=seed)).build(inline=inline) as pline:
            orders.append([list(pline) for _ in range(3)])
    assert seed is None or orders[0] == orders[1]
    assert all(sorted(order) == list(range(50)) for order in orders[0])
    assert len(set(map(tuple, orders[0]))) == len(set(map(tuple, orders[1]))) == 3


@pytest.mark.parametrize("inline", [False, True])
def test_rows_of_a_pass_that_was_left_do_not_come_in_the_next(inline: bool) -> None:
    def chunk(i: int) -> np.ndarray[Any, Any]:
        return np.arange(3 * i, 3 * i + 3)

    orders = []
    for left in (True, False):
        segments = mp.Source(range(20)), mp.Transform(chunk), mp.Rebatch(7, shuffle=20, seed=1)
        with line(*segments).build(inline=inline) as pline:
            for _rows in pline:
                if left:
                    break
            orders.append([x for rows in pline for x in rows.tolist()])
    assert sorted(orders[0]) == list(range(60))
    assert orders[0] == orders[1]  # what is drawn follows from the pass, not from those before


def test_items_of_joins_and_broadcasts_stay_in_their_pass() -> None:
    a, b, c, d = (mp.Stream() for _ in range(4))
    psys = mp.PipeSystem(
        [
            mp.Source(numbers, downstreams=[a]),
            mp.Transform(lambda x: (x, -x), upstreams=[a], downstreams=[b, c]),
            mp.Transform(lambda x, y: (x, y), upstreams=[b, c], downstreams=[d]),
            mp.Sink(Gather(), "end", upstreams=[d]),
        ],
        persistent=True,
    )
    for _ in range(3):
        psys.run().wait()
    assert psys.close() == {"end": (1, [(x, -x) for p in range(3) for x in of_pass(p)])}
    pline = line(
        mp.Source(numbers),
        mp.Broadcast([mp.Sink(Gather(), "left"), mp.Sink(Gather(), "right")]),
    )
    for _ in range(3):
        pline.run()
    everything = (1, [x for p in range(3) for x in of_pass(p)])
    assert pline.close() == {"left": everything, "right": everything}


def test_a_loop_that_is_left_ends_its_pass_alone() -> None:
    pline = line(mp.Source(endless), mp.Transform(slow, n_processes=2), mp.Transform(slow))
    for pass_ in range(5):
        for count, x in enumerate(pline):
            assert x // 1000 == pass_
            if count == 3 * pass_:
                break
    assert {w.state for w in pline.stats().workers} == {"running"}
    pline.close()


def test_after_a_pass_that_was_left_the_next_is_whole_and_in_order() -> None:
    pline = line(
        mp.Source(numbers),
        mp.Transform(slow, n_processes=3, ordered=True),
        mp.Regulator(pairs),
    )
    for pass_ in range(0, 6, 2):
        assert next(iter(pline)) == tuple(of_pass(pass_)[:2])  # the loop is gone at once
        assert [x for pair in pline for x in pair] == of_pass(pass_ + 1)
    pline.close()


def test_arrays_in_shared_memory_are_given_back_by_a_pass_that_was_left() -> None:
    pline = line(
        mp.Source(lambda: (np.full(300_000, i, np.uint8) for i in range(200))),
        mp.Transform(lambda x: x, n_processes=2),
    )
    for _ in range(8):
        for x in pline:
            assert x[0] == x[-1]
            break
    assert len([int(x[0]) for x in pline]) == 200
    pline.close()


@pytest.mark.parametrize("at", [5, 1005, 2039])
def test_a_worker_that_dies_in_any_pass_is_replaced(at: int, tmp_path: Path) -> None:
    pline = line(
        mp.Source(numbers),
        mp.Transform(DiesOnce(at, tmp_path / "died"), n_processes=2),
        mp.Sink(Gather(), "keep"),
    )
    for _ in range(4):
        pline.run()
    _, items = pline.close()["keep"]
    assert sorted(items) == sorted(x for p in range(4) for x in of_pass(p))
    assert (tmp_path / "died").exists()


def test_a_worker_that_dies_between_passes_is_replaced() -> None:
    pline = line(mp.Source(numbers), mp.Transform(slow, "work", n_processes=2))
    assert sorted(pline) == of_pass(0)
    for pass_ in range(1, 3):
        os.kill(pline.stats().segment("work")[-1].pid, signal.SIGKILL)
        assert sorted(pline) == of_pass(pass_)
    pline.close()


def test_a_worker_that_dies_while_a_pass_is_abandoned_is_replaced() -> None:
    pline = line(mp.Source(endless), mp.Transform(slow, "work", n_processes=2))
    for _ in range(3):
        for count, _x in enumerate(pline):
            if count == 10:
                os.kill(pline.stats().segment("work")[-1].pid, signal.SIGKILL)
                break
    assert next(iter(pline)) == 3000
    pline.close()


def test_an_iterator_that_is_used_up_is_told_at_the_second_pass() -> None:
    pline = line(mp.Source(x for x in range(3)))
    assert list(pline) == [0, 1, 2]
    with pytest.raises(SameIteratorError, match="the epoch or pass before"):
        list(pline)


def test_what_fails_in_a_later_pass_ends_the_run() -> None:
    pline = line(mp.Source(numbers), mp.Transform(lambda x: 1 // (1003 - x)))
    assert len(list(pline)) == ITEMS
    with pytest.raises(ZeroDivisionError) as failed:
        list(pline)
    assert "item 3 (in pass 1) of 'Source'" in "".join(failed.value.__notes__)
    assert len(list(pline)) == ITEMS  # a run of its own
    pline.close()


def test_a_pipeline_that_nobody_has_ends_by_itself() -> None:
    before = children()
    pline = line(mp.Source(numbers), mp.Transform(slow))
    list(pline)
    assert children() > before
    del pline
    gc.collect()
    wait_until(lambda: children() <= before, "its workers to end", 20)


def test_a_loop_keeps_the_pipeline() -> None:
    items = []
    for x in line(mp.Source(numbers)):
        gc.collect()
        items.append(x)
    assert items == of_pass(0)


def test_a_with_block_closes_what_stays() -> None:
    with line(mp.Source(numbers), mp.Sink(Gather(), "keep")) as pline:
        pline.run()
    assert pline.results["keep"] == (1, of_pass(0) + of_pass(1))
    before = children()
    with pytest.raises(KeyError), line(mp.Source(endless)) as pline:
        for _ in pline:
            raise KeyError
    assert children() <= before


def test_stop_between_passes_and_in_one() -> None:
    pline = line(mp.Source(numbers), mp.Sink(Gather(), "keep"))
    pline.run().wait()
    pline.stop()
    assert pline.close()["keep"] == (1, of_pass(0))
    pline.run().wait()
    pline.stop(drain=True)
    assert pline.close()["keep"] == (1, of_pass(0))
    pline = line(mp.Source(endless), mp.Sink(slow))
    pline.run()
    pline.stop(drain=True)
    pline.close()


def test_what_a_persistent_pipeline_does_not_take_is_told() -> None:
    pline = line(mp.Source(numbers), mp.Transform(slow))
    assert list(pline) == of_pass(0)
    with pytest.raises(LifecycleError, match=r"seed=7.* of a persistent pipeline"):
        pline.run(seed=7)
    pline.run()
    with pytest.raises(LifecycleError, match="while a pass is on that puts out items"):
        pline.run()
    assert list(pline) == of_pass(1)
    pline.close()
    around, out = mp.Stream(), mp.Stream()
    psys = mp.PipeSystem(
        [
            mp.Source(numbers, downstreams=[around]),
            mp.Transform(slow, upstreams=[around], downstreams=[around, out]),
            mp.Sink(slow, upstreams=[out]),
        ],
        persistent=True,
    )
    with pytest.raises(mp.BuildError, match="persistent=True with a loop"):
        psys.build()
    with pytest.raises(mp.BuildError, match="persistent"):
        mp.PipeLine(persistent=1)  # type: ignore[arg-type]


def draws(x: int) -> tuple[int, int, int]:
    return x, int(mp.rng().integers(1 << 30)), random.randrange(1 << 30)


def drawn(*, inline: bool, left: bool) -> list[list[tuple[int, int, int]]]:
    pline = line(mp.Source(range(8)), mp.Transform(draws, n_processes=2, ordered=True))
    pline.build(inline=inline).run(seed=5)
    passes = []
    for pass_ in range(4):
        if left and pass_ == 1:
            for count, _ in enumerate(pline):
                if count == 2:
                    break
        else:
            passes.append(list(pline))
    pline.close()
    return passes


def test_random_numbers_follow_from_the_pass_whatever_came_before() -> None:
    whole = drawn(inline=False, left=False)
    assert len({numbers[1] for pass_ in whole for numbers in pass_}) == 32
    assert drawn(inline=False, left=True) == [whole[0], *whole[2:]]
    assert drawn(inline=True, left=False) == whole
    assert drawn(inline=True, left=True) == [whole[0], *whole[2:]]


def test_inline_does_the_same() -> None:
    pline = line(
        mp.Source(numbers), mp.Transform(seen), mp.Regulator(pairs), mp.Transform(lambda x: x)
    )
    pline.build(inline=True)
    for pass_ in range(0, 6, 2):
        assert [x for pair in pline for x in pair] == of_pass(pass_)
        assert next(iter(pline)) == tuple(of_pass(pass_ + 1)[:2])
    pline.close()
    sink = line(mp.Source(numbers), mp.Sink(Gather(), "keep")).build(inline=True)
    for _ in range(3):
        sink.run().wait()
    assert sink.results == {}
    assert sink.close() == {"keep": (1, [x for p in range(3) for x in of_pass(p)])}


def test_workers_that_come_and_go_between_passes() -> None:
    pline = line(mp.Source(numbers), mp.Transform(slow, "work"), mp.Sink(Gather(), "keep"))
    pline.run()
    execution: Any = pline._execution
    for count in (3, 1, 2):
        scale(execution._run, "work", count)
        pline.run()
    _, items = pline.close()["keep"]
    assert sorted(items) == sorted(x for p in range(4) for x in of_pass(p))


def test_a_supervisor_that_is_killed_between_passes_leaves_nothing() -> None:
    script = (
        "import minipipe as mp, os, signal\n"
        "pline = mp.PipeLine([mp.Source(range(9)), mp.Transform(abs)], persistent=True)\n"
        "assert list(pline) == list(range(9))\n"
        "print(*{w.pid for w in pline.stats().workers} - {0, os.getpid()}, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    pids = [int(pid) for pid in done.stdout.split()]
    assert len(pids) == 2, done.stderr
    wait_until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in pids), "their end", 30)


INTERRUPTED = """
import time, minipipe as mp
class Keep:
    def run(self, x): return x
    def local_term(self): print("kept", flush=True)
pline = mp.PipeLine([mp.Source(range(9)), mp.Transform(Keep())], persistent=True)
for _ in range(2): assert list(pline) == list(range(9))
{where}
"""


@pytest.mark.parametrize("where", ["between", "in"])
def test_a_ctrl_c_between_passes_and_in_one_prints_one_line(where: str) -> None:
    waits = "print(*{w.pid for w in pline.stats().workers}, flush=True); time.sleep(1000)"
    script = INTERRUPTED.format(where=waits if where == "between" else f"for x in pline: {waits}")
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    pids = {int(pid) for pid in process.stdout.readline().split()} - {0, process.pid}
    assert len(pids) == 2
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    out, err = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGINT, err
    assert out == "kept\n"
    (line,) = err.splitlines()
    assert re.match(r"minipipe: interrupted after .* s: Source \d+ out; ", line)
    wait_until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in pids), "their end", 30)


def test_a_script_that_ends_without_close_calls_local_term(tmp_path: Path) -> None:
    script = (
        "import minipipe as mp\n"
        "class Keep:\n"
        "    def run(self, x): return x\n"
        f"    def local_term(self): open({str(tmp_path / 'term')!r}, 'a').write('once')\n"
        "pline = mp.PipeLine([mp.Source(range(9)), mp.Transform(Keep())], persistent=True)\n"
        "for _ in range(3): assert list(pline) == list(range(9))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "term").read_text() == "once"


def test_a_mark_of_the_next_pass_settles_nothing_of_one_that_is_left() -> None:
    # Its sender hears of that before some receivers do; what they still get is out of order then.
    pline = line(
        mp.Source(lambda: (np.full(1 << 14, i) for i in range(40))),
        mp.Transform(lambda x: x, n_processes=2),
        mp.Transform(lambda x: x, ordered=True, restart=False),
    )
    for pass_ in range(60):
        if pass_ % 3 == 2:
            assert int(next(iter(pline))[0]) == 0
        else:
            assert [int(x[0]) for x in pline] == list(range(40))
    pline.close()


def test_dead_letters_say_which_pass_an_item_was_of(tmp_path: Path) -> None:
    letters = str(tmp_path / "letters")
    pline = line(
        mp.Source(numbers),
        mp.Transform(lambda x: 1 // (x % 1000 - 3), max_failures=9, dead_letter=letters),
    )
    for _ in range(3):
        assert len(list(pline)) == ITEMS - 1
    pline.close()
    kept = mp.DeadLetters(letters).records()
    assert [(letter.pass_, letter.number) for letter in kept] == [(p, 3) for p in range(3)]
