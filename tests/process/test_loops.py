"""Loops: they never stand still by full buffers, keep nothing, and end as they were told to."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections import Counter

import pytest

import minipipe as mp
from tests.conftest import children, wait_until
from tests.process.functors import Collect, Slow, endless, run, streams


class Flag:
    """The least that a term flag is, for segments that are built and never run."""

    def __init__(self) -> None:
        self.value = False

    def set(self) -> None:
        self.value = True

    def is_set(self) -> bool:
        return self.value


def seeded(items, **options) -> mp.Stream:
    stream = mp.Stream("seeded", **options)
    for item in items:
        stream.put(item)
    return stream


def retries(times: int):
    """A switch: items (key, rounds) leave after so many rounds, and go round again till then."""

    def work(item: tuple[int, int]):
        key, rounds = item
        return [None, (key, rounds)] if rounds == times else [(key, rounds + 1), None]

    return work


# ------------------------------------------------------------ what they come to
@pytest.mark.parametrize("buffer_size", [1, None])
def test_a_loop_ends_by_itself_when_nothing_goes_round_any_more(buffer_size) -> None:
    a = seeded(range(20), buffer_size=buffer_size)
    psys, _ = run([mp.Transform(lambda x: x - 1 if x else None, "down", a, a)])
    assert psys.stats()["down"].items_in == sum(range(20)) + 20


@pytest.mark.parametrize("n_processes", [1, 3])
@pytest.mark.parametrize("buffer_size", [1, None])
def test_a_retry_loop_fed_by_a_source_lets_every_item_out_once(buffer_size, n_processes) -> None:
    enter, out = streams(2, buffer_size=buffer_size)
    psys, kept = run(
        [
            mp.Source(((i, 0) for i in range(200)), downstreams=enter),
            mp.Transform(retries(5), "try", enter, [enter, out], n_processes=n_processes),
            mp.Sink(Collect(), "keep", out),
        ]
    )
    assert sorted(kept) == [(i, 5) for i in range(200)]
    assert sum(w.items_in for w in psys.stats().segment("try")) == 200 * 6


@pytest.mark.parametrize("length", [2, 3])
def test_loops_of_several_segments_with_the_smallest_buffers_do_not_stand_still(length) -> None:
    ring = streams(length, buffer_size=1)
    out = mp.Stream("out", buffer_size=1)
    passes = [
        mp.Transform(lambda x: x, f"pass_{i}", ring[i], ring[i + 1], n_processes=1 + i % 2)
        for i in range(length - 1)
    ]
    _, kept = run(
        [
            mp.Source(((i, 0) for i in range(100)), downstreams=ring[0]),
            *passes,
            mp.Transform(retries(4), "try", ring[-1], [ring[0], out], n_processes=2),
            mp.Sink(Collect(), "keep", out),
        ]
    )
    assert sorted(kept) == [(i, 4) for i in range(100)]


def test_one_item_may_become_many_in_a_loop_with_the_smallest_buffers() -> None:
    def split():
        size = yield
        if size > 1:
            yield size // 2
            yield size - size // 2

    def sort(size: int):
        return [size, None] if size > 1 else [None, size]

    whole, parts, out = streams(3, buffer_size=1)
    whole.put(500)
    _, kept = run(
        [
            mp.Regulator(split, "split", whole, parts),
            mp.Transform(sort, "sort", parts, [whole, out]),
            mp.Sink(Collect(), "keep", out),
        ]
    )
    assert kept == [1] * 500


def test_two_loops_that_share_a_segment_do_not_stand_still() -> None:
    def three_ways(item: tuple[int, int]):
        key, rounds = item
        if rounds == 6:
            return [None, None, item]
        after = (key, rounds + 1)
        return [after, None, None] if rounds % 2 else [None, after, None]

    enter, left, right, out = streams(4, buffer_size=1)
    _, kept = run(
        [
            mp.Source(((i, 0) for i in range(100)), downstreams=enter),
            mp.Transform(three_ways, "sort", enter, [left, right, out]),
            mp.Transform(lambda x: x, "left", left, enter),
            mp.Transform(lambda x: x, "right", right, enter, n_processes=2),
            mp.Sink(Collect(), "keep", out),
        ]
    )
    assert sorted(kept) == [(i, 6) for i in range(100)]


def test_a_loop_behind_a_loop_ends_after_it() -> None:
    one, two, out = streams(3)
    _, kept = run(
        [
            mp.Source(((i, 0) for i in range(50)), downstreams=one),
            mp.Transform(retries(3), "first", one, [one, two]),
            mp.Transform(retries(6), "second", two, [two, out], n_processes=2),
            mp.Sink(Collect(), "keep", out),
        ]
    )
    assert sorted(kept) == [(i, 6) for i in range(50)]


def test_a_segment_with_state_in_a_loop_sees_each_item_once_per_round() -> None:
    class Count:
        def local_init(self) -> None:
            self.seen: Counter[int] = Counter()

        def run(self, key: int):
            self.seen[key] += 1
            return key if self.seen[key] < 10 else None

        def local_term(self) -> Counter[int]:
            return self.seen

    a = seeded(range(30))
    psys = mp.PipeSystem([mp.Transform(Count(), "count", a, a)]).run()
    assert psys.close(30) == {"count": Counter({key: 10 for key in range(30)})}


def test_a_slow_functor_in_a_loop_is_no_sign_of_rest() -> None:
    def slow(item: tuple[int, int]):
        time.sleep(0.15)
        return item

    enter, again, out = streams(3)
    enter.put((1, 0))
    _, kept = run(
        [
            mp.Transform(retries(4), "try", enter, [again, out]),
            mp.Transform(slow, "slow", again, enter),
            mp.Sink(Collect(), "keep", out),
        ]
    )
    assert kept == [(1, 4)]


# ------------------------------------------------------------------ the ends
def test_after_its_flag_is_set_not_one_more_item_is_worked_off() -> None:
    class UntilTen:
        def __init__(self) -> None:
            self.flag = multiprocessing.Event()
            self.count = 0

        def run(self, x: int) -> int:
            self.count += 1
            if self.count == 10:
                self.flag.set()
            return x

        def local_term(self) -> int:
            return self.count

    functor = UntilTen()
    a = seeded(range(5))
    segment = mp.Transform(functor, "keep", a, a)
    segment.set_term_flag(functor.flag)
    _, count = run([segment])
    assert count == 10


def test_a_flag_of_one_segment_may_be_set_by_another_one_and_ends_both() -> None:
    flag = multiprocessing.Event()

    def adds(x: int) -> int:
        if x > 100:
            flag.set()
        return x + 1

    a, b = seeded([0]), mp.Stream("b")
    passes = mp.Transform(lambda x: x, "passes", a, b)
    passes.set_term_flag(flag)
    psys, _ = run([passes, mp.Transform(adds, "adds", b, a)])
    assert psys.stats()["adds"].items_in in (102, 103)


FLAG = multiprocessing.Event()


def sets_the_global_flag(x: int) -> int:
    if x > 20:
        FLAG.set()
    return x + 1


def test_a_function_of_an_importable_module_reaches_the_callers_flag_as_a_global() -> None:
    a, b = seeded([0]), mp.Stream("b")
    passes = mp.Transform(lambda x: x, "passes", a, b)
    passes.set_term_flag(FLAG)
    segments = [passes, mp.Transform(sets_the_global_flag, "sets", b, a)]
    run(segments, timeout_s=8)


def test_the_caller_may_set_the_flag_of_an_endless_loop() -> None:
    flag = multiprocessing.Event()
    a = seeded([0])
    segment = mp.Transform(lambda x: x + 1, "up", a, a)
    segment.set_term_flag(flag)
    psys = mp.PipeSystem([segment]).run()
    wait_until(lambda: psys.stats()["up"].items_in > 100, "some rounds")
    flag.set()
    psys.close(20)


def test_a_flag_that_is_set_before_the_run_lets_nothing_through_and_reset_clears_it() -> None:
    flag = multiprocessing.Event()
    flag.set()
    a, out = seeded([1, 2]), mp.Stream("out")
    segment = mp.Transform(lambda x: [None, x], "out", a, [a, out])
    segment.set_term_flag(flag)
    psys = mp.PipeSystem([segment, mp.Sink(Collect(), "keep", out)]).run()
    assert psys.close(20) == {"keep": []}
    psys.reset()
    assert psys.run().close(20) == {"keep": [1, 2]}


def test_a_flag_ends_all_workers_of_its_segment_and_an_endless_source_before_it() -> None:
    flag = multiprocessing.Event()

    def work(x: int) -> int:
        if x == 50:
            flag.set()
        return x

    a, out = streams(2)
    segment = mp.Transform(work, "work", a, out, n_processes=2)
    segment.set_term_flag(flag)
    _, kept = run([mp.Source(endless, downstreams=a), segment, mp.Sink(Collect(), "keep", out)])
    assert 50 in kept


def test_a_segment_that_has_ended_leaves_the_items_to_those_that_share_its_stream() -> None:
    flag = multiprocessing.Event()

    def takes_five(x: int) -> None:
        time.sleep(0.001)
        if x >= 5:
            flag.set()

    s = mp.Stream("s", buffer_size=4)
    five = mp.Sink(takes_five, "five", s)
    five.set_term_flag(flag)
    _, kept = run([mp.Source(range(2000), downstreams=s), five, mp.Sink(Slow(0.0001), "keep", s)])
    assert len(kept) > 1900  # what was on its way to the other one is dropped


def test_a_switch_goes_on_when_all_that_take_from_one_of_its_streams_have_ended() -> None:
    flag = multiprocessing.Event()

    def ends(x: int) -> None:
        flag.set()

    s, a, b = streams(3, buffer_size=1)
    segments = [mp.Sink(ends, f"ends_{i}", a) for i in range(2)]
    for segment in segments:
        segment.set_term_flag(flag)
    _, kept = run(
        [
            mp.Source(range(400), downstreams=s),
            mp.Transform(lambda x: (x, x), "both", s, [a, b]),
            *segments,
            mp.Sink(Collect(), "keep", b),
        ]
    )
    assert kept == list(range(400))


def test_a_sink_and_a_source_may_have_flags_too() -> None:
    for flagged in ("source", "sink"):
        flag = multiprocessing.Event()

        def save(x: int, flag=flag) -> None:
            if x == 30:
                flag.set()

        a = mp.Stream("a")
        source, sink = mp.Source(endless, "source", a), mp.Sink(save, "sink", a)
        (source if flagged == "source" else sink).set_term_flag(flag)
        psys, _ = run([source, sink])
        assert psys.stats()["sink"].items_in >= 31


def test_the_sentinel_ends_a_loop_also_an_endless_one() -> None:
    def up(x: int):
        return mp.Sentinel if x == 500 else x + 1

    a, b = seeded([0]), mp.Stream("b")
    psys, _ = run([mp.Transform(up, "up", a, b), mp.Transform(lambda x: x, "pass", b, a)])
    assert psys.stats()["up"].items_in == 501


def test_the_sentinel_of_one_worker_ends_its_whole_segment() -> None:
    def up(x: int):
        return mp.Sentinel if x >= 300 else x + 1

    a = seeded(range(10))
    run([mp.Transform(up, "up", a, a, n_processes=3)])


def test_the_sentinel_of_a_segment_in_no_loop_is_an_error() -> None:
    with pytest.raises(mp.SentinelError, match="only a Source, and a segment in a loop"):
        list(mp.PipeLine([mp.Source([1]), mp.Transform(lambda x: mp.Sentinel)]))


def test_a_sum_that_goes_round_ends_with_the_items_that_it_adds_up() -> None:
    total, numbers, out = seeded([0]), mp.Stream("numbers"), mp.Stream("out")
    _, kept = run(
        [
            mp.Source(range(1, 6), downstreams=numbers),
            mp.Transform(lambda x, y: (x + y, x + y), "add", [total, numbers], [total, out]),
            mp.Sink(Collect(), "keep", out),
        ]
    )
    assert kept == [1, 3, 6, 10, 15]


# -------------------------------------------------------------- what they keep
def test_a_loop_keeps_nothing_that_has_been_done_with() -> None:
    a, b = seeded((bytes(1000), 0) for _ in range(4)), mp.Stream("b")
    psys, _ = run(
        [
            mp.Transform(lambda x: x, "there", a, b),
            mp.Transform(
                lambda x: (x[0], x[1] + 1) if x[1] < 5000 else None,
                "back",
                b,
                a,
            ),
        ]
    )
    for worker in psys.stats().workers:
        assert worker.kept_items == 0
        assert worker.kept_peak_items <= 64
        assert worker.kept_peak_bytes <= 256 * 1024
    assert psys.stats()["there"].items_in == 4 * 5001


# ------------------------------------------------------------- when they break
def test_a_loop_segment_that_raises_ends_the_run_with_its_name_and_item() -> None:
    def fails(x: int) -> int:
        return int(x) - 1 if x != 3 else 1 // 0

    a, b = seeded([10]), mp.Stream("b")
    with pytest.raises(ZeroDivisionError) as caught:
        run([mp.Transform(lambda x: x, "pass", a, b), mp.Transform(fails, "fails", b, a)])
    (note,) = caught.value.__notes__
    assert "segment 'fails'" in note and "(3)" in note


def test_a_loop_whose_items_are_skipped_ends_by_itself() -> None:
    a = seeded([3, 5])
    psys, _ = run(
        [mp.Transform(lambda x: x - 1 + 0 // x, "down", a, a, ignore_exceptions=ArithmeticError)]
    )
    assert psys.stats()["down"].items_in == 4 + 6


def test_stop_ends_an_endless_loop_and_local_term_runs() -> None:
    class Rounds:
        def local_init(self) -> None:
            self.rounds = 0

        def run(self, x: int):
            self.rounds += 1
            return x if x >= 0 else None

        def local_term(self) -> int:
            return self.rounds

    a, b = seeded([1, 2, 3]), mp.Stream("b")
    segments = [mp.Transform(Rounds(), "one", a, b), mp.Transform(Rounds(), "two", b, a)]
    psys = mp.PipeSystem(segments).run()
    wait_until(lambda: psys.stats()["two"].items_in > 50, "some rounds")
    psys.stop()
    assert set(psys.close(20)) == {"one", "two"}


def test_a_drained_stop_lets_what_is_in_a_retry_loop_out() -> None:
    enter, out = streams(2)
    psys = mp.PipeSystem(
        [
            mp.Source(((i, 0) for i in endless()), downstreams=enter),
            mp.Transform(retries(3), "try", enter, [enter, out]),
            mp.Sink(Collect(), "keep", out),
        ]
    ).run()
    wait_until(lambda: psys.stats()["keep"].items_in > 20, "some items")
    psys.stop(drain=True)
    kept = psys.close(20)["keep"]
    assert sorted(kept) == [(i, 3) for i in range(len(kept))]


def test_ctrl_c_ends_an_endless_loop() -> None:
    def pass_on(x: int):
        return x if x >= 0 else None

    a = seeded([1])
    psys = mp.PipeSystem([mp.Transform(pass_on, "pass", a, a)]).run()
    wait_until(lambda: psys.stats()["pass"].items_in > 50, "some rounds")
    pressed = threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT))
    pressed.start()
    with pytest.raises(KeyboardInterrupt):
        psys.close(20)
    pressed.join()


def test_a_killed_worker_of_a_loop_ends_the_run_with_its_name() -> None:
    def pass_on(x: int):
        return x if x >= 0 else None

    a, b = seeded([1, 2]), mp.Stream("b")
    psys = mp.PipeSystem(
        [
            mp.Transform(pass_on, "one", a, b, n_processes=2),
            mp.Transform(pass_on, "two", b, a),
        ]
    ).run()
    wait_until(lambda: psys.stats()["two"].items_in > 50, "some rounds")
    os.kill(psys.stats()["one/1"].pid, signal.SIGKILL)
    with pytest.raises(mp.WorkerDiedError, match=r"segment 'one' \(worker one/1, pid.*SIGKILL"):
        psys.close(20)


# -------------------------------------------------------------------- bad input
def test_a_loop_that_nothing_comes_into_is_told_before_anything_starts() -> None:
    a, b = streams(2)
    segments = [
        mp.Transform(lambda x: None, "one", a, b),
        mp.Transform(lambda x: x, "two", b, a),
    ]
    psys = mp.PipeSystem(segments).build()  # it could still be seeded
    with pytest.raises(mp.BuildError, match="nothing ever comes into the loop of 'one' -> 'two'"):
        psys.run()
    assert not children()


def test_a_term_flag_needs_is_set() -> None:
    with pytest.raises(mp.BuildError, match=r"flag of Transform 't' has set\(\) and is_set\(\)"):
        mp.Transform(len, "t").set_term_flag(True)


def test_a_stream_seeded_between_build_and_run_and_anew_for_the_next_run() -> None:
    a, out = mp.Stream("a"), mp.Stream("out")
    segments = [
        mp.Transform(lambda x: (x + 1, None) if x % 4 else (None, x), "up", a, [a, out]),
        mp.Sink(Collect(), "keep", out),
    ]
    psys = mp.PipeSystem(segments).build()
    a.q.put(1)
    assert psys.run().close(30)["keep"] == [4]
    assert psys.run().close(30)["keep"] == [4]
    a.put(5)
    a.put(6)
    assert psys.run().close(30)["keep"] == [8, 8]
