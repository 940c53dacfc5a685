"""A broadcast: every segment gets every item once, in order, whatever the speed of the others."""

from __future__ import annotations

import dataclasses
import os
import signal
import threading
import time

import numpy as np
import pytest

import minipipe as mp
from tests.conftest import wait_until
from tests.process.functors import Collect, Slow, endless, run, streams


class Late(Collect):
    """A sink that is long in coming."""

    def local_init(self) -> None:
        time.sleep(1.0)
        super().local_init()


@dataclasses.dataclass(frozen=True)
class Sample:
    key: int
    image: np.ndarray


def to(*branches, items=range(300), **options) -> dict[str, object]:
    """What the branches return after these items."""
    pline = mp.PipeLine([mp.Source(items), mp.Broadcast(*branches, **options)])
    return pline.run().close(60)


# ---------------------------------------------------------------------- every item
def test_every_sink_gets_every_item_in_order() -> None:
    results = to([mp.Sink(Collect(), name) for name in "abc"], items=range(2000))
    assert results == {name: list(range(2000)) for name in "abc"}


@pytest.mark.parametrize("buffer_size", [1, 3, None])
def test_a_subscriber_a_hundred_times_slower_loses_nothing(buffer_size: int | None) -> None:
    slow = mp.Sink(Slow(0.005), "slow", buffer_size=buffer_size)
    quick = mp.Sink(Slow(0.00005), "quick", buffer_size=buffer_size)
    assert to([slow, quick]) == {"slow": list(range(300)), "quick": list(range(300))}


def test_a_subscriber_that_is_long_in_coming_gets_the_first_item_too() -> None:
    results = to([mp.Sink(Late(), "late"), mp.Sink(Collect(), "prompt")], items=range(50))
    assert results == {"late": list(range(50)), "prompt": list(range(50))}


def test_a_subscriber_that_is_stopped_for_a_while_loses_nothing() -> None:
    count = 300_000  # so that it is at work when it is stopped
    pline = mp.PipeLine(
        [
            mp.Source(range(count)),
            mp.Broadcast([mp.Sink(Collect(), "stopped"), mp.Sink(Collect(), "other")]),
        ]
    ).run()
    wait_until(lambda: pline.stats()["stopped"].items_in, "the first items")
    pid = pline.stats()["stopped"].pid
    os.kill(pid, signal.SIGSTOP)
    going_on = threading.Timer(2.0, os.kill, (pid, signal.SIGCONT))
    going_on.start()
    try:
        results = pline.close(60)
    finally:
        going_on.join()
    assert results == {"stopped": list(range(count)), "other": list(range(count))}


def test_workers_of_one_segment_share_what_the_segment_gets() -> None:
    results = to([mp.Sink(Collect(), "two", n_processes=2), mp.Sink(Collect(), "one")])
    assert results["one"] == list(range(300))
    assert sorted(results["two/0"] + results["two/1"]) == list(range(300))


def test_an_empty_source_is_a_normal_end() -> None:
    assert to([mp.Sink(Collect(), "a"), mp.Sink(Collect(), "b")], items=[]) == {"a": [], "b": []}


def test_one_branch_is_a_broadcast_too() -> None:
    assert to([mp.Sink(Collect(), "a")], items=range(10)) == {"a": list(range(10))}


# ------------------------------------------------------------------------ the branches
def test_branches_have_further_segments_and_their_outputs_are_merged() -> None:
    branches = [
        [mp.Transform(lambda x: x + 1), mp.Transform(lambda x: ("a", x), n_processes=2)],
        mp.Transform(lambda x: ("b", x) if x % 2 else None),
        mp.Sink(Collect(), "aside"),
    ]
    pline = mp.PipeLine(
        [mp.Source(range(200)), mp.Broadcast(branches), mp.Sink(Collect(), "keep", n_processes=1)]
    )
    results = pline.run().close(60)
    assert results["aside"] == list(range(200))
    assert sorted(results["keep"]) == sorted(
        [("a", x + 1) for x in range(200)] + [("b", x) for x in range(1, 200, 2)]
    )


def test_what_the_branches_put_out_reaches_the_callers_loop() -> None:
    pline = mp.PipeLine(
        [
            mp.Source(range(100)),
            mp.Broadcast([mp.Transform(lambda x: x), mp.Transform(lambda x: -x - 1)]),
        ]
    )
    assert sorted(pline) == list(range(-100, 100))


