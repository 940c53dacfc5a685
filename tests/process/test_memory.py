"""Large arrays: by reference, never changed by another one, and no end of memory."""

from __future__ import annotations

import os
import resource
import signal
from typing import Any

import numpy as np
import pytest

import minipipe as mp
from minipipe.shm import supported
from tests.conftest import wait_until
from tests.process import arrays
from tests.process.arrays import SIZE, Keep, Look, is_whole, lies_in_slot, numbered
from tests.process.functors import Collect, endless, same

pytestmark = pytest.mark.skipif(not supported(), reason="shared memory slots do not work here")


def line(*segments: Any, items: Any = None) -> mp.PipeLine:
    source = mp.Source(lambda: numbered(20) if items is None else items)
    return mp.PipeLine([source, *segments])


# ------------------------------------------------------------------ what arrives
LAYOUTS = {
    "C": np.arange(60_000.0).reshape(20, 30, 100),
    "Fortran": np.asfortranarray(np.arange(60_000.0).reshape(20, 30, 100)),
    "strided": np.arange(240_000.0).reshape(20, 60, 200)[::2, ::-3, 10:190:2],
    "0-d": np.array(5.0),
    "empty": np.empty((0, 7)),
    "structured": np.zeros(20_000, [("x", "<i4"), ("y", "<f8", 2), ("z", "S3")]),
    "big-endian": np.arange(60_000, dtype=">i4"),
    "dates": np.arange(60_000).astype("M8[s]"),
    "text": np.array(["a", "bcd", "é"] * 20_000),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_arrays_of_every_layout_arrive_as_they_left(layout: str) -> None:
    left = LAYOUTS[layout]
    nested = {"x": left, "more": (left[..., :1] if left.ndim else left, [left, {"y": left}])}
    for arrived in line(mp.Transform(same), items=[left, nested]):
        for x in [arrived] if isinstance(arrived, np.ndarray) else [arrived["x"]]:
            assert x.dtype == left.dtype and x.shape == left.shape
            assert x.flags.f_contiguous == left.flags.f_contiguous
            np.testing.assert_array_equal(x, left)
        if isinstance(arrived, dict):
            assert arrived["more"][1][0] is arrived["x"]  # one array stays one


def test_what_a_functor_passes_on_is_not_copied() -> None:
    """Three functions pass it on, as it is and as views; the sink sees the source's slot."""

    def where(x: np.ndarray) -> tuple[int, np.ndarray]:
        from minipipe.shm import find_slot

        return find_slot(x).held.arena.id, x[::-1]

    def again(pair: tuple[int, np.ndarray]) -> tuple[int, int, np.ndarray]:
        from minipipe.shm import find_slot

        arena, x = pair
        return arena, find_slot(x).held.arena.id, x.reshape(-1, 10).T

    pline = line(mp.Transform(where), mp.Transform(again), mp.Transform(same))
    for i, (first, second, x) in enumerate(pline):
        assert first == second
        assert is_whole(x, i)


def test_what_mp_empty_made_is_not_copied() -> None:
    pline = line(mp.Transform(arrays.made_in_slot), mp.Sink(arrays.WhereMade(), "keep"))
    assert pline.run().close(60)["keep"] == [True] * 20


def test_arrays_travel_inside_messages_when_there_are_to_be_no_slots() -> None:
    pline = line(mp.Transform(same), mp.Sink(Look(), "look"))
    seen = pline.run(shared_bytes=0).close(60)["look"]
    assert seen == [(i, False, True) for i in range(20)]


# ------------------------------------------------------------------ who may write
@pytest.mark.parametrize("sink", [mp.Sink(Look(write=True), "look")])
def test_a_sole_object_writes_in_place_and_harms_nobody(sink: mp.Segment) -> None:
    same_one = [np.full(SIZE, 7, np.uint8)] * 10  # the source yields one and the same
    assert line(sink, items=same_one).run().close(60)["look"] == [(7, True, True)] * 10


def test_a_function_transform_that_writes_gets_copies_of_its_own(
    caplog: pytest.LogCaptureFixture,
) -> None:
    pline = line(mp.Transform(arrays.doubled_in_place, "twice"))
    for i, x in enumerate(pline):
        assert (x == 2 * i).all()
    del x
    said = caplog.text
    assert said.count("transform 'twice' writes to the arrays that it gets") == 1
    assert "writable=True" in said


def test_writable_copies_from_the_start_and_says_nothing(caplog: pytest.LogCaptureFixture) -> None:
    pline = line(mp.Transform(arrays.doubled_in_place, "twice", writable=True))
    for i, x in enumerate(pline):
        assert (x == 2 * i).all()
    del x
    assert "writes to" not in caplog.text


def test_a_function_sink_may_write_as_well() -> None:
    def spoil(x: np.ndarray) -> None:
        x[:] = 0

    stats = line(mp.Sink(spoil)).run()
    stats.close(60)
    assert stats.stats()["Sink"].items_in == 20


def test_an_object_that_writes_to_what_others_see_is_told_how_to_get_its_own() -> None:
    pline = line(mp.Broadcast([mp.Sink(Look(write=True), "a"), mp.Sink(Look(), "b")]))
    with pytest.raises(ValueError, match="read-only") as caught:
        pline.run().close(60)
    assert "writable=True" in "".join(caught.value.__notes__)


def test_subscribers_of_a_broadcast_see_one_copy_that_none_can_change() -> None:
    class Where(Collect):
        def run(self, x: np.ndarray) -> None:
            from minipipe.shm import find_slot

            held = find_slot(x).held
            self.items.append((held.arena.id, held.index, held.generation, x.flags.writeable))

    branches = [mp.Sink(Where(), name) for name in "abc"]
    results = line(mp.Broadcast([*branches, mp.Sink(Look(True), "w", writable=True)])).run()
    found = results.close(60)
    assert found["a"] == found["b"] == found["c"]
    assert [w for *_, w in found["a"]] == [False] * 20
    assert [(first, writable) for first, _, writable in found["w"]] == [
        (i, True) for i in range(20)
    ]


def test_the_callers_loop_may_write_to_what_it_gets() -> None:
    kept = []
    for i, x in enumerate(line(mp.Transform(same))):  # passed on by reference
        assert is_whole(x, i) and x.flags.writeable
        x += 1
        kept.append(x)
    assert all((x == i + 1).all() for i, x in enumerate(kept))
    for i, x in enumerate(line()):  # copied for it alone
        assert is_whole(x, i) and x.flags.writeable and lies_in_slot(x)


@pytest.mark.parametrize("way", ["later", "the same one again"])
def test_what_is_changed_after_it_was_sent_reaches_nobody(way: str) -> None:
    source = mp.Source(arrays.KeepAndChange(60, way))
    branches = [mp.Sink(Keep(), "a"), mp.Sink(Keep(), "b")]
    assert mp.PipeLine([source, mp.Broadcast(branches)]).run().close(60) == {
        "a": (60, True),
        "b": (60, True),
    }
    assert mp.PipeLine([source, mp.Sink(Keep(), "a")]).run().close(60) == {"a": (60, True)}


def test_two_views_of_one_array_in_one_item() -> None:
    for i, (a, b) in enumerate(line(mp.Transform(arrays.two_views), mp.Transform(same))):
        assert is_whole(a, i) and is_whole(b, i)
        a[...] = 255  # its own, each
        assert is_whole(b, i)


# ------------------------------------------------------------------ no end of memory
@pytest.mark.parametrize("shared_bytes", [0, 3 * SIZE, 40 * SIZE, None])
def test_a_consumer_may_keep_as_much_as_it_likes(shared_bytes: int | None) -> None:
    count = 400
    pline = line(mp.Transform(same), mp.Sink(Keep(), "keep"), items=numbered(count))
    assert pline.run(shared_bytes=shared_bytes).close(60)["keep"] == (count, True)


def test_the_caller_may_keep_the_whole_stream_beyond_the_run() -> None:
    kept = list(line(mp.Shuffle(50, seed=1), items=numbered(200)))
    assert sorted(int(x[0]) for x in kept) == list(range(200))
    assert all((x == x[0]).all() for x in kept)


def test_memory_stays_flat_over_arrays_of_changing_sizes() -> None:
    def changing():
        rng = np.random.default_rng(3)
        for _ in range(6000):
            yield np.zeros(int(rng.integers(1, 1_000_000)), np.uint8)

    sizes = mp.PipeLine(
        [mp.Source(changing), mp.Transform(same), mp.Sink(arrays.Memory(1000), "m")]
    )
    mb = sizes.run().close(120)["m"]
    assert len(mb) == 6
    assert max(mb[2:]) < mb[1] + 100, mb


def test_every_page_is_given_back_when_somebody_was_killed() -> None:
    def shared_kb() -> int:
        with open("/proc/meminfo") as lines:
            return next(int(line.split()[1]) for line in lines if line.startswith("Shmem:"))

    before = shared_kb()
    for victim in ("Source", "keep"):
        many = (np.ones(4_000_000, np.uint8) for _ in endless())
        pline = mp.PipeLine([mp.Source(lambda m=many: m), mp.Sink(Collect(), "keep")])
        pline.run()
        wait_until(lambda p=pline: p.stats()["keep"].items_in > 20, "some items")
        os.kill(pline.stats()[victim].pid, signal.SIGKILL)
        with pytest.raises(mp.WorkerDiedError):
            pline.close(30)
    wait_until(lambda: shared_kb() < before + 20_000, "the memory to be given back")


def test_no_memory_at_all_is_an_error_that_names_the_segment() -> None:
    def poor(x: int) -> np.ndarray:
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        with open("/proc/self/statm") as words:
            used = int(words.read().split()[0]) * resource.getpagesize()
        out = np.ones(50_000_000, np.uint8)
        resource.setrlimit(resource.RLIMIT_AS, (used + 60_000_000, hard))
        return out

    pline = mp.PipeLine([mp.Source([1]), mp.Transform(poor, "poor"), mp.Sink(print)])
    with pytest.raises(MemoryError) as caught:
        pline.run(shared_bytes=0).close(60)
    assert "segment 'poor'" in "".join(caught.value.__notes__)


@pytest.mark.parametrize("value", [-1, 2.5, "1 GB", True])
def test_an_impossible_amount_of_shared_memory_is_refused(value: Any) -> None:
    with pytest.raises(mp.OptionError, match="shared_bytes of run is a number of bytes"):
        line(mp.Sink(print)).run(shared_bytes=value)


def test_writable_is_true_or_false() -> None:
    with pytest.raises(mp.OptionError, match="writable of Transform 'Transform' is True or False"):
        mp.Transform(same, writable=1)  # type: ignore[arg-type]
