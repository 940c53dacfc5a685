"""Real workers, killed by real signals: the run goes on, and nothing is lost or seen twice."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import minipipe as mp
from tests.conftest import children, wait_until
from tests.process import arrays
from tests.process.functors import Collect, both, same, streams

LIVES: dict[str, Any] = {"max_restarts": 10**6}


class Killer(threading.Thread):
    """Kills workers of these segments, at random, until told to stop."""

    def __init__(self, pline: Any, *segments: str, kills: int = 6, seed: int = 1) -> None:
        super().__init__()
        self.pline = pline
        self.segments = segments
        self.left = kills
        self.rng = random.Random(seed)
        self.killed: list[int] = []

    def run(self) -> None:
        while self.left and not self.pline._execution.ended:
            time.sleep(self.rng.uniform(0.02, 0.2))
            stats = self.pline.stats()
            alive = [w for w in stats.workers if w.segment in self.segments]
            # One that has just come may be at the item that the last one died at: that is poison.
            alive = [w for w in alive if w.state == "running" and w.pid and w.items_in > 3]
            if alive:
                victim = self.rng.choice(alive)
                try:
                    os.kill(victim.pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue  # it has just left
                self.killed.append(victim.pid)
                self.left -= 1


def survives(pline: Any, *segments: str, kills: int = 6) -> dict[str, Any]:
    """What a run comes to, some of whose workers are killed."""
    pline.run()
    killer = Killer(pline, *segments, kills=kills)
    killer.start()
    try:
        return pline.close(90)
    finally:
        pline.stop()
        killer.join()
        assert killer.killed, "nobody was killed: the run is too short"


def briefly(x: Any) -> Any:
    time.sleep(0.002)
    return x


def not_thirds(x: int) -> int | None:
    time.sleep(0.002)
    return x if x % 3 else None


def switch(x: int) -> tuple[int | None, int | None]:
    time.sleep(0.002)
    return (x, None) if x % 2 else (None, x)


def flat(found: dict[str, Any], name: str) -> list[Any]:
    """What all workers of a segment have got."""
    return [x for key, items in found.items() if key.split("/")[0] == name for x in items]


# ------------------------------------------------------------------ exactly once
@pytest.mark.parametrize("sinks", [1, 2])
def test_functions_are_replaced_and_nothing_is_lost_or_seen_twice(sinks: int) -> None:
    pline = mp.PipeLine([mp.Source(range(1500))])
    pline.add(mp.Transform(briefly, "a", **LIVES), n_processes=3)
    pline.add(mp.Transform(not_thirds, "b", **LIVES), n_processes=2)
    pline.add(mp.Sink(Collect(), "keep"), n_processes=sinks)
    found = survives(pline, "a", "b")
    assert sorted(flat(found, "keep")) == [x for x in range(1500) if x % 3]


def test_arrays_in_slots_survive_it(caplog: pytest.LogCaptureFixture) -> None:
    pline = mp.PipeLine([mp.Source(lambda: arrays.numbered(1200))])
    pline.add(mp.Transform(briefly, "a", **LIVES), n_processes=2)
    pline.add(mp.Transform(arrays.plus_nothing, "b", **LIVES), n_processes=2)
    pline.add(mp.Sink(arrays.Firsts(), "keep"))
    found = survives(pline, "a", "b")["keep"]
    assert found == sorted(range(1200)) or Counter(found) == Counter(i % 251 for i in range(1200))


def test_the_callers_loop_gets_every_item_once() -> None:
    pline = mp.PipeLine([mp.Source(range(1000))])
    pline.add(mp.Transform(briefly, "a", **LIVES), n_processes=2)
    pline.run()
    killer = Killer(pline, "a")
    killer.start()
    assert sorted(pline) == list(range(1000))
    killer.join()
    assert killer.killed


def test_order_survives_it() -> None:
    pline = mp.PipeLine([mp.Source(range(1500))])
    pline.add(mp.Transform(not_thirds, "a", ordered=True, **LIVES), n_processes=3)
    pline.add(mp.Sink(Collect(), "keep"))
    assert survives(pline, "a")["keep"] == [x for x in range(1500) if x % 3]


def test_a_broadcast_before_and_behind_survives_it() -> None:
    inner = mp.Broadcast([mp.Sink(Collect(), "k1"), mp.Sink(Collect(), "k2")])
    branches = [
        mp.Sink(Collect(), "k0"),
        [mp.Transform(briefly, "b", n_processes=2, **LIVES), inner],
    ]
    pline = mp.PipeLine([mp.Source(range(1000)), mp.Transform(briefly, "a", **LIVES)])
    pline.add(mp.Broadcast(branches))
    found = survives(pline, "a", "b")
    expected = {key: list(range(1000)) for key in ("k0", "k1", "k2")}
    assert {k: sorted(v) for k, v in found.items()} == expected


def test_a_switch_and_a_join_survive_it() -> None:
    a, b, c, d, e, out = streams(6)
    psys = mp.PipeSystem(
        [
            mp.Source(range(800), "s", a),
            mp.Transform(both, "fork", a, [b, c], n_processes=2, **LIVES),
            mp.Transform(briefly, "f", b, d, n_processes=2, **LIVES),
            mp.Transform(not_thirds, "g", c, e, n_processes=2, **LIVES),
            mp.Transform(lambda x, y: (x, y), "join", [d, e], out),
            mp.Sink(Collect(), "keep", out),
        ]
    )
    found = survives(psys, "fork", "f", "g")["keep"]
    assert sorted(found) == [(x, x) for x in range(800) if x % 3]
    a, b, c = streams(3)
    psys = mp.PipeSystem(
        [
            mp.Source(range(1000), "s", a),
            mp.Transform(switch, "switch", a, [b, c], n_processes=3, **LIVES),
            mp.Sink(Collect(), "odd", b),
            mp.Sink(Collect(), "even", c, n_processes=2),
        ]
    )
    found = survives(psys, "switch")
    assert sorted(flat(found, "odd")) == list(range(1, 1000, 2))
    assert sorted(flat(found, "even")) == list(range(0, 1000, 2))


def test_regulators_on_both_sides_survive_it() -> None:
    pline = mp.PipeLine([mp.Source(range(1000)), mp.Transform(briefly, "a", **LIVES), mp.Batch(7)])
    pline.add(mp.Transform(briefly, "b", **LIVES), n_processes=2)
    pline.add(mp.Unbatch())
    pline.add(mp.Sink(Collect(), "keep"))
    assert sorted(int(x) for x in survives(pline, "a", "b")["keep"]) == list(range(1000))


def test_function_sinks_are_replaced_and_every_item_is_done(tmp_path: Path) -> None:
    def save(x: int) -> None:
        time.sleep(0.002)
        fd = os.open(tmp_path / "done", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.write(fd, f"{x}\n".encode())
        os.close(fd)

    pline = mp.PipeLine([mp.Source(range(1200))])
    pline.add(mp.Sink(save, "save", **LIVES), n_processes=3)
    survives(pline, "save")
    done = Counter(int(line) for line in (tmp_path / "done").read_text().split())
    assert set(done) == set(range(1200))
    # Of each of the six dead the one that it had begun, and what it did in its last 10 ms.
    assert sum(done.values()) - len(done) <= 6 * (1 + 5)


def test_an_object_that_may_be_restarted_loses_its_state_and_no_item() -> None:
    class Count:
        def local_init(self) -> None:
            self.count = 0

        def run(self, x: int) -> tuple[int, int]:
            time.sleep(0.002)
            self.count += 1
            return x, self.count

    pline = mp.PipeLine([mp.Source(range(800))])
    pline.add(mp.Transform(Count(), "count", restart=True, **LIVES), n_processes=2)
    pline.add(mp.Sink(Collect(), "keep"))
    found = survives(pline, "count")["keep"]
    assert sorted(x for x, _ in found) == list(range(800))
    assert sum(count == 1 for _, count in found) > 2  # it has begun anew


def test_it_survives_deaths_while_it_drains() -> None:
    pline = mp.PipeLine([mp.Source(iter(int, 1)), mp.Transform(briefly, "a", **LIVES)])
    pline.add(mp.Sink(Collect(), "keep"))
    pline.run()
    wait_until(lambda: pline.stats()["keep"].items_in > 50, "some items")
    pline.stop(drain=True)
    os.kill(pline.stats()["a"].pid, signal.SIGKILL)
    kept = pline.close(30)["keep"]
    assert len(kept) == pline.stats()["Source"].items_out


# ------------------------------------------------------------------ what is said, and limits
def test_a_death_is_one_line_that_says_all(caplog: pytest.LogCaptureFixture) -> None:
    def dies_once(x: int) -> int:
        if x == 20 and not os.path.exists(mark):
            open(mark, "w").close()
            os.kill(os.getpid(), signal.SIGKILL)
        return x

    mark = f"/tmp/minipipe-test-{os.getpid()}"
    try:
        pline = mp.PipeLine([mp.Source(range(100)), mp.Transform(dies_once, "a")])
        assert sorted(pline) == list(range(100))
    finally:
        os.unlink(mark)
    said = [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
    assert len(said) == 1
    for part in ("segment 'a'", "worker a, pid ", "SIGKILL", "item 20 of 'Source'", "replaced"):
        assert part in said[0]
    assert "done again" in said[0]
    states = [w.state for w in pline.stats().workers if w.worker == "a"]
    assert states == ["died", "gone"]


def test_more_deaths_than_allowed_end_the_run(tmp_path: Path) -> None:
    def dies(x: int) -> int:
        if x % 5 == 4:
            os._exit(3)
        return x

    def dies_once(x: int) -> int:
        if x % 5 == 4 and not (tmp_path / str(x)).exists():
            (tmp_path / str(x)).touch()
            os._exit(3)
        return x

    pline = mp.PipeLine([mp.Source(range(100)), mp.Transform(dies, "a", max_restarts=0)])
    with pytest.raises(mp.WorkerDiedError, match=r"death 1 in this segment .*max_restarts=0"):
        list(pline)
    pline = mp.PipeLine(
        [mp.Source(range(100)), mp.Transform(dies_once, "a", max_restarts=2, poison="skip")]
    )
    with pytest.raises(mp.WorkerDiedError, match=r"death 3 in this segment .*max_restarts=2"):
        list(pline)


def test_a_death_in_a_segment_with_state_says_how_it_could_be_restarted() -> None:
    class Dies:
        def run(self, x: int) -> None:
            os._exit(1)

    with pytest.raises(mp.WorkerDiedError, match=r"keeps state, so .*restart=True restarts it"):
        mp.PipeLine([mp.Source(range(9)), mp.Sink(Dies(), "d")]).run().close(30)


def test_poison_is_named_and_left_out_if_that_is_wanted(caplog: pytest.LogCaptureFixture) -> None:
    def dies(x: int) -> int:
        if x == 7:
            os._exit(1)
        return x

    pline = mp.PipeLine([mp.Source(range(50))])
    pline.add(mp.Transform(dies, "a", poison="skip"), n_processes=2)
    assert sorted(pline) == [x for x in range(50) if x != 7]
    assert (
        "item 7 of 'Source' has killed two workers of segment 'a': it is set aside" in caplog.text
    )
    with pytest.raises(mp.PoisonError, match=r"item 7 of 'Source' has killed two workers"):
        list(mp.PipeLine([mp.Source(range(50)), mp.Transform(dies, "a")]))


def test_replacement_takes_items_soon() -> None:
    pline = mp.PipeLine([mp.Source(iter(int, 1)), mp.Transform(briefly, "a"), mp.Sink(same, "k")])
    pline.run()
    wait_until(lambda: pline.stats()["k"].items_in > 20, "items")
    os.kill(pline.stats()["a"].pid, signal.SIGKILL)
    wait_until(lambda: pline.stats()["a"].state == "running", "a new worker")
    before = pline.stats()["k"].items_in
    wait_until(lambda: pline.stats()["k"].items_in > before + 20, "items through it")
    pline.stop()
    pline.close()


def test_ctrl_c_while_a_worker_is_being_replaced() -> None:
    class LongInit:
        def local_init(self) -> None:
            time.sleep(0.5 if os.path.exists(mark) else 0)

        def run(self, x: int) -> int:
            return x

    mark = f"/tmp/minipipe-test-{os.getpid()}"
    pline = mp.PipeLine([mp.Source(iter(int, 1)), mp.Transform(LongInit(), "a", restart=True)])
    pline.add(mp.Sink(Collect(), "k"))
    pline.run()
    wait_until(lambda: pline.stats()["k"].items_in > 20, "items")
    open(mark, "w").close()
    try:
        os.kill(pline.stats()["a"].pid, signal.SIGKILL)
        wait_until(lambda: pline.stats().segment("a")[0].state == "died", "the death")
        pline.stop()
        assert pline.close(20)["k"]
    finally:
        os.unlink(mark)
    wait_until(lambda: not children(), "everybody to be gone")


# ------------------------------------------------------------------ bad input
@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: mp.Source([1], restart=True), "Source 'Source': nobody knows where"),
        (lambda: mp.Batch(2, restart=True), "Batch 'Batch': what it has gathered"),
        (lambda: mp.Transform(same, restart=1), "restart of Transform 'Transform' is True or"),
        (lambda: mp.Transform(same, max_restarts=-1), "max_restarts of .* at least 0, got -1"),
        (lambda: mp.Transform(same, poison="keep"), "poison of .* is 'stop' or 'skip', got 'keep'"),
        (lambda: mp.Source([1], ordered=True), "ordered=True makes no sense for Source"),
        (lambda: mp.Batch(2, ordered=True), "ordered=True makes no sense for Batch 'Batch': it k"),
        (lambda: mp.Sink(same, ordered=True), "let the segment before it be ordered"),
        (lambda: mp.Transform(same, timeout_s=0), "timeout_s of .* positive number of seconds"),
        (lambda: mp.Transform(same, timeout_s="1"), "timeout_s of .* positive number of seconds"),
        (lambda: mp.Transform(same, max_failures=-1), "max_failures of .*got -1"),
        (lambda: mp.Transform(same, max_failures=2.0), "max_failures of .*got 2.0"),
        (lambda: mp.Transform(same, max_failures="x"), "max_failures of .*got 'x'"),
        (lambda: mp.Transform(same, max_failures=True), "max_failures of .*got True"),
    ],
)
def test_impossible_options_are_refused(make: Any, said: str) -> None:
    with pytest.raises(mp.OptionError, match=said):
        make()


def test_restart_and_order_are_refused_where_the_graph_makes_no_sense_of_them() -> None:
    a, b, c = streams(3)
    join = mp.Transform(lambda x, y: x, "join", [a, b], c, restart=True)
    sources = [mp.Source([1], "s", a), mp.Source([1], "t", b)]
    with pytest.raises(mp.BuildError, match="restart=True makes no sense for Transform 'join'"):
        mp.PipeSystem([*sources, join, mp.Sink(same, "k", c)]).build()
    pline = mp.PipeLine([mp.Source([1]), mp.Transform(Collect(), "o", ordered=True)])
    pline.build()  # one worker keeps the order anyway
    pline = mp.PipeLine([mp.Source([1])])
    pline.add(mp.Transform(Collect(), "o", ordered=True), n_processes=2)
    with pytest.raises(mp.BuildError, match=r"ordered=True of Transform 'o' .* needs restart=True"):
        pline.build()