def test_a_loop_over_a_broadcast_may_be_left_early() -> None:
    pline = mp.PipeLine(
        [
            mp.Source(endless),
            mp.Broadcast([mp.Transform(lambda x: x), mp.Transform(lambda x: x, n_processes=2)]),
        ]
    )
    for x in pline:
        if x > 100:
            break
    assert pline.stats().state in ("stopping", "ended")
    wait_until(lambda: pline.stats().state == "ended", "the end of a run that was left")


def test_the_keys_of_a_dict_prefix_names_in_results_and_stats() -> None:
    pline = mp.PipeLine(
        [
            mp.Source(range(20)),
            mp.Broadcast(
                {
                    "lr=0.1": mp.Sink(Collect(), "Train"),
                    "lr=0.01": [mp.Transform(lambda x: -x, "neg"), mp.Sink(Collect(), "Train")],
                    3: mp.Sink(Collect(), "Train", n_processes=2),
                }
            ),
        ]
    )
    results = pline.run().close(60)
    assert results["lr=0.1/Train"] == list(range(20))
    assert results["lr=0.01/Train"] == [-x for x in range(20)]
    assert sorted(results["3/Train/0"] + results["3/Train/1"]) == list(range(20))
    assert pline.stats()["lr=0.01/neg"].items_in == 20


def test_several_segments_with_state_in_branches_of_their_own_end_together() -> None:
    def echo():
        while True:
            x = yield
            yield x

    pline = mp.PipeLine(
        [
            mp.Source(range(60)),
            mp.Broadcast(
                [
                    mp.Regulator(echo, "one"),
                    mp.Transform(lambda x: x),
                    mp.Regulator(echo, "two", n_processes=2),
                    [mp.Transform(lambda x: x), mp.Regulator(echo, "three")],
                ]
            ),
        ]
    )
    assert sorted(pline) == sorted([*range(60)] * 4)


def test_broadcasts_in_broadcasts() -> None:
    inner = mp.Broadcast({"x": mp.Sink(Collect(), "keep"), "y": mp.Sink(Collect(), "keep")})
    results = to(
        {"in": [mp.Transform(lambda x: x + 1, "t"), inner], "out": mp.Sink(Collect(), "k")}
    )
    assert results["in/x/keep"] == results["in/y/keep"] == list(range(1, 301))
    assert results["out/k"] == list(range(300))


def test_a_broadcast_as_the_first_of_a_branch() -> None:
    inner = mp.Broadcast([mp.Sink(Collect(), "a"), mp.Sink(Collect(), "b")])
    assert to([inner, mp.Sink(Collect(), "c")]) == {name: list(range(300)) for name in "abc"}


def test_a_broadcast_behind_a_broadcast_gets_all_that_the_first_puts_out() -> None:
    pline = mp.PipeLine(
        [
            mp.Source(range(100)),
            mp.Broadcast([mp.Transform(lambda x: x), mp.Transform(lambda x: x + 1000)]),
            mp.Broadcast([mp.Sink(Collect(), "a"), mp.Sink(Slow(0.0005), "b")]),
        ]
    )
    results = pline.run().close(60)
    expected = [*range(100), *range(1000, 1100)]
    assert sorted(results["a"]) == sorted(results["b"]) == expected


def test_a_broadcast_behind_several_workers_of_a_stateless_segment() -> None:
    pline = mp.PipeLine(
        [
            mp.Source(range(500)),
            mp.Transform(lambda x: 2 * x if x % 5 else None, n_processes=3),
            mp.Broadcast([mp.Sink(Collect(), "a"), mp.Sink(lambda x: None, "b", n_processes=2)]),
        ]
    )
    assert sorted(pline.run().close(60)["a"]) == [2 * x for x in range(500) if x % 5]
    stats = pline.stats()
    assert sum(w.items_in for w in stats.segment("b")) == 400
    assert stats["Source"].kept_items == 0


def test_a_broadcast_behind_a_regulator_and_before_one() -> None:
    def pairs():
        while True:
            pair = [(yield)]
            pair.append((yield))
            yield pair

    pline = mp.PipeLine(
        [
            mp.Source(range(40)),
            mp.Regulator(pairs, "pairs"),
            mp.Broadcast([mp.Regulator(pairs, "four"), mp.Transform(len)]),
        ]
    )
    got = list(pline)
    assert got.count(2) == 20
    assert [x for x in got if x != 2] == [[[i, i + 1], [i + 2, i + 3]] for i in range(0, 40, 4)]


