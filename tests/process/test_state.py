"""A pipeline goes on where another was: nothing twice, nothing lost, the same random numbers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import minipipe as mp
from minipipe.errors import LifecycleError, StateError
from tests.conftest import wait_until
from tests.process.resumed import (
    Adds,
    Dataset,
    DiesAt,
    augment,
    drawn,
    drops,
    interrupted,
    key,
    name,
    row,
    shares,
    whole,
)


def ordered(source: Any, *behind: Any, persistent: bool = False, workers: int = 3) -> mp.PipeLine:
    work = mp.Transform(augment, "augment", n_processes=workers, ordered=True)
    return mp.PipeLine([source, work, *behind], persistent=persistent)


IN_ORDER = {
    "numbers": lambda: ordered(mp.Source(range(60), "load")),
    "a list with None": lambda: ordered(mp.Source([1, None, 2, None, *range(40)], "load")),
    "a generator that draws": lambda: ordered(mp.Source(drawn, "load")),
    "epochs": lambda: ordered(mp.Source(range(15), "load", epochs=4)),
    "epochs that draw": lambda: ordered(mp.Source(lambda: drawn(15), "load", epochs=4)),
    "what is dropped": lambda: ordered(mp.Source(range(60)), mp.Transform(drops, "drops")),
    "batches": lambda: mp.PipeLine(
        [
            mp.Source(range(60), "load"),
            mp.Transform(row, "row", n_processes=2, batch=7, ordered=True),
        ]
    ),
    "segments with state": lambda: ordered(
        mp.Source(range(60)), mp.Shuffle(9), mp.Transform(Adds(), "adds"), mp.Batch(2, collate=list)
    ),
    "inline": lambda: ordered(mp.Source(drawn), mp.Shuffle(9)).build(inline=True),
}


@pytest.mark.parametrize("case", IN_ORDER)
def test_interrupted_and_gone_on_with_it_is_as_if_nothing_had_been(case: str) -> None:
    make: Any = IN_ORDER[case]
    expected = whole(make)
    most = len(expected[0])
    assert interrupted(make, [1, most // 2]) == expected


OUT_OF_ORDER = {
    "several workers": lambda: mp.PipeLine(
        [mp.Source(range(60), "load"), mp.Transform(augment, "augment", n_processes=3)]
    ),
    "batches by several workers": lambda: mp.PipeLine(
        [mp.Source(drawn, "load"), mp.Transform(row, "row", n_processes=3, batch=4)]
    ),
    "a source of several workers": lambda: ordered(mp.Source(shares, "load", n_processes=3)),
    "that, and batches": lambda: mp.PipeLine(
        [
            mp.Source(shares, "load", n_processes=2),
            mp.Transform(row, "row", n_processes=2, batch=4),
        ]
    ),
    "some dropped": lambda: mp.PipeLine(
        [
            mp.Source(range(60), "load"),
            mp.Transform(augment, "augment", n_processes=3),
            mp.Transform(drops, "drops", n_processes=2),
        ]
    ),
}


@pytest.mark.parametrize("name", OUT_OF_ORDER)
def test_out_of_order_each_comes_once_and_is_the_same(name: str) -> None:
    make: Any = OUT_OF_ORDER[name]
    (expected,), (got,) = whole(make), interrupted(make, [5])
    assert sorted(got) == sorted(expected)


def test_passes_of_a_persistent_pipeline_go_on_with_their_numbers() -> None:
    def make() -> mp.PipeLine:
        return ordered(mp.Source(drawn, "load"), persistent=True, workers=2)

    expected = whole(make, passes=3)
    assert len({tuple(one) for one in expected}) == 3
    most = len(expected[0])
    assert interrupted(make, [most + 5, most], passes=3) == expected


def test_between_passes_the_next_one_begins() -> None:
    def make() -> mp.PipeLine:
        return ordered(mp.Source(drawn, "load"), persistent=True, workers=2)

    expected = whole(make, passes=2)
    pline = make()
    assert [key(x) for x in pline.run(seed=7)] == expected[0]
    state = pline.state_dict()
    assert (state["pass"], state["delivered"], state["seed"]) == (1, None, 7)
    pline.close()
    other = make()
    other.load_state_dict(state)
    assert other.state_dict() == state
    assert [key(x) for x in other] == expected[1]
    other.close()


def test_files_in_a_random_order(tmp_path: Path) -> None:
    for i in range(15):
        (tmp_path / f"{i:02d}").write_bytes(bytes([i]))

    def make() -> mp.PipeLine:
        source = mp.Files(f"{tmp_path}/*", read=True, shuffle=True)
        return mp.PipeLine([source, mp.Transform(name, n_processes=2, ordered=True)])

    for seed in (7, None):  # without one, the order that was drawn goes on
        pline = make()
        loop = iter(pline.run(seed=seed))
        got = [key(next(loop)) for _ in range(5)]
        state = pline.state_dict()
        loop.close()
        other = make()
        other.load_state_dict(json.loads(json.dumps(state)))
        got += [key(x) for x in other]
        assert len(got) == 15
        assert sorted(got) == [f'"{i:02d}"' for i in range(15)] != got
        if seed is not None:
            assert [got] == whole(make, seed=seed)


def test_a_dataset_is_not_asked_for_what_was_delivered(tmp_path: Path) -> None:
    def make() -> mp.PipeLine:
        return ordered(mp.Source(Dataset(tmp_path), "load"))

    loop = iter(first := make().run(seed=7))
    for _ in range(20):
        next(loop)
    state = first.state_dict()
    loop.close()
    for path in tmp_path.iterdir():
        path.unlink()
    other = make()
    other.load_state_dict(state)
    assert [x[0] for x in other] == list(range(20, 60))
    assert {int(path.name) for path in tmp_path.iterdir()} == set(range(20, 60))


def test_workers_die_before_and_after(tmp_path: Path) -> None:
    def make() -> mp.PipeLine:
        dies = mp.Transform(DiesAt(20, tmp_path, 1), "dies", n_processes=2, ordered=True)
        dies_later = mp.Transform(DiesAt(31, tmp_path / "later", 1), "dies too")
        return ordered(mp.Source(range(60), "load"), dies, dies_later, workers=2)

    (tmp_path / "later").mkdir()
    for place in (tmp_path, tmp_path / "later"):
        (place / "died0").touch()
    expected = whole(make)
    for place in (tmp_path, tmp_path / "later"):
        (place / "died0").unlink()
    assert interrupted(make, [25]) == expected
    assert (tmp_path / "died0").exists() and (tmp_path / "later" / "died0").exists()


SCRIPT = """
import json, os, sys, time
import minipipe as mp
from tests.process.resumed import augment, drawn, key
state, log, until = sys.argv[1:]
pline = mp.PipeLine([
    mp.Source(drawn, "load"), mp.Transform(augment, "augment", n_processes=2, ordered=True)
])
if os.path.exists(state):
    with open(state) as file:
        pline.load_state_dict(json.load(file))
