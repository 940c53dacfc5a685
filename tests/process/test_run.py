"""A pipeline that runs: what comes out is what would come out of a plain loop."""

from __future__ import annotations

import dataclasses
import time
from collections import Counter

import numpy as np
import pytest

import minipipe as mp


@dataclasses.dataclass
class Sample:
    key: str
    image: np.ndarray


class Collect:
    """A sink that returns what it got."""

    def local_init(self) -> None:
        self.items: list[object] = []

    def run(self, item: object) -> None:
        self.items.append(item)

    def local_term(self) -> list[object]:
        return self.items


def test_every_item_arrives_once_and_in_order_through_one_worker_each() -> None:
    pline = mp.PipeLine([mp.Source(range(1000)), mp.Transform(lambda x: 2 * x)])
    assert list(pline) == [2 * x for x in range(1000)]


def test_work_is_shared_and_nothing_is_lost_or_doubled() -> None:
    pline = mp.PipeLine([mp.Source(range(2000)), mp.Transform(lambda x: x + 1, n_processes=3)])
    assert Counter(pline) == Counter(range(1, 2001))
    assert sum(w.items_in for w in pline.stats().segment("Transform")) == 2000


def test_what_local_term_returns_is_in_the_results_by_worker_name() -> None:
    pline = mp.PipeLine(
        [mp.Source(range(20), "load"), mp.Transform(lambda x: x, "t"), mp.Sink(Collect(), "keep")]
    )
    results = pline.run().close()
    assert results == {"keep": list(range(20))}
    assert pline.results == results
    assert pline.close() == results


def test_workers_of_one_segment_have_results_of_their_own() -> None:
    pline = mp.PipeLine([mp.Source(range(40)), mp.Sink(Collect(), "keep", n_processes=2)])
    results = pline.run().close()
    assert set(results) == {"keep/0", "keep/1"}
    assert sorted(results["keep/0"] + results["keep/1"]) == list(range(40))


def test_none_is_skipped_by_sources_and_transforms() -> None:
    source = mp.Source([0, None, 1, None, 2, 3])
    pline = mp.PipeLine([source, mp.Transform(lambda x: x if x % 2 else None)])
    assert list(pline) == [1, 3]
    stats = pline.stats()
    assert stats["Source"].dropped == 2
    assert stats["Source"].confirmed == 4
    assert stats["Transform"].dropped == 2


def test_the_sentinel_ends_the_stream() -> None:
    assert list(mp.PipeLine([mp.Source([1, 2, mp.Sentinel, 3])])) == [1, 2]


def test_a_source_that_yields_nothing_is_a_normal_empty_run() -> None:
    pline = mp.PipeLine([mp.Source([]), mp.Transform(lambda x: x), mp.Sink(Collect())])
    assert pline.run().close() == {"Sink": []}


@pytest.mark.parametrize("buffer_size", [1, 2, 7, None])
def test_the_tail_arrives_although_the_producer_ends_at_once(buffer_size: int | None) -> None:
    for _ in range(3):
        pline = mp.PipeLine()
        pline.add(mp.Source(range(1000)))
        pline.add(mp.Sink(SlowCollect()), buffer_size=buffer_size)
        assert pline.run().close()["Sink"] == list(range(1000))


class SlowCollect(Collect):
    def run(self, item: object) -> None:
        time.sleep(0.0003)
        super().run(item)


def test_objects_with_run_keep_their_state() -> None:
    class Running:
        def local_init(self, start: int) -> None:
            self.total = start

        def run(self, item: int) -> int:
            self.total += item
            return self.total

    pline = mp.PipeLine([mp.Source([1, 2, 3]), mp.Transform(Running(), init_kwargs={"start": 10})])
    assert list(pline) == [11, 13, 16]


def test_a_source_object_yields_from_its_run() -> None:
    class Walk:
        def local_init(self, steps: int) -> None:
            self.steps = steps

        def run(self):
            yield from range(self.steps)

    assert list(mp.PipeLine([mp.Source(Walk(), init_kwargs={"steps": 3})])) == [0, 1, 2]


def test_arrays_and_dataclasses_arrive_as_they_left_and_can_be_written_to() -> None:
    def samples():
        for i in range(5):
            yield Sample(f"s{i}", np.full((300, 200), i, dtype=np.float32))

    def double(sample: Sample) -> Sample:
        sample.image *= 2
        return sample

    got = list(mp.PipeLine([mp.Source(samples), mp.Transform(double)]))
    assert [s.key for s in got] == [f"s{i}" for i in range(5)]
    assert all(type(s) is Sample and (s.image == 2 * i).all() for i, s in enumerate(got))


def test_a_buffer_that_the_source_reuses_is_sent_as_it_was_when_yielded() -> None:
    def reuses():
        buffer = np.zeros(10, dtype=np.int64)
        for i in range(500):
            buffer[:] = i
            yield buffer

    assert [int(a[0]) for a in mp.PipeLine([mp.Source(reuses)])] == list(range(500))


def test_classes_of_the_user_that_no_worker_can_import_cross_once_and_work() -> None:
    @dataclasses.dataclass
    class Local:
        x: int

    def grow(item: Local) -> Local:
        return Local(item.x + 1)

    items = [Local(i) for i in range(50)]
    got = list(mp.PipeLine([mp.Source(items), mp.Transform(grow, n_processes=2)]))
    assert sorted(item.x for item in got) == list(range(1, 51))
    assert all(isinstance(item, Local) for item in got)


def test_ignored_exceptions_skip_the_item_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    pline = mp.PipeLine(
        [
            mp.Source(range(10)),
            mp.Transform(lambda x: 1 // (x - 3), ignore_exceptions=[ArithmeticError]),
        ]
    )
    assert len(list(pline)) == 9
    assert "item 3 was skipped: ZeroDivisionError" in caplog.text


def test_a_million_items_leave_no_trace_in_the_bookkeeping() -> None:
    pline = mp.PipeLine(
        [
            mp.Source(range(1_000_000)),
            mp.Transform(lambda x: x if x % 3 else None),
            mp.Sink(lambda x: None),
        ]
    )
    pline.run().close()
    stats = pline.stats()
    source, transform, sink = stats["Source"], stats["Transform"], stats["Sink"]
    assert (source.items_out, source.confirmed, source.kept_items) == (1_000_000, 1_000_000, 0)
    assert transform.items_in == 1_000_000
    assert transform.items_in == transform.items_out + transform.dropped
    assert sink.items_in == sink.confirmed == transform.items_out
    assert source.kept_peak_items < 50_000