# -------------------------------------------------------------------- in a PipeSystem
def test_a_broadcast_stream_of_a_system_goes_to_every_segment() -> None:
    s, t = mp.Stream("s", broadcast=True), mp.Stream("t")
    psys = mp.PipeSystem(
        [
            mp.Source(range(100), "one", s),
            mp.Source(range(100, 200), "two", s),
            mp.Sink(Collect(), "a", s),
            mp.Transform(lambda x: x, "pass", s, t, n_processes=2),
            mp.Sink(Collect(), "b", t),
        ]
    )
    results = psys.run().close(60)
    assert sorted(results["a"]) == sorted(results["b"]) == list(range(200))
    for first, stop in ((0, 100), (100, 200)):  # in order, of each producer
        assert [x for x in results["a"] if first <= x < stop] == list(range(first, stop))


def test_several_broadcasts_in_one_system() -> None:
    s, t = mp.Stream("s", broadcast=True), mp.Stream("t", broadcast=True)
    psys = mp.PipeSystem(
        [
            mp.Source([(i, -i) for i in range(100)], downstreams=[s, t]),
            mp.Sink(Collect(), "a", s),
            mp.Sink(Slow(0.0005), "b", s),
            mp.Sink(Collect(), "c", t),
            mp.Sink(Collect(), "d", t, n_processes=2),
        ]
    )
    results = psys.run().close(60)
    assert results["a"] == results["b"] == list(range(100))
    assert results["c"] == [-i for i in range(100)]
    assert sorted(results["d/0"] + results["d/1"]) == [-i for i in range(99, -1, -1)]


def test_a_segment_may_take_the_same_items_by_a_broadcast_and_by_another_way() -> None:
    s, t = mp.Stream("s", broadcast=True), mp.Stream("t")
    _, kept = run(
        [
            mp.Source(range(200), downstreams=s),
            mp.Transform(lambda x: x * x if x % 3 else None, "square", s, t, n_processes=2),
            mp.Sink(Collect(), "keep", [s, t]),
        ]
    )
    assert sorted(kept) == [(x, x * x) for x in range(200) if x % 3]


def test_seeds_of_a_broadcast_stream_reach_every_segment() -> None:
    s = mp.Stream("s", broadcast=True)
    s.put(1)
    s.put(2)
    psys = mp.PipeSystem([mp.Sink(Collect(), "a", s), mp.Sink(Collect(), "b", s)])
    assert psys.run().close(60) == {"a": [1, 2], "b": [1, 2]}


def test_a_loop_with_a_broadcast_in_it_ends_by_itself() -> None:
    enter, again = mp.Stream("enter", buffer_size=1), mp.Stream("again", 1, broadcast=True)
    _, kept = run(
        [
            mp.Source(range(20), downstreams=enter),
            mp.Transform(lambda x: x - 1 if x else None, "down", enter, again),
            mp.Transform(lambda x: x, "back", again, enter),
            mp.Sink(Collect(), "keep", again),
        ]
    )
    assert sorted(kept) == sorted(y for x in range(20) for y in range(x))


# ----------------------------------------------------------------------- what goes through
def test_classes_of_the_users_script_go_through() -> None:
    @dataclasses.dataclass
    class Local:
        x: int

    pline = mp.PipeLine(
        [
            mp.Source([Local(i) for i in range(20)]),
            mp.Broadcast(
                [mp.Transform(lambda s: ("a", s.x)), mp.Transform(lambda s: s, n_processes=2)]
            ),
        ]
    )
    got = list(pline)
    assert sorted(x for x in got if isinstance(x, tuple)) == [("a", i) for i in range(20)]
    assert sorted(s.x for s in got if isinstance(s, Local)) == list(range(20))


def test_large_arrays_go_through_whole() -> None:
    def samples():
        for i in range(12):
            yield Sample(i, np.full((512, 1024), i, dtype=np.float32))  # 2 MiB

    def check(sample: Sample):
        return sample.key if (sample.image == sample.key).all() else -1

    pline = mp.PipeLine(
        [
            mp.Source(samples),
            mp.Broadcast([mp.Transform(check), mp.Transform(check, n_processes=2)]),
        ]
    )
    assert sorted(pline) == sorted([*range(12), *range(12)])


def test_what_one_branch_writes_into_no_other_branch_sees() -> None:
    def spoil(image: np.ndarray) -> float:
        try:
            image[:] = -1
        except ValueError:  # read-only is just as good
            pass
        return 0.0

    pline = mp.PipeLine(
        [
            mp.Source([np.full(100_000, i, dtype=np.float64) for i in range(10)]),
            mp.Broadcast(
                [mp.Transform(spoil), mp.Transform(lambda a: (time.sleep(0.005), a.mean())[1])]
            ),
        ]
    )
    got = list(pline)
    assert sorted(x for x in got if x > 0) == list(range(1, 10))