with open(log, "a") as lines:
    for item in pline.run(seed=7):
        print(key(item), file=lines, flush=True)
        with open(state + ".new", "w") as file:
            json.dump(pline.state_dict(), file)
        os.replace(state + ".new", state)
        if pline.state_dict()["delivered"] >= int(until):
            time.sleep(60)
"""


def test_a_training_process_that_is_killed_goes_on_in_a_new_one(tmp_path: Path) -> None:
    """Killed with SIGKILL whenever that comes: what was delivered behind the state comes again."""
    state, log = tmp_path / "state.json", tmp_path / "log"
    command = [sys.executable, "-c", SCRIPT, str(state), str(log)]
    environment = {**os.environ, "PYTHONPATH": os.getcwd()}

    def lines() -> list[str]:
        return log.read_text().splitlines() if log.exists() else []

    for until in (5, 20):
        # From there on it would take an hour, so it cannot be at its end before it is killed.
        process = subprocess.Popen([*command, str(until)], env=environment)
        wait_until(lambda: len(lines()) >= until and state.exists(), "some items", 60)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        kept = json.loads(state.read_text())["delivered"]
        assert kept <= len(lines()) <= kept + 1  # at most one was behind its state
        log.write_text("".join(f"{line}\n" for line in lines()[:kept]))
    assert subprocess.run([*command, "1000"], env=environment, timeout=120).returncode == 0
    make: Any = IN_ORDER["a generator that draws"]
    assert [lines()] == whole(make)


def test_what_cannot_go_on_is_refused_when_it_is_asked_for() -> None:
    pline = mp.PipeLine([mp.Source(drawn), mp.Transform(augment, "augment")])
    loop = iter(pline)
    next(loop)
    with pytest.raises(StateError, match=r"without a seed.*pline\.run\(seed=7\)"):
        pline.state_dict()
    with pytest.raises(LifecycleError, match=r"load_state_dict\(\) while the pipeline is running"):
        pline.load_state_dict({})
    loop.close()
    fresh = pline.state_dict
    with pytest.raises(StateError):
        fresh()  # the pass that was left is under way still


def test_another_seed_or_a_source_that_has_become_shorter_is_refused() -> None:
    pline = ordered(mp.Source(lambda: iter(range(60)), "load"), workers=1)
    loop = iter(pline.run(seed=7))
    for _ in range(20):
        next(loop)
    state = pline.state_dict()
    loop.close()
    other = ordered(mp.Source(lambda: iter(range(12)), "load"), workers=1)
    other.load_state_dict(state)
    with pytest.raises(StateError, match=r"with seed=7, and this one is to have seed=8"):
        other.run(seed=8)
    with pytest.raises(StateError, match=r"behind item 20 of source 'load', which yields 12 item"):
        list(other)


def test_numbers_that_nothing_can_have_are_refused_before_anything_starts() -> None:
    pline = ordered(mp.Source(range(60), "load"))
    loop = iter(pline.run(seed=7))
    for _ in range(20):
        next(loop)
    state = pline.state_dict()
    loop.close()
    pline.close()
    for wrong in (
        {"pass": 2**23},
        {"numbers": {"load": [[0, 2**40 + 1]]}},
        {"numbers": {"load": [[0, 5], [3, 20]]}},
        {"numbers": {"load": [[5, 5]]}},
    ):
        with pytest.raises(StateError, match="the state is not whole"):
            pline.load_state_dict({**state, **wrong})
    pline.load_state_dict(state)
    assert len(list(pline)) == 40


def test_a_state_can_be_taken_at_any_time() -> None:
    pline = ordered(mp.Source(range(8), "load"))
    new = pline.state_dict()
    assert (new["pass"], new["delivered"]) == (0, None)
    pline.load_state_dict(new)
    for count, _ in enumerate(pline.run(seed=7), 1):
        assert pline.state_dict()["delivered"] == count
    assert pline.state_dict()["delivered"] is None