# -------------------------------------------------------------------------- when it breaks
def test_a_subscriber_that_dies_ends_the_run_with_its_name() -> None:
    pline = mp.PipeLine(
        [
            mp.Source(endless),
            mp.Broadcast({"a": mp.Sink(lambda x: None, "keep"), "b": mp.Sink(Slow(0), "keep")}),
        ]
    ).run()
    wait_until(lambda: pline.stats()["b/keep"].items_in > 20, "some items")
    os.kill(pline.stats()["b/keep"].pid, signal.SIGKILL)
    with pytest.raises(mp.WorkerDiedError, match=r"segment 'b/keep'.*SIGKILL"):
        pline.close(20)


def test_a_subscriber_that_raises_ends_the_run_with_its_name_and_item() -> None:
    def fails(x: int) -> None:
        if x == 17:
            raise ValueError("seventeen")

    with pytest.raises(ValueError, match="seventeen") as caught:
        to({"good": mp.Sink(Collect(), "keep"), "bad": mp.Sink(fails, "keep")})
    assert "segment 'bad/keep'" in caught.value.__notes__[0]
    assert "at item 17 of 'Source', branch 1 (17)" in caught.value.__notes__[0]


def test_stop_ends_a_broadcast_at_once_and_drain_lets_all_branches_have_the_same() -> None:
    for drain in (False, True):
        pline = mp.PipeLine(
            [
                mp.Source(endless),
                mp.Broadcast([mp.Sink(Collect(), "a"), mp.Sink(Slow(0.001), "b")]),
            ]
        ).run()
        wait_until(lambda pline=pline: pline.stats()["b"].items_in > 20, "some items")
        pline.stop(drain=drain)
        results = pline.close(20)
        if drain:
            assert results["a"] == results["b"]
        assert results["a"] == list(range(len(results["a"])))


# ------------------------------------------------------------------------------- bad input
def keep() -> mp.Sink:
    return mp.Sink(print, "keep")


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: mp.Broadcast([]), "mp.Broadcast has no branches"),
        (lambda: mp.Broadcast({}), "mp.Broadcast has no branches"),
        (lambda: mp.Broadcast([keep(), []]), "branch 1 of mp.Broadcast is empty"),
        (lambda: mp.Broadcast({"x": []}), "branch 'x' of mp.Broadcast is empty"),
        (lambda: mp.Broadcast(keep()), "takes a list or a dict of branches"),
        (lambda: mp.Broadcast([print]), "branch 0 of mp.Broadcast is a segment or a list"),
        (lambda: mp.Broadcast([[print]]), "branch 0 of mp.Broadcast is made of segments"),
        (lambda: mp.Broadcast([mp.Sink]), "branch 0 of mp.Broadcast"),
        (lambda: mp.Broadcast([[mp.Sink]]), r"has the class Sink in it: write mp.Sink\(...\)"),
        (lambda: mp.Broadcast([mp.Source([1])]), "has Source 'Source' in it"),
        (lambda: mp.Broadcast([[keep(), keep()]]), "comes after Sink 'keep', which ends"),
        (lambda: mp.Broadcast([keep()], n_processes=2), "Broadcast has no option 'n_processes'"),
        (
            lambda: mp.PipeLine().add(mp.Broadcast([keep()]), n_processes=2),
            "runs in no process itself: give n_processes and buffer_size to the segments",
        ),
        (
            lambda: mp.PipeLine().add(mp.Broadcast([keep()]), buffer_size=2),
            "runs in no process itself",
        ),
        (
            lambda: mp.PipeLine([mp.Source([1]), mp.Broadcast([keep()]), keep()]).build(),
            "nothing comes to Sink 'keep': all branches of the Broadcast of 1 branches",
        ),
        (lambda: mp.PipeLine([mp.Broadcast([keep()])]).build(), "begins with a Source"),
        (
            lambda: mp.PipeLine([mp.Broadcast([mp.Sink(lambda: None, "s")])]),
            "Sink 's' is called with one item",
        ),
    ],
)
def test_bad_input_gets_a_clear_answer(make, text: str) -> None:
    with pytest.raises(mp.BuildError, match=text):
        make()


def test_a_broadcast_stream_that_nobody_takes_from_is_told_at_build() -> None:
    (s,) = streams(1, broadcast=True)
    with pytest.raises(mp.BuildError, match="nobody takes from stream 's0'"):
        mp.PipeSystem([mp.Source([1], downstreams=s)]).build()
